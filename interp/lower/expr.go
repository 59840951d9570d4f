package lower

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"reflect"
	"unsafe"

	"loris/interp/native"
	"loris/interp/run"
)

// expr compiles an expression.
func (c *compiler) expr(e ast.Expr) value {
	if tv, ok := c.info.Types[e]; ok && tv.Value != nil {
		return c.constant(c.subst(tv.Type), tv.Value)
	}
	if v, ok := c.ahead[e]; ok {
		return v
	}
	defer c.from(e)()
	switch e := e.(type) {
	case *ast.ParenExpr:
		return c.expr(e.X)
	case *ast.Ident:
		return c.ident(e)
	case *ast.BasicLit:
		return c.constant(c.typeOf(e), constant.MakeFromLiteral(e.Value, e.Kind, 0))
	case *ast.FuncLit:
		return c.funcLit(e)
	case *ast.CompositeLit:
		return c.compositeLit(e, c.typeOf(e))
	case *ast.SelectorExpr:
		return c.selector(e)
	case *ast.IndexExpr:
		return c.index(e)
	case *ast.IndexListExpr:
		return c.genericFunc(e.X)
	case *ast.SliceExpr:
		return c.sliceExpr(e)
	case *ast.TypeAssertExpr:
		return c.typeAssert(e)
	case *ast.CallExpr:
		return c.callExpr(e)
	case *ast.StarExpr:
		return c.deref(c.expr(e.X), c.typeOf(e))
	case *ast.UnaryExpr:
		return c.unary(e)
	case *ast.BinaryExpr:
		return c.binary(e)
	}
	c.fail(e.Pos(), "unexpected expression")
	panic(0)
}

// exprTo compiles an expression whose value is assigned to type t.
func (c *compiler) exprTo(e ast.Expr, t types.Type) value {
	t = c.subst(t)
	if tv, ok := c.info.Types[e]; ok && tv.IsNil() {
		return c.zero(t)
	}
	return c.convert(c.expr(e), t)
}

func (c *compiler) ident(e *ast.Ident) value {
	switch o := c.info.ObjectOf(e).(type) {
	case *types.Nil:
		return c.zero(c.typeOf(e))
	case *types.Const:
		return c.constant(c.subst(o.Type()), o.Val())
	case *types.Var:
		return c.variable(o)
	case *types.Func:
		return c.funcValue(o, c.typeArgs(e))
	}
	c.fail(e.Pos(), "%s is not an expression", e.Name)
	panic(0)
}

// typeArgs returns the type arguments of a generic function that an identifier
// names here.
func (c *compiler) typeArgs(id *ast.Ident) []types.Type {
	inst, ok := c.info.Instances[id]
	if !ok {
		return nil
	}
	args := make([]types.Type, inst.TypeArgs.Len())
	for i := range args {
		args[i] = c.subst(inst.TypeArgs.At(i))
	}
	return args
}

func (c *compiler) variable(v *types.Var) value {
	if s, ok := c.lookup(v); ok {
		return c.slotValue(c.subst(v.Type()), s)
	}
	if v.Pkg() != nil && v.Pkg().Path() != "main" {
		return c.importedVar(v)
	}
	g := c.p.Global(v)
	r := c.fixed(v.Type(), g.Ptr)
	return r
}

// importedVar is a variable of a compiled package. The standard streams are
// those of the cell that runs.
func (c *compiler) importedVar(v *types.Var) value {
	if v.Pkg().Path() == "os" && (v.Name() == "Stdout" || v.Name() == "Stderr") {
		name := map[string]string{"Stdout": "stdout", "Stderr": "stderr"}[v.Name()]
		return c.at(v.Type(), func(f *frame) unsafe.Pointer { return unsafe.Pointer(f.Thread.Task.File(name)) })
	}
	if p, ok := c.p.Variables[v.Pkg().Path()+"."+v.Name()]; ok {
		return c.fixed(v.Type(), p)
	}
	sym, err := c.p.Packages.Symbol(v.Pkg().Path(), v.Name())
	if err != nil {
		c.fail(c.pos, "%v", err)
	}
	return c.fixed(v.Type(), sym.Addr().UnsafePointer())
}

// funcValue is a declared function as a value.
func (c *compiler) funcValue(f *types.Func, targs []types.Type) value {
	sig := f.Signature()
	if len(targs) > 0 {
		inst, err := types.Instantiate(c.p.context, sig, targs, false)
		if err != nil {
			c.fail(c.pos, "%v", err)
		}
		sig = inst.(*types.Signature)
	}
	t := c.subst(sig)
	if f.Pkg() != nil && f.Pkg().Path() != "main" {
		fv := c.nativeFunc(f, targs)
		fp := funcWord(fv)
		return c.result(t, constantly(fp))
	}
	fn := c.p.instance(f, targs)
	cl := &run.Closure{Late: fn}
	fp := cl.Value(c.rtype(t).Reflect())
	return c.result(t, constantly(fp))
}

func funcWord(v reflect.Value) unsafe.Pointer {
	x := v.Interface()
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&x))[1]
}

// nativeFunc finds a function of a compiled package.
func (c *compiler) nativeFunc(f *types.Func, targs []types.Type) reflect.Value {
	var v reflect.Value
	var err error
	if len(targs) > 0 {
		v, err = c.p.Packages.Instance(f, targs, func(t types.Type) reflect.Type { return c.rtype(t).Reflect() })
	} else {
		v, err = c.p.Packages.Symbol(f.Pkg().Path(), f.Name())
	}
	if err != nil {
		c.fail(c.pos, "%v", err)
	}
	return v
}

func (c *compiler) genericFunc(e ast.Expr) value {
	switch e := e.(type) {
	case *ast.Ident:
		return c.ident(e)
	case *ast.SelectorExpr:
		return c.selector(e)
	case *ast.ParenExpr:
		return c.genericFunc(e.X)
	}
	c.fail(e.Pos(), "unexpected generic expression")
	panic(0)
}

// funcLit makes a closure over the addresses of the variables it captures.
func (c *compiler) funcLit(e *ast.FuncLit) value {
	sig := c.typeOf(e).(*types.Signature)
	child := newCompiler(c.p, c.info)
	child.env, child.parent = c.env, c
	*c.nlits++
	child.nlits = c.nlits
	code := child.function(litName(c), sig, nil, e.Type, e.Body)
	rt := c.rtype(sig).Reflect()
	outer := make([]uintptr, len(child.captured))
	for i, v := range child.captured {
		s, _ := c.lookup(v)
		outer[i] = s.off
	}
	return c.result(sig, func(f *frame) unsafe.Pointer {
		cl := &run.Closure{Code: code, Task: f.Thread.Task}
		if len(outer) > 0 {
			cl.Captured = make([]unsafe.Pointer, len(outer))
			for i, off := range outer {
				cl.Captured[i] = *(*unsafe.Pointer)(f.At(off))
			}
		}
		return cl.Value(rt)
	})
}

func litName(c *compiler) string {
	name := c.name
	if name == "" {
		return "func literal"
	}
	return name + ".func"
}

// from makes c.pos the place of an expression until what it returns is called.
func (c *compiler) from(e ast.Expr) (back func()) {
	before := c.pos
	if p := failingPart(e); p.IsValid() {
		c.pos = p
	}
	return func() { c.pos = before }
}

// failingPart is what is underlined if the expression itself panics: the name
// that is called or selected, the index, the operator.
func failingPart(e ast.Expr) token.Pos {
	switch e := e.(type) {
	case *ast.CallExpr:
		switch fun := ast.Unparen(e.Fun).(type) {
		case *ast.SelectorExpr:
			return fun.Sel.Pos()
		case *ast.FuncLit:
			return e.Lparen
		}
	case *ast.SelectorExpr:
		return e.Sel.Pos()
	case *ast.IndexExpr:
		return e.Index.Pos()
	case *ast.SliceExpr:
		return e.Lbrack
	case *ast.BinaryExpr:
		return e.OpPos
	case *ast.TypeAssertExpr:
		return e.Lparen
	}
	return e.Pos()
}

func nilDereference(f *frame, pos int32) {
	f.Pos = pos
	_ = *(*int)(nil)
}

// deref is *p.
func (c *compiler) deref(p value, t types.Type) value {
	g, pos := load[unsafe.Pointer](p), int32(c.pos)
	return c.at(t, func(f *frame) unsafe.Pointer {
		q := g(f)
		if q == nil {
			nilDereference(f, pos)
		}
		return q
	})
}

func (c *compiler) unary(e *ast.UnaryExpr) value {
	t := c.typeOf(e)
	switch e.Op {
	case token.AND:
		return c.addressOf(e.X, t)
	case token.ARROW:
		return c.receive(e, false)
	case token.NOT:
		g := load[bool](c.expr(e.X))
		return c.result(t, func(f *frame) bool { return !g(f) })
	case token.ADD:
		return c.convert(c.expr(e.X), t)
	}
	return c.negate(e.Op, c.convert(c.expr(e.X), t))
}

// addressOf is &x; of a composite literal it is a new object.
func (c *compiler) addressOf(e ast.Expr, t types.Type) value {
	e = ast.Unparen(e)
	if lit, ok := e.(*ast.CompositeLit); ok {
		v := c.compositeLit(lit, c.typeOf(lit))
		put, rt := v.store(), v.rt
		return c.result(t, func(f *frame) unsafe.Pointer {
			p := native.New(rt)
			put(f, p)
			return p
		})
	}
	v := c.expr(e)
	return c.result(t, c.placeOf(v, e))
}

// placeOf returns the address of an addressable value.
func (c *compiler) placeOf(v value, e ast.Expr) func(*frame) unsafe.Pointer {
	if v.place == nil {
		c.fail(e.Pos(), "cannot take the address here")
	}
	return v.place
}

// selector is pkg.Name, a field, a method value or a method expression.
func (c *compiler) selector(e *ast.SelectorExpr) value {
	sel, ok := c.info.Selections[e]
	if !ok {
		return c.ident(e.Sel)
	}
	switch sel.Kind() {
	case types.MethodExpr:
		return c.methodExpr(e, sel)
	case types.MethodVal:
		return c.methodValue(e)
	}
	x := c.expr(e.X)
	return c.fieldPath(x, sel.Index())
}

// fieldPath follows the indices of a selection, through pointers where fields
// are embedded by pointer.
func (c *compiler) fieldPath(x value, path []int) value {
	for _, i := range path {
		x = c.field(x, i)
	}
	return x
}

func (c *compiler) field(x value, i int) value {
	if p, ok := x.typ.Underlying().(*types.Pointer); ok {
		st := p.Elem().Underlying().(*types.Struct)
		off := c.fieldOffset(p.Elem(), i)
		g, pos := load[unsafe.Pointer](x), int32(c.pos)
		return c.at(st.Field(i).Type(), func(f *frame) unsafe.Pointer {
			q := g(f)
			if q == nil {
				nilDereference(f, pos)
			}
			return unsafe.Add(q, off)
		})
	}
	st := x.typ.Underlying().(*types.Struct)
	off := c.fieldOffset(x.typ, i)
	t := st.Field(i).Type()
	if x.local {
		return value{typ: t, rt: c.rtype(t), local: true, off: x.off + off}
	}
	m := x.memory()
	return c.at(t, func(f *frame) unsafe.Pointer { return unsafe.Add(m(f), off) })
}

func (c *compiler) fieldOffset(t types.Type, i int) uintptr {
	return c.rtype(t).Reflect().Field(i).Offset
}
