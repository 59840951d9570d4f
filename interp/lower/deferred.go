package lower

import (
	"go/ast"
	"go/types"
	"loris/interp/run"
)

// deferredInOrder is deferredCall with what its operands call evaluated ahead.
func (c *compiler) deferredInOrder(e *ast.CallExpr) func(*frame) func(*run.Thread, *run.Panicking) {
	first := c.evaluateAhead(operands(e)...)
	prepare := c.deferredCall(e)
	if first == nil {
		return prepare
	}
	return func(f *frame) func(*run.Thread, *run.Panicking) {
		first(f)
		return prepare(f)
	}
}

// deferredCall compiles the call of a defer or go statement: the function value
// and the arguments are evaluated when prepare runs, the call is made when what
// it returns does.
func (c *compiler) deferredCall(e *ast.CallExpr) (prepare func(*frame) func(*run.Thread, *run.Panicking)) {
	fun := ast.Unparen(e.Fun)
	if c.info.Types[fun].IsBuiltin() {
		return c.deferredBuiltin(e, builtinName(fun))
	}
	if c.info.Types[fun].IsType() {
		v := c.conversion(e)
		save, _ := c.saved(v)
		return func(f *frame) func(*run.Thread, *run.Panicking) {
			save(f)
			return func(*run.Thread, *run.Panicking) {}
		}
	}
	cl := c.callee(fun)
	args := c.arguments(e, cl.sig)
	var recvType types.Type
	if cl.recv != nil {
		recvType = cl.recv.typ
		args = append([]value{*cl.recv}, args...)
	} else if cl.word {
		recvType = types.Typ[types.UnsafePointer]
	}
	cv := c.p.convention(recvType, cl.sig)
	puts := make([]argument, len(args))
	for i, a := range args {
		puts[i] = c.putArgument(a, cv.params[i+b2i(cl.word)].Off)
	}
	nilFunc := cl.recv == nil && !cl.word && cl.plain == nil
	return func(f *frame) func(*run.Thread, *run.Panicking) {
		if nilFunc {
			if nf, p := enterOrPanic(cl, f); p != nil {
				return func(*run.Thread, *run.Panicking) { panic(p) } // a nil func panics when it is called
			} else {
				return c.later(f, nf, puts)
			}
		}
		return c.later(f, cl.enter(f), puts)
	}
}

func (c *compiler) later(f, nf *frame, puts []argument) func(*run.Thread, *run.Panicking) {
	for _, put := range puts {
		put(f, nf)
	}
	return func(th *run.Thread, p *run.Panicking) {
		nf.Thread = th
		nf.Panic = p
		nf.Invoke()
		th.Release(nf)
	}
}

func enterOrPanic(cl callee, f *frame) (nf *frame, r any) {
	defer func() {
		if nf == nil {
			r = recover()
		}
	}()
	return cl.enter(f), nil
}

func (c *compiler) deferredBuiltin(e *ast.CallExpr, name string) func(*frame) func(*run.Thread, *run.Panicking) {
	if name == "recover" {
		return func(*frame) func(*run.Thread, *run.Panicking) {
			return func(_ *run.Thread, p *run.Panicking) { run.DeferredRecover(p) }
		}
	}
	// The arguments become the captured variables of code that calls the builtin.
	params := make([]*types.Var, len(e.Args))
	vals := make([]value, len(e.Args))
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	call := &ast.CallExpr{Fun: e.Fun, Lparen: e.Lparen, Args: make([]ast.Expr, len(e.Args)), Ellipsis: e.Ellipsis, Rparen: e.Rparen}
	info.Types[call] = c.info.Types[e]
	info.Types[ast.Unparen(e.Fun)] = c.info.Types[ast.Unparen(e.Fun)]
	info.Types[e.Fun] = c.info.Types[e.Fun]
	for i, a := range e.Args {
		t := types.Default(c.typeOf(a))
		if name == "panic" {
			t = types.Universe.Lookup("any").Type()
		}
		vals[i] = c.exprTo(a, t)
		id := &ast.Ident{NamePos: a.Pos(), Name: "a"}
		params[i] = types.NewVar(a.Pos(), nil, "a", t)
		info.Uses[id] = params[i]
		info.Types[id] = types.TypeAndValue{Type: t}
		call.Args[i] = id
	}
	sig := types.NewSignatureType(nil, nil, nil, types.NewTuple(params...), nil, false)
	code := c.p.thunk(name, nil, sig, nil, func(tc *compiler, ps, _ []value) value {
		tc.info = info
		tc.env = c.env
		for i, p := range params {
			tc.vars[p] = slot{off: ps[i].off, t: ps[i].rt}
		}
		v := tc.builtin(call, name)
		if v.run == nil {
			save, _ := tc.saved(v)
			return effect(save)
		}
		return effect(v.run)
	})
	puts := make([]argument, len(vals))
	for i, v := range vals {
		puts[i] = c.putArgument(v, code.Params[i].Off)
	}
	return func(f *frame) func(*run.Thread, *run.Panicking) {
		return c.later(f, f.Thread.NewFrame(code), puts)
	}
}
