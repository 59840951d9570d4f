package lower

import (
	"go/ast"
	"go/token"
	"go/types"
)

// The language orders the calls of a statement and leaves open when variables
// are read between them. Compiled Go makes all calls first and reads variables,
// fields and elements last, which shows when a call changes them:
//
//	fmt.Println(c.n, c.inc()) // prints the new c.n twice
//	nodes[i].left = build()   // build may append to nodes
//
// So where a read comes before a call, the calls are evaluated ahead into
// temporaries, in order, and the rest of the statement finds them in c.ahead.

// ordering is what one statement, or the arguments of one call, evaluate.
type ordering struct {
	c      *compiler
	reads  bool       // something was read that a call may change
	panics bool       // an element was read: the index may be out of range
	early  []ast.Expr // what compiled Go evaluates ahead
	last   int        // len(early) up to the last call after a read
}

// evaluateAhead compiles what must be evaluated before the rest of exprs; it
// returns nil if their order makes no difference.
func (c *compiler) evaluateAhead(exprs ...ast.Expr) func(*frame) {
	o := ordering{c: c}
	for _, e := range exprs {
		o.visit(e)
	}
	return o.compile()
}

func (o *ordering) compile() func(*frame) {
	c := o.c
	if o.last == 0 {
		return nil
	}
	saves := make([]func(*frame), 0, o.last)
	for _, e := range o.early[:o.last] {
		v := c.expr(e)
		if v.many != nil {
			saves = append(saves, v.run)
			v.run = func(*frame) {}
		} else {
			var save func(*frame)
			save, v = c.saved(v)
			saves = append(saves, save)
		}
		if c.ahead == nil {
			c.ahead = map[ast.Expr]value{}
		}
		c.ahead[e] = v
	}
	if len(saves) == 1 {
		return saves[0]
	}
	return func(f *frame) {
		for _, save := range saves {
			save(f)
		}
	}
}

// inOrder compiles a statement that evaluates exprs.
func (c *compiler) inOrder(exprs []ast.Expr, compile func() step) step {
	return after(c.evaluateAhead(exprs...), compile)
}

// assignInOrder compiles an assignment. A right side with several values is not
// one operand.
func (c *compiler) assignInOrder(tok token.Token, lhs, rhs []ast.Expr, compile func() step) step {
	o := ordering{c: c}
	for _, e := range lhs {
		if tok == token.ASSIGN || tok == token.DEFINE {
			o.target(e)
		} else {
			o.visit(e)
		}
	}
	if len(lhs) == len(rhs) {
		for _, e := range rhs {
			o.visit(e)
		}
	}
	return after(o.compile(), compile)
}

func after(first func(*frame), compile func() step) step {
	s := compile()
	if first == nil {
		return s
	}
	return func(f *frame) ctl {
		first(f)
		return s(f)
	}
}

// condition compiles a boolean that is evaluated on its own.
func (c *compiler) condition(e ast.Expr) func(*frame) bool {
	first := c.evaluateAhead(e)
	g := load[bool](c.expr(e))
	if first == nil {
		return g
	}
	return func(f *frame) bool {
		first(f)
		return g(f)
	}
}

// call notes an expression that calls.
func (o *ordering) call(e ast.Expr) {
	o.early = append(o.early, e)
	if o.reads {
		o.last = len(o.early)
	}
}

// copied notes an expression that has no effects but is evaluated ahead, after
// the calls among its operands.
func (o *ordering) copied(e ast.Expr, operands ...ast.Expr) {
	reads := o.reads
	for _, x := range operands {
		if x != nil {
			o.visit(x)
		}
	}
	o.reads = reads // the operands are read when e is evaluated
	o.early = append(o.early, e)
}

// target visits the left side of an assignment, which is not read itself.
func (o *ordering) target(e ast.Expr) {
	switch e := ast.Unparen(e).(type) {
	case *ast.SelectorExpr:
		if _, ok := o.c.info.Selections[e]; !ok {
			return // a variable of a package
		}
		if isPointer(o.c.typeOf(e.X)) {
			o.visit(e.X)
		} else {
			o.target(e.X)
		}
	case *ast.IndexExpr:
		if _, ok := o.c.typeOf(e.X).Underlying().(*types.Array); ok {
			o.target(e.X)
		} else {
			o.visit(e.X)
		}
		o.visit(e.Index)
	case *ast.StarExpr:
		o.visit(e.X)
	}
}

// mayPanic makes what was noted last be evaluated ahead of what was read before,
// which may panic too.
func (o *ordering) mayPanic() {
	if o.panics {
		o.last = len(o.early)
	}
}

func (o *ordering) visit(e ast.Expr) {
	c := o.c
	if tv := c.info.Types[e]; tv.Value != nil || tv.IsType() {
		return
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		o.visit(e.X)
	case *ast.Ident:
		if v, ok := c.info.Uses[e].(*types.Var); ok {
			s, local := c.vars[v]
			o.reads = o.reads || !local || s.boxed
		}
	case *ast.SelectorExpr:
		sel, ok := c.info.Selections[e]
		if !ok {
			_, variable := c.info.Uses[e.Sel].(*types.Var)
			o.reads = o.reads || variable
			return
		}
		o.visit(e.X)
		o.reads = o.reads || sel.Indirect() || isPointer(c.typeOf(e.X))
	case *ast.StarExpr:
		o.visit(e.X)
		o.reads = true
	case *ast.IndexExpr:
		o.index(e)
	case *ast.SliceExpr:
		o.copied(e, e.X, e.Low, e.High, e.Max)
		o.mayPanic()
	case *ast.TypeAssertExpr:
		o.copied(e, e.X)
		o.mayPanic()
	case *ast.CompositeLit:
		o.literal(e)
	case *ast.CallExpr:
		o.callExpr(e)
	case *ast.UnaryExpr:
		reads := o.reads
		o.visit(e.X)
		switch e.Op {
		case token.ARROW:
			o.call(e)
		case token.AND: // reads nothing
			o.reads = reads
		}
	case *ast.BinaryExpr:
		if e.Op == token.LAND || e.Op == token.LOR { // calls only if it comes to that
			if c.calls(e) {
				o.call(e)
				return
			}
		}
		o.visit(e.X)
		o.visit(e.Y)
	}
}

func (o *ordering) index(e *ast.IndexExpr) {
	c := o.c
	if c.info.Types[e.Index].IsType() {
		return
	}
	t := c.typeOf(e.X).Underlying()
	if m, ok := t.(*types.Map); ok && !quickKey(c.rtype(m.Key()).Size, m.Key()) {
		o.copied(e, e.X, e.Index)
		return
	}
	o.visit(e.X)
	o.visit(e.Index)
	switch t.(type) {
	case *types.Map:
		o.reads = true
	case *types.Slice, *types.Pointer:
		o.reads, o.panics = true, true
	}
}

// quickKey reports whether compiled Go looks a key up by its value: 4 or 8
// bytes, or a string.
func quickKey(size uintptr, key types.Type) bool {
	b, ok := key.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsFloat == 0 && (size == 4 || size == 8 || b.Info()&types.IsString != 0)
}

func (o *ordering) literal(e *ast.CompositeLit) {
	if _, ok := o.c.typeOf(e).Underlying().(*types.Map); ok { // filled entry by entry
		if o.c.calls(e) {
			o.call(e)
		} else {
			o.copied(e)
		}
		return
	}
	for _, el := range e.Elts {
		if kv, ok := el.(*ast.KeyValueExpr); ok {
			el = kv.Value
		}
		if lit, ok := el.(*ast.CompositeLit); ok && lit.Type == nil {
			o.elided(lit)
			continue
		}
		o.visit(el)
	}
}

// elided is a literal within another that leaves out its type.
func (o *ordering) elided(lit *ast.CompositeLit) {
	if t, ok := o.c.info.Types[lit]; ok {
		u := t.Type.Underlying()
		if p, ok := u.(*types.Pointer); ok {
			u = p.Elem().Underlying()
		}
		if _, ok := u.(*types.Map); ok {
			return // evaluated where it stands
		}
	}
	o.literal(lit)
}

func (o *ordering) callExpr(e *ast.CallExpr) {
	c := o.c
	fun := ast.Unparen(e.Fun)
	switch tv := c.info.Types[fun]; {
	case tv.IsType():
		if _, ok := c.typeOf(e).Underlying().(*types.Slice); ok && isText(c.typeOf(e.Args[0])) {
			o.copied(e, e.Args[0])
			return
		}
		o.visit(e.Args[0])
		o.reads = o.reads || isText(c.typeOf(e)) // string(bytes)
	case tv.IsBuiltin():
		o.copied(e, e.Args...)
		if o.reads && changing[builtinName(fun)] {
			o.last = len(o.early)
		}
	case c.harmless(fun):
		o.copied(e)
	default:
		o.call(e)
	}
}

// changing are the builtins that may change what others read.
var changing = map[string]bool{"append": true, "clear": true, "close": true, "copy": true, "delete": true, "recover": true}

func isText(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}

// harmless reports whether fun is a compiled function that is given only
// numbers and strings, so that it cannot change a variable of a cell.
func (c *compiler) harmless(fun ast.Expr) bool {
	sel, ok := fun.(*ast.SelectorExpr)
	if !ok || c.info.Selections[sel] != nil {
		return false
	}
	f, ok := c.info.Uses[sel.Sel].(*types.Func)
	if !ok || f.Signature().Results().Len() != 1 {
		return false
	}
	for v := range f.Signature().Params().Variables() {
		if _, basic := v.Type().Underlying().(*types.Basic); !basic {
			return false
		}
	}
	return true
}

// calls reports whether evaluating an expression calls a function, receives or
// changes elements.
func (c *compiler) calls(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			fun := ast.Unparen(n.Fun)
			if tv := c.info.Types[fun]; !tv.IsType() && c.info.Types[n].Value == nil {
				found = found || !tv.IsBuiltin() || changing[builtinName(fun)]
			}
		case *ast.UnaryExpr:
			found = found || n.Op == token.ARROW
		}
		return !found
	})
	return found
}
