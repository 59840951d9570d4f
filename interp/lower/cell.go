package lower

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"math"
	"unsafe"

	"loris/interp/check"
	"loris/interp/native"
	"loris/interp/run"
)

// Result is the memory of a value that a cell ends with.
type Result struct {
	Type types.Type
	RT   *native.Type
	Ptr  unsafe.Pointer
	// Status is set for the error that a call returns: nil is no news.
	Status bool
}

// Cell is a cell ready to run.
type Cell struct {
	Code    *run.Code
	Results []Result // filled in by the code
}

// Cell compiles a checked cell. If it fails, the program is as before. Plain
// statements are left to yaegi if usePlain is set: yaegi runs one cell at a time.
// The caller holds Lock, since before the cell was checked.
func (p *Program) Cell(name string, cell *check.Cell, usePlain bool) (out *Cell, err error) {
	p.defines = nil
	err = p.guarded(func() {
		if cell.Methods { // before anything is made of these types
			p.Types.Renew()
			p.dispatch.Clear()
		}
		for name, old := range cell.Replaced {
			p.replace(old, name, cell)
		}
		for now, old := range cell.Redefined {
			p.Rebind(now, old)
		}
		var todo []*types.Func
		var inits []*run.Func
		for _, d := range cell.Funcs {
			f, ok := cell.Info.Defs[d.Name].(*types.Func)
			if !ok {
				continue
			}
			p.Declare(f, d, cell.Info)
			if f.Signature().TypeParams().Len() == 0 && f.Signature().RecvTypeParams().Len() == 0 {
				todo = append(todo, f)
				if d.Recv == nil && d.Name.Name == "init" {
					inits = append(inits, p.instance(f, nil))
				}
			} else if fn := p.funcs[f]; fn != nil { // it replaces one that has instances
				for _, i := range fn.instances {
					p.pending = append(p.pending, func() { p.compile(f, i) })
				}
			}
		}
		for _, f := range todo {
			i := p.instance(f, nil)
			for _, k := range p.funcs[f].instances {
				if k.fn == i {
					p.compile(f, k)
				}
			}
		}
		out = p.cellBody(cell, inits, usePlain)
	})
	if err != nil {
		return nil, err
	}
	for _, d := range p.defines {
		d.fn.Define(d.code)
	}
	return out, nil
}

// replace lets a name that is declared again with the same type keep its
// place, so that functions of earlier cells see the new value or code.
func (p *Program) replace(old types.Object, name string, cell *check.Cell) {
	var now types.Object
	for id, o := range cell.Info.Defs {
		if o != nil && id.Name == name && o.Parent() == o.Pkg().Scope() {
			now = o
		}
	}
	if now == nil || !check.TakesPlace(now, old) {
		return
	}
	switch now := now.(type) {
	case *types.Var:
		if old, ok := old.(*types.Var); ok {
			p.ShareGlobal(now, old)
		}
	case *types.Func:
		if old, ok := old.(*types.Func); ok {
			p.Rebind(now, old)
		}
	}
}

func (p *Program) cellBody(cell *check.Cell, inits []*run.Func, usePlain bool) *Cell {
	c := newCompiler(p, cell.Info)
	c.boxed = map[*types.Var]bool{}
	c.sig = types.NewSignatureType(nil, nil, nil, nil, nil, false)
	out := &Cell{}
	var steps []step
	var positions []int32
	add := func(s step, pos int32) { steps, positions = append(steps, s), append(positions, pos) }
	c.defers = true
	if cell.Program {
		for _, init := range cell.Inits {
			lhs := make([]ast.Expr, len(init.Lhs))
			for i, v := range init.Lhs {
				id := &ast.Ident{NamePos: v.Pos(), Name: v.Name()}
				if v.Name() != "_" {
					cell.Info.Uses[id] = v
				}
				lhs[i] = id
			}
			findBoxed(cell.Info, init.Rhs, c.boxed)
			c.pos = init.Rhs.Pos()
			add(c.assignAll(lhs, []ast.Expr{init.Rhs}), int32(init.Rhs.Pos()))
		}
	}
	call := func(fn *run.Func) step {
		return func(f *frame) ctl {
			nf := f.Thread.NewFrame(fn.Code())
			nf.Invoke()
			f.Thread.Release(nf)
			return next
		}
	}
	for _, fn := range inits {
		add(call(fn), 0)
	}
	if cell.Program {
		for _, d := range cell.Funcs {
			if d.Recv == nil && d.Name.Name == "main" {
				add(call(p.instance(cell.Info.Defs[d.Name].(*types.Func), nil)), int32(d.Pos()))
			}
		}
	}
	var list []ast.Stmt
	for _, item := range cell.Items {
		if item.Stmt != nil {
			findBoxed(cell.Info, item.Stmt, c.boxed)
		}
		for _, e := range item.Rhs {
			findBoxed(cell.Info, e, c.boxed)
		}
		if item.Stmt == nil {
			list = append(list, &definition{lhs: item.Lhs, rhs: item.Rhs})
			continue
		}
		if es, ok := item.Stmt.(*ast.ExprStmt); ok && es.X == cell.Value && !prints(cell.Info, es.X) {
			list = append(list, &shownValue{ExprStmt: es, out: out})
			continue
		}
		list = append(list, item.Stmt)
	}
	if usePlain {
		p.takePlain(cell, list, out)
	}
	for _, e := range cell.Values {
		findBoxed(cell.Info, e, c.boxed)
		list = append(list, &shownValue{ExprStmt: &ast.ExprStmt{X: e}, out: out})
	}
	add(c.block(list), 0)
	code := run.NewCode("")
	code.Body = assemble(nil, nil, unpositioned(steps), nil, true)
	code.Layout = c.layout.Type()
	code.Func = nil
	out.Code = code
	return out
}

func unpositioned(steps []step) step {
	return func(f *frame) ctl {
		for _, s := range steps {
			if r := s(f); r != next {
				return r
			}
		}
		return next
	}
}

// prints reports whether e prints with package fmt. Its results, a count and an
// error, are no value that a cell means to show.
func prints(info *types.Info, e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	f, ok := info.Uses[sel.Sel].(*types.Func)
	if !ok {
		return false
	}
	switch f.FullName() {
	case "fmt.Print", "fmt.Printf", "fmt.Println", "fmt.Fprint", "fmt.Fprintf", "fmt.Fprintln":
		return true
	}
	return false
}

// definition and shownValue stand in a cell's list of statements.
type definition struct {
	ast.EmptyStmt
	lhs, rhs []ast.Expr
}

func (d *definition) Pos() token.Pos { return d.lhs[0].Pos() }

// shownValue is the last expression of a cell.
type shownValue struct {
	*ast.ExprStmt
	out *Cell
}

// showValue evaluates the last expression into memory of its own.
func (c *compiler) showValue(e ast.Expr, out *Cell) step {
	if c.info.Types[e].IsNil() {
		return nothing
	}
	c.checkShown(e)
	v := c.expr(e)
	keep := func(v value) func(*frame) {
		rt := c.rtype(v.typ)
		p := native.New(rt)
		out.Results = append(out.Results, Result{v.typ, rt, p, isStatus(e, v.typ)})
		put := v.store()
		return func(f *frame) { put(f, p) }
	}
	switch {
	case v.many != nil:
		puts := make([]func(*frame), len(v.many))
		for i, m := range v.many {
			puts[i] = keep(m)
		}
		return func(f *frame) ctl {
			v.run(f)
			for _, put := range puts {
				put(f)
			}
			return next
		}
	case v.rt == nil:
		return simply(v.run)
	}
	if v.con != nil {
		v = c.constant(types.Default(v.typ), v.con)
	}
	return simply(keep(v))
}

// isStatus reports whether a result of type t is the error that a call returns.
func isStatus(e ast.Expr, t types.Type) bool {
	_, call := ast.Unparen(e).(*ast.CallExpr)
	return call && types.Identical(t, types.Universe.Lookup("error").Type())
}

// checkShown refuses a constant that does not fit the type it would be shown
// as; go/types leaves that open for a constant that nothing uses.
func (c *compiler) checkShown(e ast.Expr) {
	tv := c.info.Types[e]
	b, ok := tv.Type.(*types.Basic)
	if !ok || tv.Value == nil || b.Info()&types.IsUntyped == 0 {
		return
	}
	fits := true
	switch b.Kind() {
	case types.UntypedInt:
		_, fits = constant.Int64Val(constant.ToInt(tv.Value))
	case types.UntypedRune:
		n, exact := constant.Int64Val(constant.ToInt(tv.Value))
		fits = exact && n == int64(int32(n))
	case types.UntypedFloat:
		x, _ := constant.Float64Val(tv.Value)
		fits = !math.IsInf(x, 0)
	}
	if !fits {
		c.fail(e.Pos(), "cannot use %s (untyped constant %s) as %s value: it overflows", types.ExprString(e), tv.Value, types.Default(b))
	}
}

// defineGlobals runs a definition at the top level of a cell.
func (c *compiler) defineGlobals(d *definition) step {
	if len(d.rhs) > 0 {
		return c.assignAll(d.lhs, d.rhs)
	}
	var globals []*Global
	for _, e := range d.lhs {
		if v, ok := c.info.Defs[e.(*ast.Ident)].(*types.Var); ok && v.Name() != "_" {
			globals = append(globals, c.p.Global(v))
		}
	}
	return func(f *frame) ctl {
		for _, g := range globals {
			native.Clear(g.Type, g.Ptr)
		}
		return next
	}
}
