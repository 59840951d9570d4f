package lower

import (
	"go/ast"
	"go/types"
	"reflect"
	"sync/atomic"
	"unsafe"

	"loris/interp/native"
	"loris/interp/run"
)

// methodCallee finds the method that x.Sel calls, with its receiver.
func (c *compiler) methodCallee(x value, e *ast.SelectorExpr) callee {
	sel := c.info.Selections[e]
	return c.method(x, sel.Obj().Name(), sel.Obj().Pkg())
}

// method looks a method up on the type of x in this instance, and follows the
// embedded fields that lead to it.
func (c *compiler) method(x value, name string, pkg *types.Package) callee {
	obj, path, _ := types.LookupFieldOrMethod(x.typ, true, pkg, name)
	m, ok := obj.(*types.Func)
	if !ok {
		c.fail(c.pos, "%s has no method %s", x.typ, name)
	}
	x = c.fieldPath(x, path[:len(path)-1])
	if isInterface(x.typ) {
		return c.interfaceCallee(x, m)
	}
	sig := m.Signature()
	recv := c.receiver(x, isPointer(sig.Recv().Type()))
	named, _ := types.Unalias(deref(recv.typ)).(*types.Named)
	bare := c.subst(types.NewSignatureType(nil, nil, nil, sig.Params(), sig.Results(), sig.Variadic())).(*types.Signature)
	if m.Pkg() == nil || m.Pkg().Path() != "main" {
		fn := c.nativeMethod(recv, named, m)
		return c.nativeCallee(m.FullName(), fn, &recv, bare)
	}
	var targs []types.Type
	if named != nil {
		for i := range named.TypeArgs().Len() {
			targs = append(targs, c.subst(named.TypeArgs().At(i)))
		}
	}
	return c.staticCallee(c.p.instance(m.Origin(), targs), bare, &recv)
}

func deref(t types.Type) types.Type {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// receiver adapts x to a method's receiver: its address or what it points to.
func (c *compiler) receiver(x value, pointer bool) value {
	_, isPtr := types.Unalias(x.typ).(*types.Pointer)
	switch {
	case pointer && !isPtr:
		p := x.place
		if p == nil {
			p = x.memory()
		}
		return c.result(types.NewPointer(x.typ), p)
	case !pointer && isPtr:
		return c.deref(x, x.typ.(*types.Pointer).Elem())
	}
	return x
}

func (c *compiler) nativeMethod(recv value, named *types.Named, m *types.Func) reflect.Value {
	if named != nil && named.TypeArgs().Len() > 0 {
		fn, ok := c.p.Packages.Method(named, m.Name(), isPointer(recv.typ), func(t types.Type) reflect.Type { return c.rtype(t).Reflect() })
		if ok {
			return fn
		}
	}
	rm, ok := recv.rt.Reflect().MethodByName(m.Name())
	if !ok {
		c.fail(c.pos, "method %s of %s cannot be called from a cell", m.Name(), recv.typ)
	}
	return rm.Func
}

// methodTarget is the code behind a method of a dynamic type.
type methodTarget struct {
	typ  *native.Type
	code *run.Code
}

type dispatchKey struct {
	typ  *native.Type
	name string
}

// interfaceCallee calls a method of the value in an interface.
func (c *compiler) interfaceCallee(x value, m *types.Func) callee {
	g := load[native.Iface](x)
	methods := hasMethods(x.rt)
	msig := m.Signature()
	sig := c.subst(types.NewSignatureType(nil, nil, nil, msig.Params(), msig.Results(), msig.Variadic())).(*types.Signature)
	name, pos := m.Name(), int32(c.pos)
	p := c.p
	var cache atomic.Pointer[methodTarget]
	return callee{sig: sig, word: true, enter: func(f *frame) *frame {
		v := g(f)
		dt := dynamicType(v, methods)
		if dt == nil {
			nilDereference(f, pos)
		}
		t := cache.Load()
		if t == nil || t.typ != dt {
			t = &methodTarget{dt, p.dispatchTo(dt, name, sig)}
			cache.Store(t)
		}
		nf := f.Thread.NewFrame(t.code)
		*(*unsafe.Pointer)(nf.At(t.code.Params[0].Off)) = v.Data
		return nf
	}}
}

// dispatchTo returns code for a method of a dynamic type that takes the
// receiver as an interface's data word.
func (p *Program) dispatchTo(dt *native.Type, name string, sig *types.Signature) *run.Code {
	key := dispatchKey{dt, name}
	if code, ok := p.dispatch.Load(key); ok {
		return code.(*run.Code)
	}
	code := p.late(func() *run.Code {
		if src, ok := p.Types.Source(dt); ok {
			return p.wordMethod(src, name)
		}
		return p.nativeWordMethod(dt, name, sig)
	})
	p.dispatch.Store(key, code)
	return code
}

// wordMethod wraps a method of a type of the session.
func (p *Program) wordMethod(recv types.Type, name string) *run.Code {
	pkg := mainPackage(recv)
	obj, _, _ := types.LookupFieldOrMethod(recv, false, pkg, name)
	sig := obj.(*types.Func).Signature()
	bare := types.NewSignatureType(nil, nil, nil, sig.Params(), sig.Results(), sig.Variadic())
	return p.thunk(name, types.Typ[types.UnsafePointer], bare, nil, func(c *compiler, params, _ []value) value {
		word := load[unsafe.Pointer](params[0])
		if p, ok := recv.(*types.Pointer); ok && !isPointer(sig.Recv().Type()) && sig.Recv().Pkg() == pkg {
			word = c.panicwrap(word, p, name)
		}
		cl := c.method(c.fromWord(recv, word), name, pkg)
		return c.call(cl, params[1:])
	})
}

// panicwrap refuses a nil pointer to a type whose method has a value receiver.
func (c *compiler) panicwrap(word func(*frame) unsafe.Pointer, p *types.Pointer, name string) func(*frame) unsafe.Pointer {
	text := "value method " + types.TypeString(p.Elem(), nil) + "." + name + " called using nil *" + typeBase(p.Elem()) + " pointer"
	return func(f *frame) unsafe.Pointer {
		w := word(f)
		if w == nil {
			panic(plainError(text))
		}
		return w
	}
}

// fromWord views an interface's data word as a value of its type.
func (c *compiler) fromWord(t types.Type, word func(*frame) unsafe.Pointer) value {
	rt := c.rtype(t)
	if rt.Direct() {
		return c.unboxed(t, func(f *frame) native.Iface { return native.Iface{Data: word(f)} })
	}
	pos := int32(c.pos)
	return c.at(t, func(f *frame) unsafe.Pointer {
		p := word(f)
		if p == nil {
			nilDereference(f, pos)
		}
		return p
	})
}

func mainPackage(t types.Type) *types.Package {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		return t.Obj().Pkg()
	case *types.Pointer:
		return mainPackage(t.Elem())
	case *types.Struct:
		for f := range t.Fields() {
			return f.Pkg()
		}
	}
	return nil
}

// binder gives the methods of made types to the types themselves.
type binder Program

func (b *binder) Imported(t *types.Named) (reflect.Type, error) {
	return (*Program)(b).Packages.Type(t)
}

// Method makes the func value behind an entry of a method table. The code is
// made when it is first called, since the method may not be compiled yet.
func (b *binder) Method(recv types.Type, sel *types.Selection, word bool) reflect.Value {
	p := (*Program)(b)
	name := sel.Obj().Name()
	sig := sel.Type().(*types.Signature)
	first := types.Type(types.Typ[types.UnsafePointer])
	if !word {
		first = recv
	}
	params := []*types.Var{types.NewParam(0, nil, "", first)}
	for v := range sig.Params().Variables() {
		params = append(params, v)
	}
	full := types.NewSignatureType(nil, nil, nil, types.NewTuple(params...), sig.Results(), sig.Variadic())
	lazy := &run.Func{Name: name}
	lazy.Resolve(func() *run.Code {
		return p.late(func() *run.Code {
			if word {
				return p.wordMethod(recv, name)
			}
			bare := types.NewSignatureType(nil, nil, nil, sig.Params(), sig.Results(), sig.Variadic())
			pkg := sel.Obj().Pkg()
			return p.thunk(name, recv, bare, nil, func(c *compiler, params, _ []value) value {
				return c.call(c.method(params[0], name, pkg), params[1:])
			})
		})
	})
	typ := (*Program)(b).Types.OfLocked(full).Reflect()
	fp := (&run.Closure{Late: lazy}).Value(typ)
	f := reflect.New(typ).Elem()
	*(*unsafe.Pointer)(f.Addr().UnsafePointer()) = fp
	return f
}

// methodValue is x.M as a func value: the receiver is evaluated now.
func (c *compiler) methodValue(e *ast.SelectorExpr) value {
	x := c.expr(e.X)
	sel := c.info.Selections[e]
	name, pkg := sel.Obj().Name(), sel.Obj().Pkg()
	obj, path, _ := types.LookupFieldOrMethod(x.typ, true, pkg, name)
	x = c.fieldPath(x, path[:len(path)-1])
	m := obj.(*types.Func)
	iface := isInterface(x.typ)
	if !iface {
		x = c.receiver(x, isPointer(m.Signature().Recv().Type()))
	}
	t := c.typeOf(e)
	sig := t.Underlying().(*types.Signature)
	bare := types.NewSignatureType(nil, nil, nil, sig.Params(), sig.Results(), sig.Variadic())
	code := c.p.thunk(name, nil, bare, []types.Type{x.typ}, func(tc *compiler, params, caps []value) value {
		return tc.call(tc.method(caps[0], name, pkg), params)
	})
	rt := c.rtype(bare).Reflect()
	put, xt, pos := x.store(), x.rt, int32(c.pos)
	return c.result(t, func(f *frame) unsafe.Pointer {
		p := native.New(xt)
		put(f, p)
		if iface && (*native.Iface)(p).Tab == nil {
			nilDereference(f, pos)
		}
		return (&run.Closure{Code: code, Captured: []unsafe.Pointer{p}, Task: f.Thread.Task}).Value(rt)
	})
}

// methodExpr is T.M: a function whose first parameter is the receiver.
func (c *compiler) methodExpr(e *ast.SelectorExpr, sel *types.Selection) value {
	t := c.typeOf(e)
	sig := t.Underlying().(*types.Signature)
	name, pkg := sel.Obj().Name(), sel.Obj().Pkg()
	code := c.p.thunk(name, nil, sig, nil, func(tc *compiler, params, _ []value) value {
		return tc.call(tc.method(params[0], name, pkg), params[1:])
	})
	fp := (&run.Closure{Code: code}).Value(c.rtype(sig).Reflect())
	return c.result(t, constantly(fp))
}
