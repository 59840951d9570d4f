package cpu

import (
	"math"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// This file has the generic form of every elementwise op on every register
// type. microFor picks one; faster forms of float32 are in fast.go.

func unary[A, R any](f func(A) R) micro {
	return func(dst, a, _, _ unsafe.Pointer, n int) {
		d, x := slice[R](dst, n), slice[A](a, n)
		for i := range d {
			d[i] = f(x[i])
		}
	}
}

func binary[A, R any](f func(a, b A) R) micro {
	return func(dst, a, b, _ unsafe.Pointer, n int) {
		d, x, y := slice[R](dst, n), slice[A](a, n), slice[A](b, n)
		for i := range d {
			d[i] = f(x[i], y[i])
		}
	}
}

func where[T any](dst, c, a, b unsafe.Pointer, n int) {
	d, k, x, y := slice[T](dst, n), slice[uint8](c, n), slice[T](a, n), slice[T](b, n)
	for i := range d {
		if k[i] != 0 {
			d[i] = x[i]
		} else {
			d[i] = y[i]
		}
	}
}

// microFor returns the kernel of an instruction on registers of dtype from; first
// is the declared dtype of its first argument.
func microFor(in *plan.Instr, from, first ir.DType) micro {
	if f := fast(in, from); f != nil {
		return f
	}
	if in.Op == op.Cast {
		return castFor(first, in.DType)
	}
	switch from {
	case ir.F32:
		return floatMicro[float32](in.Op)
	case ir.F64:
		return floatMicro[float64](in.Op)
	case ir.I32:
		return intMicro[int32](in.Op)
	case ir.I64:
		return intMicro[int64](in.Op)
	case ir.U8, ir.Bool:
		return intMicro[uint8](in.Op)
	}
	return nil
}

func of64[T float32 | float64](f func(float64) float64) micro {
	return unary(func(x T) T { return T(f(float64(x))) })
}

func floatMicro[T float32 | float64](o ir.Op) micro {
	switch o {
	case op.Sqrt:
		return of64[T](math.Sqrt)
	case op.Rsqrt:
		return of64[T](func(x float64) float64 { return 1 / math.Sqrt(x) })
	case op.Reciprocal:
		return unary(func(x T) T { return 1 / x })
	case op.Exp:
		return of64[T](math.Exp)
	case op.Expm1:
		return of64[T](math.Expm1)
	case op.Log:
		return of64[T](math.Log)
	case op.Log1p:
		return of64[T](math.Log1p)
	case op.Sin:
		return of64[T](math.Sin)
	case op.Cos:
		return of64[T](math.Cos)
	case op.Tanh:
		return of64[T](math.Tanh)
	case op.Erf:
		return of64[T](math.Erf)
	case op.Sigmoid:
		return of64[T](sigmoid)
	case op.Gelu:
		return of64[T](func(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) })
	case op.GeluTanh:
		return of64[T](func(x float64) float64 {
			return x * sigmoid(2*math.Sqrt2/math.SqrtPi*(x+0.044715*x*x*x))
		})
	case op.Silu:
		return of64[T](func(x float64) float64 { return x * sigmoid(x) })
	case op.Floor:
		return of64[T](math.Floor)
	case op.Ceil:
		return of64[T](math.Ceil)
	case op.Round:
		return of64[T](math.RoundToEven)
	case op.IsNaN:
		return unary(func(x T) bool { return x != x })
	case op.IsInf:
		return unary(func(x T) bool { return math.IsInf(float64(x), 0) })
	case op.Div:
		return binary(func(a, b T) T { return a / b })
	case op.Pow:
		return binary(func(a, b T) T { return T(math.Pow(float64(a), float64(b))) })
	case op.Mod:
		return binary(func(a, b T) T { return T(floorMod(float64(a), float64(b))) })
	case op.Maximum:
		return binary(func(a, b T) T {
			if a != a || a > b {
				return a
			}
			return b
		})
	case op.Minimum:
		return binary(func(a, b T) T {
			if a != a || a < b {
				return a
			}
			return b
		})
	case op.Sign:
		return unary(func(x T) T {
			switch {
			case x > 0:
				return 1
			case x < 0:
				return -1
			}
			return x
		})
	case op.Abs:
		return of64[T](math.Abs)
	case op.Relu:
		return unary(func(x T) T {
			if x < 0 {
				return 0
			}
			return x
		})
	}
	return commonMicro[T](o)
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// floorMod is the remainder with the sign of the divisor.
func floorMod(a, b float64) float64 {
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	return m
}

func intMicro[T int32 | int64 | uint8](o ir.Op) micro {
	switch o {
	case op.Floor, op.Ceil, op.Round:
		return unary(func(x T) T { return x })
	case op.IsNaN, op.IsInf:
		return unary(func(x T) bool { return false })
	case op.Pow:
		return binary(intPow[T])
	case op.Mod:
		return binary(func(a, b T) T {
			if b == 0 {
				return 0
			}
			m := a % b
			if m != 0 && (m < 0) != (b < 0) {
				m += b
			}
			return m
		})
	case op.Maximum:
		return binary(func(a, b T) T { return max(a, b) })
	case op.Minimum:
		return binary(func(a, b T) T { return min(a, b) })
	case op.Sign:
		return unary(func(x T) T {
			switch {
			case x > 0:
				return 1
			case x < 0:
				return T(0) - 1
			}
			return 0
		})
	case op.Abs:
		return unary(func(x T) T {
			if x < 0 {
				return -x
			}
			return x
		})
	case op.Relu:
		return unary(func(x T) T { return max(x, 0) })
	case op.Not:
		return unary(func(x T) bool { return x == 0 })
	case op.And:
		return binary(func(a, b T) bool { return a != 0 && b != 0 })
	case op.Or:
		return binary(func(a, b T) bool { return a != 0 || b != 0 })
	}
	return commonMicro[T](o)
}

// intPow is a to the power of b by squaring; a negative power is 0 unless a is
// 1 or -1.
func intPow[T int32 | int64 | uint8](a, b T) T {
	if b < 0 {
		switch {
		case a == 1:
			return 1
		case a == T(0)-1:
			if b&1 != 0 {
				return a
			}
			return 1
		}
		return 0
	}
	r := T(1)
	for ; b > 0; b >>= 1 {
		if b&1 != 0 {
			r *= a
		}
		a *= a
	}
	return r
}

func commonMicro[T number](o ir.Op) micro {
	switch o {
	case op.Neg:
		return unary(func(x T) T { return -x })
	case op.Square:
		return unary(func(x T) T { return x * x })
	case op.Add:
		return func(dst, a, b, _ unsafe.Pointer, n int) {
			d, x, y := slice[T](dst, n), slice[T](a, n), slice[T](b, n)
			for i := range d {
				d[i] = x[i] + y[i]
			}
		}
	case op.Sub:
		return func(dst, a, b, _ unsafe.Pointer, n int) {
			d, x, y := slice[T](dst, n), slice[T](a, n), slice[T](b, n)
			for i := range d {
				d[i] = x[i] - y[i]
			}
		}
	case op.Mul:
		return func(dst, a, b, _ unsafe.Pointer, n int) {
			d, x, y := slice[T](dst, n), slice[T](a, n), slice[T](b, n)
			for i := range d {
				d[i] = x[i] * y[i]
			}
		}
	case op.Eq, op.Ne, op.Lt, op.Le, op.Gt, op.Ge:
		return comparison[T](o)
	case op.Where:
		return where[T]
	}
	return nil
}
