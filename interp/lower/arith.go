package lower

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"reflect"
	"unsafe"

	"loris/interp/native"
)

type integer interface {
	int | int8 | int16 | int32 | int64 | uint | uint8 | uint16 | uint32 | uint64 | uintptr
}

type floating interface{ float32 | float64 }

type complexNumber interface{ complex64 | complex128 }

// binary compiles x op y.
func (c *compiler) binary(e *ast.BinaryExpr) value {
	t := c.typeOf(e)
	switch e.Op {
	case token.LAND:
		x, y := c.condition(e.X), c.condition(e.Y)
		return c.result(t, func(f *frame) bool { return x(f) && y(f) })
	case token.LOR:
		x, y := c.condition(e.X), c.condition(e.Y)
		return c.result(t, func(f *frame) bool { return x(f) || y(f) })
	case token.SHL, token.SHR:
		return c.arith(e.Op, c.exprTo(e.X, t), c.expr(e.Y), t)
	case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
		return c.comparison(e, t)
	}
	return c.arith(e.Op, c.exprTo(e.X, t), c.exprTo(e.Y, t), t)
}

// arith makes the value of an arithmetic operation on values of type t.
func (c *compiler) arith(op token.Token, x, y value, t types.Type) value {
	if op == token.SHL || op == token.SHR {
		return c.result(t, shift(op, x, y))
	}
	var get any
	pos := int32(c.pos)
	switch x.kind() {
	case reflect.Int:
		get = intOp[int](op, x, y, pos)
	case reflect.Int8:
		get = intOp[int8](op, x, y, pos)
	case reflect.Int16:
		get = intOp[int16](op, x, y, pos)
	case reflect.Int32:
		get = intOp[int32](op, x, y, pos)
	case reflect.Int64:
		get = intOp[int64](op, x, y, pos)
	case reflect.Uint:
		get = intOp[uint](op, x, y, pos)
	case reflect.Uint8:
		get = intOp[uint8](op, x, y, pos)
	case reflect.Uint16:
		get = intOp[uint16](op, x, y, pos)
	case reflect.Uint32:
		get = intOp[uint32](op, x, y, pos)
	case reflect.Uint64:
		get = intOp[uint64](op, x, y, pos)
	case reflect.Uintptr:
		get = intOp[uintptr](op, x, y, pos)
	case reflect.Float32:
		get = floatOp[float32](op, x, y)
	case reflect.Float64:
		get = floatOp[float64](op, x, y)
	case reflect.Complex64:
		get = complexOp[complex64](op, x, y)
	case reflect.Complex128:
		get = complexOp[complex128](op, x, y)
	case reflect.String:
		a, b := load[string](x), load[string](y)
		get = func(f *frame) string {
			s, t := a(f), b(f)
			if len(s)+len(t) > largeObject {
				c.checkRoom(uint64(len(s) + len(t)))
			}
			return s + t
		}
	default:
		panic("arithmetic on kind " + x.kind().String())
	}
	return c.result(t, get)
}

func intOp[T integer](op token.Token, x, y value, pos int32) func(*frame) T {
	if op == token.ADD || op == token.SUB || op == token.MUL {
		if g := quickOp[T](op, x, y); g != nil {
			return g
		}
	}
	a, b := load[T](x), load[T](y)
	switch op {
	case token.ADD:
		return func(f *frame) T { return a(f) + b(f) }
	case token.SUB:
		return func(f *frame) T { return a(f) - b(f) }
	case token.MUL:
		return func(f *frame) T { return a(f) * b(f) }
	case token.QUO:
		return func(f *frame) T {
			n, d := a(f), b(f)
			if d == 0 {
				f.Pos = pos
			}
			return n / d
		}
	case token.REM:
		return func(f *frame) T {
			n, d := a(f), b(f)
			if d == 0 {
				f.Pos = pos
			}
			return n % d
		}
	case token.AND:
		return func(f *frame) T { return a(f) & b(f) }
	case token.OR:
		return func(f *frame) T { return a(f) | b(f) }
	case token.XOR:
		return func(f *frame) T { return a(f) ^ b(f) }
	case token.AND_NOT:
		return func(f *frame) T { return a(f) &^ b(f) }
	}
	panic("integer operator " + op.String())
}

// quickOp makes + - * with one operand a local variable and the other a local
// variable or constant: the bulk of loops.
func quickOp[T integer | floating](op token.Token, x, y value) func(*frame) T {
	if !x.local || x.get != nil {
		return nil
	}
	xo := x.off
	if y.con != nil {
		k := load[T](y)(nil)
		switch op {
		case token.ADD:
			return func(f *frame) T { return *(*T)(unsafe.Add(unsafe.Pointer(f), xo)) + k }
		case token.SUB:
			return func(f *frame) T { return *(*T)(unsafe.Add(unsafe.Pointer(f), xo)) - k }
		case token.MUL:
			return func(f *frame) T { return *(*T)(unsafe.Add(unsafe.Pointer(f), xo)) * k }
		}
		return nil
	}
	if y.local && y.get == nil {
		yo := y.off
		switch op {
		case token.ADD:
			return func(f *frame) T {
				return *(*T)(unsafe.Add(unsafe.Pointer(f), xo)) + *(*T)(unsafe.Add(unsafe.Pointer(f), yo))
			}
		case token.SUB:
			return func(f *frame) T {
				return *(*T)(unsafe.Add(unsafe.Pointer(f), xo)) - *(*T)(unsafe.Add(unsafe.Pointer(f), yo))
			}
		case token.MUL:
			return func(f *frame) T {
				return *(*T)(unsafe.Add(unsafe.Pointer(f), xo)) * *(*T)(unsafe.Add(unsafe.Pointer(f), yo))
			}
		}
	}
	return nil
}

func floatOp[T floating](op token.Token, x, y value) func(*frame) T {
	if g := quickOp[T](op, x, y); g != nil {
		return g
	}
	a, b := load[T](x), load[T](y)
	switch op {
	case token.ADD:
		return func(f *frame) T { return a(f) + b(f) }
	case token.SUB:
		return func(f *frame) T { return a(f) - b(f) }
	case token.MUL:
		return func(f *frame) T { return T(a(f) * b(f)) }
	case token.QUO:
		return func(f *frame) T { return a(f) / b(f) }
	}
	panic("float operator " + op.String())
}

func complexOp[T complexNumber](op token.Token, x, y value) func(*frame) T {
	a, b := load[T](x), load[T](y)
	switch op {
	case token.ADD:
		return func(f *frame) T { return a(f) + b(f) }
	case token.SUB:
		return func(f *frame) T { return a(f) - b(f) }
	case token.MUL:
		return func(f *frame) T { return a(f) * b(f) }
	case token.QUO:
		return func(f *frame) T { return a(f) / b(f) }
	}
	panic("complex operator " + op.String())
}

// shift compiles << and >>; a negative count panics as in Go.
func shift(op token.Token, x, y value) any {
	switch x.kind() {
	case reflect.Int:
		return shiftOf[int](op, x, y)
	case reflect.Int8:
		return shiftOf[int8](op, x, y)
	case reflect.Int16:
		return shiftOf[int16](op, x, y)
	case reflect.Int32:
		return shiftOf[int32](op, x, y)
	case reflect.Int64:
		return shiftOf[int64](op, x, y)
	case reflect.Uint:
		return shiftOf[uint](op, x, y)
	case reflect.Uint8:
		return shiftOf[uint8](op, x, y)
	case reflect.Uint16:
		return shiftOf[uint16](op, x, y)
	case reflect.Uint32:
		return shiftOf[uint32](op, x, y)
	case reflect.Uint64:
		return shiftOf[uint64](op, x, y)
	case reflect.Uintptr:
		return shiftOf[uintptr](op, x, y)
	}
	panic("shift of kind " + x.kind().String())
}

func shiftOf[T integer](op token.Token, x, y value) func(*frame) T {
	a := load[T](x)
	if y.con != nil {
		k, _ := constant.Uint64Val(constant.ToInt(y.con))
		if op == token.SHL {
			return func(f *frame) T { return a(f) << k }
		}
		return func(f *frame) T { return a(f) >> k }
	}
	if isSigned(y.kind()) {
		n := fromNumber[int64](y)
		if op == token.SHL {
			return func(f *frame) T { return a(f) << n(f) }
		}
		return func(f *frame) T { return a(f) >> n(f) }
	}
	n := fromNumber[uint64](y)
	if op == token.SHL {
		return func(f *frame) T { return a(f) << n(f) }
	}
	return func(f *frame) T { return a(f) >> n(f) }
}

// negate compiles -x and ^x.
func (c *compiler) negate(op token.Token, x value) value {
	var get any
	switch x.kind() {
	case reflect.Int:
		get = negInt[int](op, x)
	case reflect.Int8:
		get = negInt[int8](op, x)
	case reflect.Int16:
		get = negInt[int16](op, x)
	case reflect.Int32:
		get = negInt[int32](op, x)
	case reflect.Int64:
		get = negInt[int64](op, x)
	case reflect.Uint:
		get = negInt[uint](op, x)
	case reflect.Uint8:
		get = negInt[uint8](op, x)
	case reflect.Uint16:
		get = negInt[uint16](op, x)
	case reflect.Uint32:
		get = negInt[uint32](op, x)
	case reflect.Uint64:
		get = negInt[uint64](op, x)
	case reflect.Uintptr:
		get = negInt[uintptr](op, x)
	case reflect.Float32:
		g := load[float32](x)
		get = func(f *frame) float32 { return -g(f) }
	case reflect.Float64:
		g := load[float64](x)
		get = func(f *frame) float64 { return -g(f) }
	case reflect.Complex64:
		g := load[complex64](x)
		get = func(f *frame) complex64 { return -g(f) }
	case reflect.Complex128:
		g := load[complex128](x)
		get = func(f *frame) complex128 { return -g(f) }
	}
	return c.result(x.typ, get)
}

func negInt[T integer](op token.Token, x value) func(*frame) T {
	g := load[T](x)
	if op == token.XOR {
		return func(f *frame) T { return ^g(f) }
	}
	return func(f *frame) T { return -g(f) }
}

// comparison compiles == != < <= > >=.
func (c *compiler) comparison(e *ast.BinaryExpr, t types.Type) value {
	x, y := c.operands(e.X, e.Y)
	return c.result(t, c.compare(e.Op, x, y))
}

// operands brings both sides of a comparison to one type.
func (c *compiler) operands(ex, ey ast.Expr) (x, y value) {
	nilX, nilY := c.info.Types[ex].IsNil(), c.info.Types[ey].IsNil()
	switch {
	case nilX && nilY:
		return c.zero(types.Typ[types.UnsafePointer]), c.zero(types.Typ[types.UnsafePointer])
	case nilX:
		y = c.expr(ey)
		return c.zero(y.typ), y
	case nilY:
		x = c.expr(ex)
		return x, c.zero(x.typ)
	}
	x, y = c.expr(ex), c.expr(ey)
	xi, yi := isInterface(x.typ), isInterface(y.typ)
	switch {
	case xi && !yi:
		y = c.convert(y, x.typ)
	case yi && !xi:
		x = c.convert(x, y.typ)
	case y.con != nil && x.con == nil:
		y = c.convert(y, x.typ)
	case x.con != nil && y.con == nil:
		x = c.convert(x, y.typ)
	}
	return x, y
}

func (c *compiler) compare(op token.Token, x, y value) func(*frame) bool {
	switch x.kind() {
	case reflect.Bool:
		return equality[bool](op, x, y)
	case reflect.Int:
		return order[int](op, x, y)
	case reflect.Int8:
		return order[int8](op, x, y)
	case reflect.Int16:
		return order[int16](op, x, y)
	case reflect.Int32:
		return order[int32](op, x, y)
	case reflect.Int64:
		return order[int64](op, x, y)
	case reflect.Uint:
		return order[uint](op, x, y)
	case reflect.Uint8:
		return order[uint8](op, x, y)
	case reflect.Uint16:
		return order[uint16](op, x, y)
	case reflect.Uint32:
		return order[uint32](op, x, y)
	case reflect.Uint64:
		return order[uint64](op, x, y)
	case reflect.Uintptr:
		return order[uintptr](op, x, y)
	case reflect.Float32:
		return order[float32](op, x, y)
	case reflect.Float64:
		return order[float64](op, x, y)
	case reflect.String:
		return order[string](op, x, y)
	case reflect.Complex64:
		return equality[complex64](op, x, y)
	case reflect.Complex128:
		return equality[complex128](op, x, y)
	case reflect.Pointer, reflect.UnsafePointer, reflect.Map, reflect.Chan, reflect.Func:
		return equality[unsafe.Pointer](op, x, y)
	case reflect.Slice: // with nil
		if x.isNil {
			x = y
		}
		g := load[native.Slice](x)
		return inverted(op, func(f *frame) bool { return g(f).Data == nil })
	case reflect.Interface:
		a, b := load[native.Iface](x), load[native.Iface](y)
		am, bm := hasMethods(x.rt), hasMethods(y.rt)
		if y.isNil {
			return inverted(op, func(f *frame) bool { return a(f).Tab == nil })
		}
		return inverted(op, func(f *frame) bool { p := a(f); return equalIfaces(p, b(f), am, bm) })
	}
	rt, p, q := x.rt, x.memory(), y.memory()
	return inverted(op, func(f *frame) bool { m := p(f); return native.Equal(rt, m, q(f)) })
}

func inverted(op token.Token, eq func(*frame) bool) func(*frame) bool {
	if op == token.NEQ {
		return func(f *frame) bool { return !eq(f) }
	}
	return eq
}

func equality[T comparable](op token.Token, x, y value) func(*frame) bool {
	a, b := load[T](x), load[T](y)
	if op == token.NEQ {
		return func(f *frame) bool { return a(f) != b(f) }
	}
	return func(f *frame) bool { return a(f) == b(f) }
}

func order[T integer | floating | string](op token.Token, x, y value) func(*frame) bool {
	if x.local && x.get == nil && y.con != nil {
		xo, k := x.off, load[T](y)(nil)
		switch op {
		case token.LSS:
			return func(f *frame) bool { return *(*T)(unsafe.Add(unsafe.Pointer(f), xo)) < k }
		case token.EQL:
			return func(f *frame) bool { return *(*T)(unsafe.Add(unsafe.Pointer(f), xo)) == k }
		case token.LEQ:
			return func(f *frame) bool { return *(*T)(unsafe.Add(unsafe.Pointer(f), xo)) <= k }
		}
	}
	a, b := load[T](x), load[T](y)
	switch op {
	case token.EQL:
		return func(f *frame) bool { return a(f) == b(f) }
	case token.NEQ:
		return func(f *frame) bool { return a(f) != b(f) }
	case token.LSS:
		return func(f *frame) bool { return a(f) < b(f) }
	case token.LEQ:
		return func(f *frame) bool { return a(f) <= b(f) }
	case token.GTR:
		return func(f *frame) bool { return a(f) > b(f) }
	}
	return func(f *frame) bool { return a(f) >= b(f) }
}
