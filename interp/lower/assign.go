package lower

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"unsafe"

	"loris/interp/native"
)

// assign compiles =, := and the forms with an operator.
func (c *compiler) assign(s *ast.AssignStmt) step {
	switch s.Tok {
	case token.DEFINE:
		return c.define(s.Lhs, s.Rhs)
	case token.ASSIGN:
		return c.assignAll(s.Lhs, s.Rhs)
	}
	op := s.Tok - token.ADD_ASSIGN + token.ADD
	c.pos = s.TokPos
	return c.update(s.Lhs[0], func(x value) value {
		if op == token.SHL || op == token.SHR {
			return c.arith(op, x, c.expr(s.Rhs[0]), x.typ)
		}
		return c.arith(op, x, c.exprTo(s.Rhs[0], x.typ), x.typ)
	})
}

func (c *compiler) incDec(s *ast.IncDecStmt) step {
	op := token.ADD
	if s.Tok == token.DEC {
		op = token.SUB
	}
	return c.update(s.X, func(x value) value {
		if x.local && x.get == nil && x.typ == types.Typ[types.Int] {
			off, d := x.off, 1
			if op == token.SUB {
				d = -1
			}
			return value{typ: x.typ, rt: x.rt, get: func(f *frame) int { return *(*int)(f.At(off)) + d }}
		}
		return c.arith(op, x, c.constant(x.typ, constant.MakeInt64(1)), x.typ)
	})
}

// update compiles x op= y: the operands of x are evaluated once.
func (c *compiler) update(e ast.Expr, with func(x value) value) step {
	e = ast.Unparen(e)
	if ix, ok := e.(*ast.IndexExpr); ok {
		if t, ok := c.typeOf(ix.X).Underlying().(*types.Map); ok {
			return c.updateMap(ix, t, with)
		}
	}
	x := c.expr(e)
	if x.local {
		if x.off == 0 {
			c.fail(e.Pos(), "internal error: no place")
		}
		return simply(with(x).storeLocal(x.off))
	}
	tmp := c.layout.Place(wordType)
	place := c.placeOf(x, e)
	at := value{typ: x.typ, rt: x.rt, place: func(f *frame) unsafe.Pointer { return *(*unsafe.Pointer)(f.At(tmp)) }}
	put := with(at).store()
	return func(f *frame) ctl {
		p := place(f)
		*(*unsafe.Pointer)(f.At(tmp)) = p
		put(f, p)
		return next
	}
}

func (c *compiler) updateMap(e *ast.IndexExpr, t *types.Map, with func(x value) value) step {
	saveM, m := c.saved(c.expr(e.X))
	saveK, k := c.saved(c.exprTo(e.Index, t.Key()))
	mp, pos := load[unsafe.Pointer](m), int32(e.X.Pos())
	key := c.keyMemory(k)
	mt, elem := c.rtype(t).AsMap(), c.rtype(t.Elem())
	zero := native.New(elem)
	old := c.pointerResult(t.Elem(), func(f *frame) unsafe.Pointer {
		if p := native.MapGet(mt, mp(f), key(f)); p != nil {
			return p
		}
		return zero
	})
	save, v := c.saved(with(old))
	put := v.store()
	return func(f *frame) ctl {
		saveM(f)
		saveK(f)
		save(f)
		f.Pos = pos
		put(f, native.MapAssign(mt, mp(f), key(f)))
		return next
	}
}

// define compiles := and var with values: new variables, and for := also old
// ones of the same scope.
func (c *compiler) define(lhs, rhs []ast.Expr) step {
	if len(lhs) == 1 && len(rhs) == 1 {
		if v := c.newVariable(lhs[0]); v != nil {
			val := c.exprTo(rhs[0], v.Type())
			s, fresh := c.declare(v)
			if !s.boxed {
				return simply(val.storeLocal(s.off))
			}
			// The value may refer to a variable of the same name and place of an
			// earlier iteration: evaluate it before the new one exists.
			save, tmp := c.saved(val)
			put, addr := tmp.store(), s.address()
			return func(f *frame) ctl {
				save(f)
				fresh(f)
				put(f, addr(f))
				return next
			}
		}
	}
	return c.assignAll(lhs, rhs)
}

// newVariable returns the variable that an identifier defines here.
func (c *compiler) newVariable(e ast.Expr) *types.Var {
	id, ok := e.(*ast.Ident)
	if !ok || id.Name == "_" {
		return nil
	}
	v, _ := c.info.Defs[id].(*types.Var)
	if v != nil && v.Parent() == v.Pkg().Scope() {
		return nil // a package-level variable exists already
	}
	return v
}

// target is the left side of an assignment: operands are evaluated by prepare,
// the value is stored by set.
type target struct {
	typ     types.Type
	prepare func(*frame)
	set     func(f *frame, v func(*frame, unsafe.Pointer))
}

func isBlank(e ast.Expr) bool {
	id, ok := ast.Unparen(e).(*ast.Ident)
	return ok && id.Name == "_"
}

// target compiles the left side of an assignment of a value of type t.
func (c *compiler) target(e ast.Expr, t types.Type) target {
	e = ast.Unparen(e)
	if isBlank(e) {
		t = types.Default(t)
		s := c.temporary(c.rtype(t))
		prep, addr := s.prepare(), s.address()
		return target{t, prep, func(f *frame, put func(*frame, unsafe.Pointer)) { put(f, addr(f)) }}
	}
	if v := c.newVariable(e); v != nil {
		s, fresh := c.declare(v)
		addr := s.address()
		return target{c.subst(v.Type()), func(*frame) {}, func(f *frame, put func(*frame, unsafe.Pointer)) {
			fresh(f)
			put(f, addr(f))
		}}
	}
	if ix, ok := e.(*ast.IndexExpr); ok {
		if mt, ok := c.typeOf(ix.X).Underlying().(*types.Map); ok {
			return c.mapTarget(ix, mt)
		}
	}
	if late := c.lateTarget(e); late != nil {
		return *late
	}
	x := c.expr(e)
	if x.local {
		off := x.off
		return target{x.typ, func(*frame) {}, func(f *frame, put func(*frame, unsafe.Pointer)) { put(f, f.At(off)) }}
	}
	tmp := c.layout.Place(wordType)
	place := c.placeOf(x, e)
	if _, ok := e.(*ast.Ident); ok {
		return target{x.typ, func(*frame) {}, func(f *frame, put func(*frame, unsafe.Pointer)) { put(f, place(f)) }}
	}
	return target{x.typ, func(f *frame) { *(*unsafe.Pointer)(f.At(tmp)) = place(f) },
		func(f *frame, put func(*frame, unsafe.Pointer)) { put(f, *(*unsafe.Pointer)(f.At(tmp))) }}
}

// lateTarget evaluates the operands of an index, selector or dereference ahead
// and forms the address, which may panic, when the value is stored.
func (c *compiler) lateTarget(e ast.Expr) *target {
	defer c.from(e)()
	var save func(*frame)
	var x value
	switch e := e.(type) {
	case *ast.StarExpr:
		var p value
		save, p = c.saved(c.expr(e.X))
		x = c.deref(p, c.typeOf(e))
	case *ast.SelectorExpr:
		sel, ok := c.info.Selections[e]
		if !ok || !isPointer(c.typeOf(e.X)) {
			return nil
		}
		var p value
		save, p = c.saved(c.expr(e.X))
		x = c.fieldPath(p, sel.Index())
	case *ast.IndexExpr:
		t, ok := c.typeOf(e.X).Underlying().(*types.Slice)
		if !ok {
			return nil
		}
		saveS, s := c.saved(c.expr(e.X))
		idx := c.layout.Place(intRT)
		i := c.integerOf(e.Index)
		save = func(f *frame) {
			saveS(f)
			*(*int)(f.At(idx)) = i(f)
		}
		x = c.sliceIndex(s, t.Elem(), func(f *frame) int { return *(*int)(f.At(idx)) })
	default:
		return nil
	}
	place := x.place
	return &target{x.typ, save, func(f *frame, put func(*frame, unsafe.Pointer)) { put(f, place(f)) }}
}

func (c *compiler) mapTarget(e *ast.IndexExpr, t *types.Map) target {
	saveM, m := c.saved(c.expr(e.X))
	saveK, k := c.saved(c.exprTo(e.Index, t.Key()))
	mp, key, pos := load[unsafe.Pointer](m), c.keyMemory(k), int32(e.X.Pos())
	mt, elem := c.rtype(t).AsMap(), c.rtype(t.Elem())
	tmp := c.temporary(elem)
	prep, addr := tmp.prepare(), tmp.address()
	return target{c.subst(t.Elem()), func(f *frame) { saveM(f); saveK(f); prep(f) },
		func(f *frame, put func(*frame, unsafe.Pointer)) {
			p := addr(f)
			put(f, p)
			f.Pos = pos
			native.Move(elem, native.MapAssign(mt, mp(f), key(f)), p)
		}}
}

// assignAll compiles an assignment of any number of values.
func (c *compiler) assignAll(lhs, rhs []ast.Expr) step {
	if len(lhs) == len(rhs) {
		if len(lhs) == 1 {
			return c.assignOne(lhs[0], rhs[0])
		}
		return c.assignParallel(lhs, rhs)
	}
	if commaOK, ok := c.commaOK(rhs[0]); ok {
		return c.assignCommaOK(lhs, commaOK)
	}
	v := c.expr(rhs[0])
	targets := make([]target, len(lhs))
	puts := make([]func(*frame, unsafe.Pointer), len(lhs))
	for i, e := range lhs {
		targets[i] = c.target(e, v.many[i].typ)
		puts[i] = c.convert(v.many[i], targets[i].typ).store()
	}
	late := !slices.ContainsFunc(lhs, c.calls)
	return func(f *frame) ctl {
		if late {
			v.run(f)
		}
		for _, t := range targets {
			t.prepare(f)
		}
		if !late {
			v.run(f)
		}
		for i, t := range targets {
			t.set(f, puts[i])
		}
		return next
	}
}

func (c *compiler) assignOne(lhs, rhs ast.Expr) step {
	lhs = ast.Unparen(lhs)
	if isBlank(lhs) {
		if tv := c.info.Types[rhs]; tv.IsNil() {
			return nothing
		}
		return simply(c.discarded(rhs))
	}
	if id, ok := lhs.(*ast.Ident); ok {
		if v, ok := c.info.ObjectOf(id).(*types.Var); ok {
			x := c.variable(v)
			val := c.exprTo(rhs, x.typ)
			if x.local {
				if x.inMemory() {
					return c.moveSafely(val, func(f *frame) unsafe.Pointer { return f.At(x.off) })
				}
				return simply(val.storeLocal(x.off))
			}
			return c.moveSafely(val, x.place)
		}
	}
	if ix, ok := lhs.(*ast.IndexExpr); ok {
		if _, ok := c.typeOf(ix.X).Underlying().(*types.Slice); ok {
			x := c.expr(lhs)
			val := c.exprTo(rhs, x.typ)
			if simple(ix.X) && simple(ix.Index) && simpleRHS(rhs) {
				put, place := val.store(), x.place
				return func(f *frame) ctl {
					put(f, place(f))
					return next
				}
			}
		}
	}
	t := c.target(lhs, c.typeOf(rhs))
	save, val := c.saved(c.exprTo(rhs, t.typ))
	put := val.store()
	return func(f *frame) ctl {
		t.prepare(f)
		save(f)
		t.set(f, put)
		return next
	}
}

// moveSafely evaluates a value before its place is read.
func (c *compiler) moveSafely(v value, place func(*frame) unsafe.Pointer) step {
	if v.con != nil || v.isNil {
		put := v.store()
		return func(f *frame) ctl { put(f, place(f)); return next }
	}
	save, tmp := c.saved(v)
	put := tmp.store()
	return func(f *frame) ctl {
		save(f)
		put(f, place(f))
		return next
	}
}

// simple reports whether evaluating an expression has no effects.
func simple(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident, *ast.BasicLit:
		return true
	case *ast.ParenExpr:
		return simple(e.X)
	case *ast.SelectorExpr:
		return simple(e.X)
	case *ast.BinaryExpr:
		return e.Op != token.QUO && e.Op != token.REM && simple(e.X) && simple(e.Y)
	}
	return false
}

func simpleRHS(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident, *ast.BasicLit:
		return true
	case *ast.ParenExpr:
		return simpleRHS(e.X)
	case *ast.BinaryExpr:
		return e.Op != token.QUO && e.Op != token.REM && e.Op != token.SHL && e.Op != token.SHR && simpleRHS(e.X) && simpleRHS(e.Y)
	}
	return false
}

func (c *compiler) assignParallel(lhs, rhs []ast.Expr) step {
	targets := make([]target, len(lhs))
	saves := make([]func(*frame), len(lhs))
	puts := make([]func(*frame, unsafe.Pointer), len(lhs))
	// Right sides first: a := may declare variables that they must not see.
	vals := make([]value, len(lhs))
	for i, e := range rhs {
		t := c.typeOf(e)
		if v := c.newVariable(lhs[i]); v != nil {
			t = v.Type()
		} else if !isBlank(lhs[i]) {
			t = c.typeOf(lhs[i])
		} else if c.info.Types[e].IsNil() {
			t = types.Typ[types.UnsafePointer]
		}
		saves[i], vals[i] = c.saved(c.exprTo(e, types.Default(t)))
	}
	for i, e := range lhs {
		targets[i] = c.target(e, vals[i].typ)
		puts[i] = vals[i].store()
	}
	return func(f *frame) ctl {
		for _, t := range targets {
			t.prepare(f)
		}
		for _, save := range saves {
			save(f)
		}
		for i, t := range targets {
			t.set(f, puts[i])
		}
		return next
	}
}

// commaOK compiles the right side of v, ok = x: a map index, a type assertion
// or a receive.
func (c *compiler) commaOK(e ast.Expr) (okValue, bool) {
	var v okValue
	switch e := ast.Unparen(e).(type) {
	case *ast.IndexExpr:
		v.typ, v.eval = c.mapIndexOK(e)
	case *ast.TypeAssertExpr:
		v.typ, v.eval = c.typeAssertOK(e)
	case *ast.UnaryExpr:
		v.typ, v.eval = c.receiveOK(e)
	default:
		return v, false
	}
	return v, true
}

type okValue struct {
	typ  types.Type
	eval func(f *frame, dst unsafe.Pointer) bool
}

func (c *compiler) assignCommaOK(lhs []ast.Expr, r okValue) step {
	s := c.temporary(c.rtype(r.typ))
	prep, addr := s.prepare(), s.address()
	okSlot := c.layout.Place(c.rtype(types.Typ[types.Bool]))
	t0, t1 := c.target(lhs[0], r.typ), c.target(lhs[1], types.Typ[types.Bool])
	put0 := c.convert(c.slotValue(r.typ, s), t0.typ).store()
	put1 := c.convert(value{typ: types.Typ[types.Bool], rt: c.rtype(types.Typ[types.Bool]), local: true, off: okSlot}, t1.typ).store()
	late := !slices.ContainsFunc(lhs, c.calls)
	return func(f *frame) ctl {
		prep(f)
		if late {
			*(*bool)(f.At(okSlot)) = r.eval(f, addr(f))
		}
		t0.prepare(f)
		t1.prepare(f)
		if !late {
			*(*bool)(f.At(okSlot)) = r.eval(f, addr(f))
		}
		t0.set(f, put0)
		t1.set(f, put1)
		return next
	}
}
