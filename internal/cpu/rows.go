package cpu

import (
	"math"
	"unsafe"

	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// reducer reduces rows of cols elements; more adds to what dst holds.
type reducer = func(dst, a unsafe.Pointer, rows, cols int, more bool)

// reducers returns the reduction of registers of a dtype.
func reducers(o ir.Op, d ir.DType) reducer {
	switch d {
	case ir.F32:
		switch o {
		case op.Sum:
			return vecReducer(vec.Sum, func(a, b float32) float32 { return a + b })
		case op.Max:
			return vecReducer(vec.Max, func(a, b float32) float32 {
				if a != a || a > b {
					return a
				}
				return b
			})
		case op.Min:
			return vecReducer(vec.Min, func(a, b float32) float32 {
				if a != a || a < b {
					return a
				}
				return b
			})
		case op.Prod:
			return vecReducer(vec.Prod, func(a, b float32) float32 { return a * b })
		}
		return nil
	case ir.F64:
		return reducerOf[float64](o)
	case ir.I32:
		return reducerOf[int32](o)
	case ir.I64:
		return reducerOf[int64](o)
	}
	return reducerOf[uint8](o)
}

// rowSum is a kernel of package vec that gives one number for each row.
type rowSum = func(out []float32, x vec.Rows, rows, cols int)

// sumOfParts adds up one row of float32 part by part. The register has the
// rounding error of the sum so far (Kahan 1965) behind the sum and a scratch
// element: a row may be many millions of elements long.
func sumOfParts(kernel rowSum) reducer {
	return func(dst, a unsafe.Pointer, _, cols int, more bool) {
		x, d := vec.Rows{Data: a, Stride: cols}, slice[float32](dst, 3)
		if !more {
			kernel(d[:1], x, 1, cols)
			d[2] = 0
			return
		}
		kernel(d[1:2], x, 1, cols)
		y := d[1] - d[2]
		t := d[0] + y
		lost := (t - d[0]) - y
		if lost != lost { // infinite, not lost
			lost = 0
		}
		d[0], d[2] = t, lost
	}
}

// vecReducer is a reduction by package vec. A result that more is added to is
// alone in its register, whose next elements serve as scratch.
func vecReducer(all rowSum, both func(a, b float32) float32) reducer {
	return func(dst, a unsafe.Pointer, rows, cols int, more bool) {
		d, x := slice[float32](dst, rows), vec.Rows{Data: a, Stride: cols}
		if !more {
			all(d, x, rows, cols)
			return
		}
		d = slice[float32](dst, 2)
		all(d[1:], x, 1, cols)
		d[0] = both(d[0], d[1])
	}
}

// rowOp maps rows of float32 to rows: x and dst may be the same; w and b are
// the weight and the bias or nil.
type rowOp = func(dst, x, w, b unsafe.Pointer, rows, cols int)

// rowOps returns the kernel of a row op on rows of cols elements.
func rowOps(in *plan.Instr, cols int) rowOp {
	switch in.Op {
	case op.Softmax:
		return func(dst, x, _, _ unsafe.Pointer, rows, cols int) {
			vec.Softmax(vec.Rows{Data: dst, Stride: cols}, vec.Rows{Data: x, Stride: cols}, rows, cols)
		}
	case op.LogSoftmax:
		return func(dst, x, _, _ unsafe.Pointer, rows, cols int) {
			vec.LogSoftmax(vec.Rows{Data: dst, Stride: cols}, vec.Rows{Data: x, Stride: cols}, rows, cols)
		}
	}
	return normOp(in.Attrs.(op.Norm), in.Op == op.LayerNorm, cols)
}

// normOp returns RMSNorm, or LayerNorm if layer, of rows of cols elements: without a weight
// it multiplies by ones, without a bias it adds zeros.
func normOp(a op.Norm, layer bool, cols int) rowOp {
	ones, zeros := make([]float32, cols), make([]float32, cols)
	for i := range ones {
		ones[i] = 1
	}
	return func(dst, x, w, b unsafe.Pointer, rows, cols int) {
		if a.Bias && !a.Weight {
			w, b = nil, w
		}
		y, v := vec.Rows{Data: dst, Stride: cols}, vec.Rows{Data: x, Stride: cols}
		weight, bias := ones, zeros
		if w != nil {
			weight = slice[float32](w, cols)
		}
		if b != nil {
			bias = slice[float32](b, cols)
		}
		switch {
		case layer:
			vec.LayerNorm(y, v, weight, bias, nil, float32(a.Eps), rows, cols)
		case b == nil:
			vec.RMSNorm(y, v, weight, vec.Rows{}, nil, float32(a.Eps), rows, cols)
		default:
			normRows[float32](dst, x, w, b, 0, rows, cols, a.Eps, layer)
		}
	}
}

func optional[T any](p unsafe.Pointer, n int) []T {
	if p == nil {
		return nil
	}
	return slice[T](p, n)
}

type floating interface{ ~float32 | ~float64 }

func rowMax[T floating](x []T) T {
	m := lowestFloat[T]()
	for _, v := range x {
		if v > m || v != v {
			m = v
		}
	}
	return m
}

func lowestFloat[T floating]() T { return T(math.Inf(-1)) }

func softmaxRow[T floating](dst, x []T) {
	m := rowMax(x)
	if math.IsInf(float64(m), -1) {
		m = 0 // a row of -Inf gives NaN, as exp(-Inf)/0 does
	}
	total := 0.0
	for i, v := range x {
		e := math.Exp(float64(v - m))
		dst[i] = T(e)
		total += e
	}
	for i := range dst {
		dst[i] = T(float64(dst[i]) / total)
	}
}

func logSumExp[T floating](x []T) float64 {
	m := rowMax(x)
	if math.IsInf(float64(m), 0) {
		return float64(m)
	}
	total := 0.0
	for _, v := range x {
		total += math.Exp(float64(v - m))
	}
	return float64(m) + math.Log(total)
}

func logSoftmaxRow[T floating](dst, x []T) {
	l := logSumExp(x)
	for i, v := range x {
		dst[i] = T(float64(v) - l)
	}
}

// normRow is RMSNorm, or LayerNorm if layer.
func normRow[T floating](dst, x, w, b []T, eps T, layer bool) {
	mean, square := 0.0, 0.0
	n := float64(len(x))
	if layer {
		for _, v := range x {
			mean += float64(v)
		}
		mean /= n
	}
	for _, v := range x {
		d := float64(v) - mean
		square += d * d
	}
	scale := 1 / math.Sqrt(square/n+float64(eps))
	for i, v := range x {
		y := (float64(v) - mean) * scale
		if w != nil {
			y *= float64(w[i])
		}
		if b != nil {
			y += float64(b[i])
		}
		dst[i] = T(y)
	}
}
