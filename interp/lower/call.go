package lower

import (
	"go/ast"
	"go/types"
	"reflect"
	"unsafe"

	"loris/interp/native"
	"loris/interp/run"
)

// convention gives where a signature's parameters and results are in a frame.
// It depends on nothing else, so that callers need not know the code they call.
type convention struct {
	params, results []run.Slot
}

func (p *Program) convention(recv types.Type, sig *types.Signature) convention {
	var l native.Layout
	l.Place(run.FrameType)
	var cv convention
	slot := func(t types.Type) run.Slot {
		rt := p.rtype(t)
		return run.Slot{Off: l.Place(rt), Type: rt}
	}
	if recv != nil {
		cv.params = append(cv.params, slot(recv))
	}
	for v := range sig.Params().Variables() {
		cv.params = append(cv.params, slot(v.Type()))
	}
	for v := range sig.Results().Variables() {
		cv.results = append(cv.results, slot(v.Type()))
	}
	return cv
}

// callee is what a call calls: enter returns a frame for it, with the receiver
// word set if the callee is found by an interface.
type callee struct {
	sig   *types.Signature
	recv  *value // the first argument, for methods
	enter func(f *frame) *frame
	word  bool // enter has set the first parameter
	plain *run.Func
	pos   int32        // of the call, if it stands in a cell
	first func(*frame) // evaluates what comes before the operands
}

// callExpr is a conversion, a builtin or a call.
func (c *compiler) callExpr(e *ast.CallExpr) value {
	fun := ast.Unparen(e.Fun)
	if c.info.Types[fun].IsType() {
		return c.conversion(e)
	}
	if c.info.Types[fun].IsBuiltin() {
		return c.builtin(e, builtinName(fun))
	}
	first := c.evaluateAhead(operands(e)...)
	cl := c.callee(fun)
	cl.pos, cl.first = int32(c.pos), first
	return c.call(cl, c.arguments(e, cl.sig))
}

// operands are what a call evaluates before it calls: the receiver or function
// value and the arguments.
func operands(e *ast.CallExpr) []ast.Expr {
	var list []ast.Expr
	switch fun := ast.Unparen(e.Fun).(type) {
	case *ast.SelectorExpr:
		list = append(list, fun.X)
	case *ast.CallExpr, *ast.IndexExpr, *ast.StarExpr, *ast.TypeAssertExpr:
		list = append(list, fun)
	}
	return append(list, e.Args...)
}

func builtinName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return "unsafe." + e.Sel.Name
	}
	return ""
}

func (c *compiler) conversion(e *ast.CallExpr) value {
	t := c.typeOf(e)
	x := e.Args[0]
	if c.info.Types[x].IsNil() {
		v := c.zero(t)
		v.isNil = false // a nil of a type, unlike the untyped one
		return v
	}
	v := c.expr(x)
	if v.con != nil && !v.rt.IsInterface() {
		if b, ok := types.Unalias(v.typ).(*types.Basic); ok && b.Info()&types.IsUntyped != 0 {
			return c.convert(c.constant(t, v.con), t)
		}
	}
	return c.convert(v, t)
}

// callee finds out what an expression in call position calls.
func (c *compiler) callee(fun ast.Expr) callee {
	switch fun := fun.(type) {
	case *ast.IndexExpr:
		if tv, ok := c.info.Types[fun.Index]; ok && tv.IsType() {
			return c.callee(ast.Unparen(fun.X))
		}
	case *ast.IndexListExpr:
		return c.callee(ast.Unparen(fun.X))
	case *ast.Ident:
		if f, ok := c.info.ObjectOf(fun).(*types.Func); ok {
			return c.funcCallee(f, fun)
		}
	case *ast.SelectorExpr:
		if sel, ok := c.info.Selections[fun]; ok {
			if sel.Kind() == types.MethodVal {
				return c.methodCallee(c.expr(fun.X), fun)
			}
		} else if f, ok := c.info.ObjectOf(fun.Sel).(*types.Func); ok {
			return c.funcCallee(f, fun.Sel)
		}
	}
	v := c.expr(fun)
	sig := c.coreSignature(v.typ)
	return c.valueCallee(v, sig)
}

func (c *compiler) coreSignature(t types.Type) *types.Signature {
	return t.Underlying().(*types.Signature)
}

func (c *compiler) funcCallee(f *types.Func, id *ast.Ident) callee {
	targs := c.typeArgs(id)
	sig := f.Signature()
	if len(targs) > 0 {
		inst, err := types.Instantiate(c.p.context, sig, targs, false)
		if err != nil {
			c.fail(id.Pos(), "%v", err)
		}
		sig = inst.(*types.Signature)
	}
	sig = c.subst(sig).(*types.Signature)
	if f.Pkg() != nil && f.Pkg().Path() != "main" {
		return c.nativeCallee(f.FullName(), c.nativeFunc(f, targs), nil, sig)
	}
	return c.staticCallee(c.p.instance(f, targs), sig, nil)
}

func (c *compiler) staticCallee(fn *run.Func, sig *types.Signature, recv *value) callee {
	return callee{sig: sig, recv: recv, plain: fn, enter: func(f *frame) *frame { return f.Thread.NewFrame(fn.Code()) }}
}

// valueCallee calls a func value.
func (c *compiler) valueCallee(v value, sig *types.Signature) callee {
	g, pos := load[unsafe.Pointer](v), int32(c.pos)
	sig = types.NewSignatureType(nil, nil, nil, sig.Params(), sig.Results(), sig.Variadic())
	adapter := c.p.valueAdapter(sig)
	return callee{sig: sig, enter: func(f *frame) *frame {
		fv := g(f)
		if fv == nil {
			nilDereference(f, pos)
		}
		if cl := run.ClosureOf(fv); cl != nil {
			return f.Thread.Enter(cl)
		}
		nf := f.Thread.NewFrame(adapter)
		nf.Closure = &run.Closure{Captured: []unsafe.Pointer{fv}}
		return nf
	}}
}

// argument writes one argument into the callee's frame.
type argument func(f, nf *frame)

// arguments compiles the arguments of a call against the parameters.
func (c *compiler) arguments(e *ast.CallExpr, sig *types.Signature) []value {
	n := sig.Params().Len()
	if len(e.Args) == 1 && n+b2i(sig.Variadic()) > 0 {
		if tuple, ok := c.typeOf(e.Args[0]).(*types.Tuple); ok {
			return c.spread(c.expr(e.Args[0]), tuple, sig)
		}
	}
	var args []value
	fixed := n
	if sig.Variadic() && !e.Ellipsis.IsValid() {
		fixed--
	}
	for i := range fixed {
		args = append(args, c.exprTo(e.Args[i], sig.Params().At(i).Type()))
	}
	if fixed < n {
		elem := sig.Params().At(fixed).Type().(*types.Slice).Elem()
		var rest []value
		for _, a := range e.Args[fixed:] {
			rest = append(rest, c.exprTo(a, elem))
		}
		args = append(args, c.packed(rest, elem))
	}
	return args
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// spread passes the results of a call with several results.
func (c *compiler) spread(v value, tuple *types.Tuple, sig *types.Signature) []value {
	n := sig.Params().Len()
	var args, rest []value
	for i, m := range v.many {
		if sig.Variadic() && i >= n-1 {
			rest = append(rest, c.convert(m, sig.Params().At(n-1).Type().(*types.Slice).Elem()))
		} else {
			args = append(args, c.convert(m, sig.Params().At(i).Type()))
		}
	}
	if sig.Variadic() {
		args = append(args, c.packed(rest, sig.Params().At(n-1).Type().(*types.Slice).Elem()))
	}
	if len(args) > 0 {
		args[0] = before(v.run, args[0])
	}
	return args
}

// before evaluates an effect ahead of a value.
func before(first func(*frame), v value) value {
	put, m, rt := v.store(), v.memory(), v.rt
	_ = m
	return value{typ: v.typ, rt: rt, place: func(f *frame) unsafe.Pointer {
		first(f)
		p := native.New(rt)
		put(f, p)
		return p
	}}
}

// packed makes the slice of a variadic parameter.
func (c *compiler) packed(vals []value, elem types.Type) value {
	t := types.NewSlice(elem)
	if len(vals) == 0 {
		return c.zero(t)
	}
	rt := c.rtype(elem)
	puts := make([]func(*frame, unsafe.Pointer), len(vals))
	for i, v := range vals {
		put, off := v.store(), uintptr(i)*rt.Size
		puts[i] = func(f *frame, p unsafe.Pointer) { put(f, unsafe.Add(p, off)) }
	}
	n := len(puts)
	return c.result(t, func(f *frame) native.Slice {
		p := native.NewArray(rt, n)
		for _, put := range puts {
			put(f, p)
		}
		return native.Slice{Data: p, Len: n, Cap: n}
	})
}

// call makes the value of a call.
func (c *compiler) call(cl callee, args []value) value {
	var recvType types.Type
	if cl.recv != nil {
		recvType = cl.recv.typ
		args = append([]value{*cl.recv}, args...)
	} else if cl.word {
		recvType = types.Typ[types.UnsafePointer]
	}
	cv := c.p.convention(recvType, cl.sig)
	puts := make([]argument, 0, len(args))
	skip := b2i(cl.word)
	if cl.recv != nil {
		puts = append(puts, c.putArgument(args[0], cv.params[0].Off))
		args, skip = args[1:], 1
	}
	for i, a := range args {
		puts = append(puts, c.putArgument(a, cv.params[i+skip].Off))
	}
	return c.callResult(cl.sig, cv, invoker(cl, puts))
}

func (c *compiler) putArgument(a value, off uintptr) argument {
	switch g := a.get.(type) {
	case func(*frame) int:
		return func(f, nf *frame) { *(*int)(nf.At(off)) = g(f) }
	case func(*frame) float64:
		return func(f, nf *frame) { *(*float64)(nf.At(off)) = g(f) }
	case func(*frame) string:
		return func(f, nf *frame) { *(*string)(nf.At(off)) = g(f) }
	}
	put := a.store()
	return func(f, nf *frame) { put(f, nf.At(off)) }
}

// invoker returns what performs a call and yields the callee's frame, whose
// results are then read.
func invoker(cl callee, puts []argument) func(*frame) *frame {
	enter, pos := cl.enter, cl.pos
	if first := cl.first; first != nil {
		cl.first = nil
		call := invoker(cl, puts)
		return func(f *frame) *frame {
			first(f)
			return call(f)
		}
	}
	if pos == 0 {
		return unplaced(enter, puts)
	}
	switch len(puts) {
	case 0:
		return func(f *frame) *frame {
			nf := enter(f)
			f.Pos = pos
			nf.Invoke()
			return nf
		}
	case 1:
		a := puts[0]
		if fn := cl.plain; fn != nil {
			return func(f *frame) *frame {
				nf := f.Thread.NewFrame(fn.Code())
				a(f, nf)
				f.Pos = pos
				nf.Invoke()
				return nf
			}
		}
		return func(f *frame) *frame {
			nf := enter(f)
			a(f, nf)
			f.Pos = pos
			nf.Invoke()
			return nf
		}
	case 2:
		a, b := puts[0], puts[1]
		return func(f *frame) *frame {
			nf := enter(f)
			a(f, nf)
			b(f, nf)
			f.Pos = pos
			nf.Invoke()
			return nf
		}
	}
	return func(f *frame) *frame {
		nf := enter(f)
		for _, a := range puts {
			a(f, nf)
		}
		f.Pos = pos
		nf.Invoke()
		return nf
	}
}

// unplaced calls from code that stands for no call in a cell.
func unplaced(enter func(*frame) *frame, puts []argument) func(*frame) *frame {
	return func(f *frame) *frame {
		nf := enter(f)
		for _, a := range puts {
			a(f, nf)
		}
		nf.Invoke()
		return nf
	}
}

func resultOf[T any](invoke func(*frame) *frame, off uintptr) func(*frame) T {
	return func(f *frame) T {
		nf := invoke(f)
		r := *(*T)(nf.At(off))
		f.Thread.Release(nf)
		return r
	}
}

func (c *compiler) callResult(sig *types.Signature, cv convention, invoke func(*frame) *frame) value {
	discard := func(f *frame) { f.Thread.Release(invoke(f)) }
	switch len(cv.results) {
	case 0:
		return value{run: discard, typ: types.NewTuple()}
	case 1:
	default:
		v := value{typ: sig.Results()}
		slots := make([]slot, len(cv.results))
		for i, r := range cv.results {
			slots[i] = c.temporary(r.Type)
			v.many = append(v.many, c.slotValue(sig.Results().At(i).Type(), slots[i]))
		}
		results := cv.results
		prepare, at := make([]func(*frame), len(slots)), make([]func(*frame) unsafe.Pointer, len(slots))
		for i, s := range slots {
			prepare[i], at[i] = s.prepare(), s.address()
		}
		v.run = func(f *frame) {
			nf := invoke(f)
			for i, r := range results {
				prepare[i](f)
				native.Move(r.Type, at[i](f), nf.At(r.Off))
			}
			f.Thread.Release(nf)
		}
		return v
	}
	off, rt := cv.results[0].Off, cv.results[0].Type
	v := value{typ: sig.Results().At(0).Type(), rt: rt, run: discard}
	switch v.kind() {
	case reflect.Bool:
		v.get = resultOf[bool](invoke, off)
	case reflect.Int:
		v.get = resultOf[int](invoke, off)
	case reflect.Int8:
		v.get = resultOf[int8](invoke, off)
	case reflect.Int16:
		v.get = resultOf[int16](invoke, off)
	case reflect.Int32:
		v.get = resultOf[int32](invoke, off)
	case reflect.Int64:
		v.get = resultOf[int64](invoke, off)
	case reflect.Uint:
		v.get = resultOf[uint](invoke, off)
	case reflect.Uint8:
		v.get = resultOf[uint8](invoke, off)
	case reflect.Uint16:
		v.get = resultOf[uint16](invoke, off)
	case reflect.Uint32:
		v.get = resultOf[uint32](invoke, off)
	case reflect.Uint64:
		v.get = resultOf[uint64](invoke, off)
	case reflect.Uintptr:
		v.get = resultOf[uintptr](invoke, off)
	case reflect.Float32:
		v.get = resultOf[float32](invoke, off)
	case reflect.Float64:
		v.get = resultOf[float64](invoke, off)
	case reflect.Complex64:
		v.get = resultOf[complex64](invoke, off)
	case reflect.Complex128:
		v.get = resultOf[complex128](invoke, off)
	case reflect.String:
		v.get = resultOf[string](invoke, off)
	case reflect.Slice:
		v.get = resultOf[native.Slice](invoke, off)
	case reflect.Interface:
		v.get = resultOf[native.Iface](invoke, off)
	case reflect.Struct, reflect.Array:
		v.get = func(f *frame) unsafe.Pointer {
			nf := invoke(f)
			p := native.New(rt)
			native.Move(rt, p, nf.At(off))
			f.Thread.Release(nf)
			return p
		}
	default:
		v.get = resultOf[unsafe.Pointer](invoke, off)
	}
	return v
}

// thunk makes code out of Go: build gets the parameters and the captured
// values and returns the call whose results are the thunk's.
func (p *Program) thunk(name string, recv types.Type, sig *types.Signature, captured []types.Type, build func(c *compiler, params, caps []value) value) *run.Code {
	c := newCompiler(p, &types.Info{})
	code := run.NewCode(name)
	code.Hidden = true
	cv := p.convention(recv, sig)
	code.Params, code.Results = cv.params, cv.results
	for _, s := range append(append([]run.Slot{}, cv.params...), cv.results...) {
		c.layout.Place(s.Type)
	}
	var params, caps []value
	if recv != nil {
		params = append(params, c.slotValue(recv, slot{off: cv.params[0].Off, t: cv.params[0].Type}))
	}
	for i := range sig.Params().Len() {
		s := cv.params[i+b2i(recv != nil)]
		params = append(params, c.slotValue(sig.Params().At(i).Type(), slot{off: s.Off, t: s.Type}))
	}
	for i, t := range captured {
		caps = append(caps, c.at(t, func(f *frame) unsafe.Pointer { return f.Closure.Captured[i] }))
	}
	v := build(c, params, caps)
	results := cv.results
	switch len(results) {
	case 0:
		code.Body = v.run
		if v.run == nil {
			code.Body = func(*frame) {}
		}
	case 1:
		code.Body = v.storeLocal(results[0].Off)
	default:
		puts := make([]func(*frame), len(results))
		for i := range results {
			puts[i] = v.many[i].storeLocal(results[i].Off)
		}
		code.Body = func(f *frame) {
			v.run(f)
			for _, put := range puts {
				put(f)
			}
		}
	}
	code.Layout = c.layout.Type()
	return code
}
