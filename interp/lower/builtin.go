package lower

import (
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	"loris/interp/native"
)

// builtin compiles a call of a predeclared function.
func (c *compiler) builtin(e *ast.CallExpr, name string) value {
	b, ok := builtins[name]
	if !ok {
		c.fail(e.Pos(), "builtin %s is not supported", name)
	}
	if len(e.Args) == 1 {
		if _, ok := c.info.TypeOf(e.Args[0]).(*types.Tuple); ok {
			return c.builtinSpread(e, b)
		}
	}
	return b(c, e)
}

// builtinSpread passes the results of a call to a builtin.
func (c *compiler) builtinSpread(e *ast.CallExpr, b func(*compiler, *ast.CallExpr) value) value {
	from := c.expr(e.Args[0])
	call := &ast.CallExpr{Fun: e.Fun, Lparen: e.Lparen, Rparen: e.Rparen}
	c.info.Types[call] = c.info.Types[e]
	for _, m := range from.many {
		v := types.NewVar(e.Pos(), nil, "", m.typ)
		id := &ast.Ident{NamePos: e.Pos(), Name: "·"}
		c.info.Uses[id] = v
		c.info.Types[id] = types.TypeAndValue{Type: m.typ}
		s := slot{off: m.off, t: m.rt}
		if !m.local {
			c.fail(e.Pos(), "results larger than the interpreter passes to a builtin")
		}
		c.vars[v] = s
		call.Args = append(call.Args, id)
	}
	v := b(c, call)
	if v.run != nil {
		run := v.run
		v.run = func(f *frame) {
			from.run(f)
			run(f)
		}
	}
	if v.rt == nil {
		return v
	}
	r := before(from.run, v)
	r.run = v.run
	return r
}

var builtins map[string]func(c *compiler, e *ast.CallExpr) value

func init() {
	builtins = map[string]func(c *compiler, e *ast.CallExpr) value{
		"len": (*compiler).builtinLen, "cap": (*compiler).builtinCap,
		"append": (*compiler).builtinAppend, "copy": (*compiler).builtinCopy,
		"make": (*compiler).builtinMake, "new": (*compiler).builtinNew,
		"delete": (*compiler).builtinDelete, "clear": (*compiler).builtinClear,
		"close": (*compiler).builtinClose, "panic": (*compiler).builtinPanic,
		"recover": (*compiler).builtinRecover,
		"print":   (*compiler).builtinPrint, "println": (*compiler).builtinPrint,
		"min": (*compiler).builtinMinMax, "max": (*compiler).builtinMinMax,
		"complex": (*compiler).builtinComplex, "real": (*compiler).builtinReal, "imag": (*compiler).builtinReal,
		"unsafe.String": (*compiler).unsafeString, "unsafe.StringData": (*compiler).unsafeData,
		"unsafe.Slice": (*compiler).unsafeSlice, "unsafe.SliceData": (*compiler).unsafeData,
		"unsafe.Add":    (*compiler).unsafeAdd,
		"unsafe.Sizeof": (*compiler).unsafeSize, "unsafe.Alignof": (*compiler).unsafeSize,
	}
}

func effect(run func(*frame)) value { return value{typ: types.NewTuple(), run: run} }

func (c *compiler) intResult(get func(*frame) int) value { return c.result(types.Typ[types.Int], get) }

func (c *compiler) builtinLen(e *ast.CallExpr) value {
	x := c.expr(e.Args[0])
	switch u := x.typ.Underlying().(type) {
	case *types.Basic:
		g := load[string](x)
		return c.intResult(func(f *frame) int { return len(g(f)) })
	case *types.Slice:
		if x.local && x.get == nil {
			off := x.off
			return c.intResult(func(f *frame) int { return (*native.Slice)(f.At(off)).Len })
		}
		g := load[native.Slice](x)
		return c.intResult(func(f *frame) int { return g(f).Len })
	case *types.Map:
		g := load[unsafe.Pointer](x)
		return c.intResult(func(f *frame) int { return native.MapLen(g(f)) })
	case *types.Chan:
		g, rt := x.memory(), x.rt
		return c.intResult(func(f *frame) int { return native.Value(rt, g(f)).Len() })
	case *types.Array:
		m, n := x.memory(), int(u.Len())
		return c.intResult(func(f *frame) int { m(f); return n })
	case *types.Pointer:
		g, n := load[unsafe.Pointer](x), int(u.Elem().Underlying().(*types.Array).Len())
		return c.intResult(func(f *frame) int { g(f); return n })
	}
	c.fail(e.Pos(), "len of %s", x.typ)
	panic(0)
}

func (c *compiler) builtinCap(e *ast.CallExpr) value {
	x := c.expr(e.Args[0])
	switch x.typ.Underlying().(type) {
	case *types.Slice:
		g := load[native.Slice](x)
		return c.intResult(func(f *frame) int { return g(f).Cap })
	case *types.Chan:
		g, rt := x.memory(), x.rt
		return c.intResult(func(f *frame) int { return native.Value(rt, g(f)).Cap() })
	}
	return c.builtinLen(e)
}

func (c *compiler) builtinAppend(e *ast.CallExpr) value {
	t := c.typeOf(e)
	s := t.Underlying().(*types.Slice)
	elem := c.rtype(s.Elem())
	base := load[native.Slice](c.exprTo(e.Args[0], t))
	if e.Ellipsis.IsValid() {
		y := c.expr(e.Args[1])
		var more func(*frame) native.Slice
		if y.kind() == reflect.String {
			g := load[string](y)
			more = func(f *frame) native.Slice {
				s := g(f)
				return native.Slice{Data: unsafe.Pointer(unsafe.StringData(s)), Len: len(s), Cap: len(s)}
			}
		} else if y.isNil {
			return c.result(t, base)
		} else {
			more = load[native.Slice](y)
		}
		return c.result(t, func(f *frame) native.Slice {
			s := base(f)
			m := more(f)
			if m.Len == 0 {
				return s
			}
			s = native.Grow(elem, s, m.Len)
			dst := native.Slice{Data: unsafe.Add(s.Data, uintptr(s.Len)*elem.Size), Len: m.Len, Cap: m.Len}
			native.CopySlice(elem, dst, m)
			s.Len += m.Len
			return s
		})
	}
	n := len(e.Args) - 1
	if n == 0 {
		return c.result(t, base)
	}
	if n == 1 && native.Inline(elem) {
		v := c.exprTo(e.Args[1], s.Elem())
		tmp := c.temporary(elem)
		put := v.storeLocal(tmp.off)
		return c.result(t, func(f *frame) native.Slice {
			s := base(f)
			put(f)
			if s.Len == s.Cap {
				s = native.Grow(elem, s, 1)
			}
			native.Move(elem, unsafe.Add(s.Data, uintptr(s.Len)*elem.Size), f.At(tmp.off))
			s.Len++
			return s
		})
	}
	var vals []value
	for _, a := range e.Args[1:] {
		vals = append(vals, c.exprTo(a, s.Elem()))
	}
	more := load[native.Slice](c.packed(vals, s.Elem()))
	return c.result(t, func(f *frame) native.Slice {
		s := base(f)
		m := more(f)
		s = native.Grow(elem, s, n)
		dst := native.Slice{Data: unsafe.Add(s.Data, uintptr(s.Len)*elem.Size), Len: n, Cap: n}
		native.CopySlice(elem, dst, m)
		s.Len += n
		return s
	})
}

func (c *compiler) builtinCopy(e *ast.CallExpr) value {
	x, y := c.expr(e.Args[0]), c.expr(e.Args[1])
	elem := c.rtype(x.typ.Underlying().(*types.Slice).Elem())
	dst := load[native.Slice](x)
	var get func(*frame) int
	if y.kind() == reflect.String {
		src := load[string](y)
		get = func(f *frame) int {
			d := dst(f)
			return copy(unsafe.Slice((*byte)(d.Data), d.Len), src(f))
		}
	} else {
		src := load[native.Slice](y)
		get = func(f *frame) int { d := dst(f); return native.CopySlice(elem, d, src(f)) }
	}
	v := c.intResult(get)
	v.run = func(f *frame) { get(f) }
	return v
}

func (c *compiler) builtinMake(e *ast.CallExpr) value {
	t := c.typeOf(e)
	var n, m func(*frame) int
	if len(e.Args) > 1 {
		n = c.integerOf(e.Args[1])
	}
	if len(e.Args) > 2 {
		m = c.integerOf(e.Args[2])
	}
	rt := c.rtype(t)
	switch u := t.Underlying().(type) {
	case *types.Slice:
		elem, pos := c.rtype(u.Elem()), int32(c.pos)
		return c.result(t, func(f *frame) native.Slice {
			k := n(f)
			limit := k
			if m != nil {
				limit = m(f)
			}
			f.Pos = pos
			checkMake(k, limit, elem.Size, m != nil)
			if size := uint64(limit) * uint64(elem.Size); size > largeObject {
				c.checkRoom(size)
			}
			return native.Slice{Data: native.NewArray(elem, limit), Len: k, Cap: limit}
		})
	case *types.Map:
		return c.result(t, func(f *frame) unsafe.Pointer {
			k := 0
			if n != nil {
				k = max(n(f), 0)
			}
			return native.MakeMap(rt.AsMap(), k)
		})
	case *types.Chan:
		return c.result(t, func(f *frame) unsafe.Pointer {
			k := 0
			if n != nil {
				k = n(f)
			}
			if k < 0 || uintptr(k) > 1<<40 {
				panic(plainError("makechan: size out of range"))
			}
			both := reflect.ChanOf(reflect.BothDir, rt.Reflect().Elem())
			return reflect.MakeChan(both, k).UnsafePointer()
		})
	}
	c.fail(e.Pos(), "make of %s", t)
	panic(0)
}

// largeObject is the size from which on it is asked whether there is room.
const largeObject = 64 << 20

func (c *compiler) checkRoom(size uint64) {
	if c.p.RoomFor == nil {
		return
	}
	if err := c.p.RoomFor(size); err != nil {
		panic(err)
	}
}

// plainError is a run-time error whose text has no prefix.
type plainError string

func (e plainError) Error() string { return string(e) }

func (plainError) RuntimeError() {}

func checkMake(n, limit int, size uintptr, both bool) {
	const maxAlloc = 1 << 47
	if size == 0 {
		if both && limit < n {
			panic(runtimeError("makeslice: cap out of range"))
		}
		if n < 0 {
			panic(runtimeError("makeslice: len out of range"))
		}
		return
	}
	if n < 0 || uintptr(n) > maxAlloc/size {
		panic(runtimeError("makeslice: len out of range"))
	}
	if both && (limit < n || uintptr(limit) > maxAlloc/size) {
		panic(runtimeError("makeslice: cap out of range"))
	}
}

func (c *compiler) builtinNew(e *ast.CallExpr) value {
	t := c.typeOf(e)
	if !c.info.Types[e.Args[0]].IsType() { // new(x) with a value
		v := c.exprTo(e.Args[0], t.Underlying().(*types.Pointer).Elem())
		put, rt := v.store(), v.rt
		return c.result(t, func(f *frame) unsafe.Pointer {
			p := native.New(rt)
			put(f, p)
			return p
		})
	}
	rt := c.rtype(t.Underlying().(*types.Pointer).Elem())
	return c.result(t, func(*frame) unsafe.Pointer { return native.New(rt) })
}

func (c *compiler) builtinDelete(e *ast.CallExpr) value {
	t := c.typeOf(e.Args[0]).Underlying().(*types.Map)
	g := load[unsafe.Pointer](c.expr(e.Args[0]))
	key := c.keyOf(e.Args[1], t)
	mt := c.rtype(t).AsMap()
	return effect(func(f *frame) { m := g(f); native.MapDelete(mt, m, key(f)) })
}

func (c *compiler) builtinClear(e *ast.CallExpr) value {
	x := c.expr(e.Args[0])
	if u, ok := x.typ.Underlying().(*types.Slice); ok {
		g, elem := load[native.Slice](x), c.rtype(u.Elem())
		return effect(func(f *frame) { native.ClearSlice(elem, g(f)) })
	}
	g, mt := load[unsafe.Pointer](x), x.rt.AsMap()
	return effect(func(f *frame) {
		if m := g(f); m != nil {
			native.MapClear(mt, m)
		}
	})
}

func (c *compiler) builtinClose(e *ast.CallExpr) value {
	x := c.expr(e.Args[0])
	m, rt, pos := x.memory(), x.rt, int32(c.pos)
	return effect(func(f *frame) {
		p := m(f)
		f.Pos = pos
		if *(*unsafe.Pointer)(p) == nil {
			close((chan int)(nil))
		}
		native.Value(rt, p).Close()
	})
}

func (c *compiler) builtinPanic(e *ast.CallExpr) value {
	g, pos := load[native.Iface](c.exprTo(e.Args[0], types.Universe.Lookup("any").Type())), int32(e.Pos())
	return effect(func(f *frame) {
		x := g(f)
		f.Pos = pos
		panic(*(*any)(unsafe.Pointer(&x)))
	})
}

func (c *compiler) builtinRecover(e *ast.CallExpr) value {
	get := func(f *frame) native.Iface {
		x := f.Recover()
		return *(*native.Iface)(unsafe.Pointer(&x))
	}
	v := c.result(types.Universe.Lookup("any").Type(), get)
	v.run = func(f *frame) { f.Recover() }
	return v
}

// builtinPrint writes to the cell's stderr, formatted as the runtime does.
func (c *compiler) builtinPrint(e *ast.CallExpr) value {
	line := builtinName(ast.Unparen(e.Fun)) == "println"
	parts := make([]func(*frame) string, len(e.Args))
	for i, a := range e.Args {
		v := c.expr(a)
		m, rt := v.memory(), v.rt
		parts[i] = func(f *frame) string { return printed(native.Value(rt, m(f))) }
	}
	return effect(func(f *frame) {
		var b strings.Builder
		for i, p := range parts {
			if line && i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(p(f))
		}
		if line {
			b.WriteByte('\n')
		}
		f.Thread.Task.Print("stderr", b.String())
	})
}

func printed(v reflect.Value) string {
	switch k := v.Kind(); {
	case k == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case isSigned(k):
		return strconv.FormatInt(v.Int(), 10)
	case isInteger(k):
		return strconv.FormatUint(v.Uint(), 10)
	case k == reflect.Float32 || k == reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
	case k == reflect.Complex64 || k == reflect.Complex128:
		return strconv.FormatComplex(v.Complex(), 'g', -1, v.Type().Bits())
	case k == reflect.String:
		return v.String()
	case k == reflect.Interface:
		p := (*native.Iface)(v.Addr().UnsafePointer())
		return "(" + printedWord(uintptr(p.Tab)) + "," + printedWord(uintptr(p.Data)) + ")"
	case k == reflect.Slice:
		return "[" + strconv.Itoa(v.Len()) + "/" + strconv.Itoa(v.Cap()) + "]" + printedWord(v.Pointer())
	}
	return printedWord(v.Pointer())
}

func printedWord(w uintptr) string { return "0x" + strconv.FormatUint(uint64(w), 16) }

func (c *compiler) builtinMinMax(e *ast.CallExpr) value {
	t := c.typeOf(e)
	op := token.LSS
	if builtinName(ast.Unparen(e.Fun)) == "max" {
		op = token.GTR
	}
	v := c.exprTo(e.Args[0], t)
	for _, a := range e.Args[1:] {
		v = c.minMax(op, v, c.exprTo(a, t))
	}
	return v
}

func (c *compiler) minMax(op token.Token, x, y value) value {
	var get any
	switch x.kind() {
	case reflect.Int:
		get = pick[int](op, x, y)
	case reflect.Int8:
		get = pick[int8](op, x, y)
	case reflect.Int16:
		get = pick[int16](op, x, y)
	case reflect.Int32:
		get = pick[int32](op, x, y)
	case reflect.Int64:
		get = pick[int64](op, x, y)
	case reflect.Uint:
		get = pick[uint](op, x, y)
	case reflect.Uint8:
		get = pick[uint8](op, x, y)
	case reflect.Uint16:
		get = pick[uint16](op, x, y)
	case reflect.Uint32:
		get = pick[uint32](op, x, y)
	case reflect.Uint64:
		get = pick[uint64](op, x, y)
	case reflect.Uintptr:
		get = pick[uintptr](op, x, y)
	case reflect.Float32:
		get = pick[float32](op, x, y)
	case reflect.Float64:
		get = pick[float64](op, x, y)
	case reflect.String:
		get = pick[string](op, x, y)
	}
	return c.result(x.typ, get)
}

func pick[T integer | floating | string](op token.Token, x, y value) func(*frame) T {
	a, b := load[T](x), load[T](y)
	if op == token.GTR {
		return func(f *frame) T { p := a(f); return max(p, b(f)) }
	}
	return func(f *frame) T { p := a(f); return min(p, b(f)) }
}

func (c *compiler) builtinComplex(e *ast.CallExpr) value {
	t := c.typeOf(e)
	if c.rtype(t).Size == 8 {
		part := types.Typ[types.Float32]
		re, im := load[float32](c.convert(c.expr(e.Args[0]), part)), load[float32](c.convert(c.expr(e.Args[1]), part))
		return c.result(t, func(f *frame) complex64 { r := re(f); return complex(r, im(f)) })
	}
	part := types.Typ[types.Float64]
	re, im := load[float64](c.convert(c.expr(e.Args[0]), part)), load[float64](c.convert(c.expr(e.Args[1]), part))
	return c.result(t, func(f *frame) complex128 { r := re(f); return complex(r, im(f)) })
}

func (c *compiler) builtinReal(e *ast.CallExpr) value {
	re := builtinName(ast.Unparen(e.Fun)) == "real"
	x := c.expr(e.Args[0])
	t := c.typeOf(e)
	if x.kind() == reflect.Complex64 {
		g := load[complex64](x)
		if re {
			return c.result(t, func(f *frame) float32 { return real(g(f)) })
		}
		return c.result(t, func(f *frame) float32 { return imag(g(f)) })
	}
	g := load[complex128](x)
	if re {
		return c.result(t, func(f *frame) float64 { return real(g(f)) })
	}
	return c.result(t, func(f *frame) float64 { return imag(g(f)) })
}

func (c *compiler) unsafeString(e *ast.CallExpr) value {
	p, n := load[unsafe.Pointer](c.expr(e.Args[0])), c.integerOf(e.Args[1])
	return c.result(c.typeOf(e), func(f *frame) string { return unsafe.String((*byte)(p(f)), n(f)) })
}

func (c *compiler) unsafeSlice(e *ast.CallExpr) value {
	p, n := load[unsafe.Pointer](c.expr(e.Args[0])), c.integerOf(e.Args[1])
	return c.result(c.typeOf(e), func(f *frame) native.Slice {
		q := p(f)
		k := n(f)
		return native.Slice{Data: q, Len: k, Cap: k}
	})
}

func (c *compiler) unsafeData(e *ast.CallExpr) value {
	x := c.expr(e.Args[0])
	if x.kind() == reflect.String {
		g := load[string](x)
		return c.result(c.typeOf(e), func(f *frame) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(g(f))) })
	}
	g := load[native.Slice](x)
	return c.result(c.typeOf(e), func(f *frame) unsafe.Pointer { return g(f).Data })
}

func (c *compiler) unsafeAdd(e *ast.CallExpr) value {
	p, n := load[unsafe.Pointer](c.expr(e.Args[0])), c.integerOf(e.Args[1])
	return c.result(c.typeOf(e), func(f *frame) unsafe.Pointer { q := p(f); return unsafe.Add(q, n(f)) })
}

// unsafeSize is for types that depend on type parameters; others are constant.
func (c *compiler) unsafeSize(e *ast.CallExpr) value {
	rt := c.rtype(c.typeOf(e.Args[0]))
	n := rt.Size
	if strings.HasSuffix(builtinName(ast.Unparen(e.Fun)), "Alignof") {
		n = uintptr(rt.Align)
	}
	return c.result(types.Typ[types.Uintptr], constantly(n))
}
