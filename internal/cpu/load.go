package cpu

import (
	"math"
	"unsafe"

	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/plan"
)

// number are the types that registers and typed kernels hold.
type number interface {
	~float32 | ~float64 | ~int32 | ~int64 | ~uint8
}

// slice views memory as n values.
func slice[T any](p unsafe.Pointer, n int) []T { return unsafe.Slice((*T)(p), n) }

// loader gathers a range of a strided operand, halves widened.
type loader struct {
	operand int // index in Step.In
	dtype   ir.DType
	shape   []int
	strides []int
	fixed   int // if not 0, always the first so many elements
}

func newLoader(o *plan.Operand, operand int) loader {
	v := o.Collapse()
	return loader{operand: operand, dtype: o.DType, shape: v.Shape, strides: v.Strides}
}

// load writes elements start to start+n-1, in row-major order, to dst.
func (l *loader) load(dst, src unsafe.Pointer, start, n int) {
	if l.fixed > 0 {
		start, n = 0, l.fixed
	}
	switch l.dtype {
	case ir.F32, ir.I32:
		gather[uint32](l, slice[uint32](dst, n), src, start)
	case ir.F64, ir.I64:
		gather[uint64](l, slice[uint64](dst, n), src, start)
	case ir.U8, ir.Bool:
		gather[uint8](l, slice[uint8](dst, n), src, start)
	default:
		// Halves are gathered into the upper part of the register, then widened.
		h := slice[uint16](unsafe.Add(dst, 2*n), n)
		gather[uint16](l, h, src, start)
		widen(slice[float32](dst, n), h, l.dtype)
	}
}

// gather copies the elements of a strided operand from element start on.
func gather[T any](l *loader, dst []T, src unsafe.Pointer, start int) {
	last := len(l.shape) - 1
	inner, st := l.shape[last], l.strides[last]
	size := int(unsafe.Sizeof(dst[0]))
	for done := 0; done < len(dst); {
		// Where does row (start+done)/inner begin?
		i := (start + done) % inner
		row := (start + done) / inner
		off := i * st
		for d := last - 1; d >= 0; d-- {
			off += row % l.shape[d] * l.strides[d]
			row /= l.shape[d]
		}
		n := min(inner-i, len(dst)-done)
		out := dst[done : done+n]
		p := unsafe.Add(src, off*size)
		switch st {
		case 1:
			copy(out, slice[T](p, n))
		case 0:
			v := *(*T)(p)
			for k := range out {
				out[k] = v
			}
		default:
			for k := range out {
				out[k] = *(*T)(unsafe.Add(p, k*st*size))
			}
		}
		done += n
	}
}

// widen converts halves; dst may begin where src's memory begins, as long as
// src is its second half.
func widen(dst []float32, src []uint16, d ir.DType) { vec.Widen(dst, src, halfType(d)) }

// narrow converts to halves.
func narrow(dst []uint16, src []float32, d ir.DType) { vec.Narrow(dst, src, halfType(d)) }

func halfType(d ir.DType) vec.Type {
	if d == ir.F16 {
		return vec.F16
	}
	return vec.BF16
}

// storeRange writes n register values of a dtype to an output.
func storeRange(dst, src unsafe.Pointer, d ir.DType, n int) {
	switch d.Bytes() {
	case 8:
		copy(slice[uint64](dst, n), slice[uint64](src, n))
	case 4:
		copy(slice[uint32](dst, n), slice[uint32](src, n))
	case 1:
		copy(slice[uint8](dst, n), slice[uint8](src, n))
	default:
		narrow(slice[uint16](dst, n), slice[float32](src, n), d)
	}
}

// fill repeats v: a few times one by one, then by copies of what is there.
func fill[T any](dst unsafe.Pointer, v T, n int) {
	s := slice[T](dst, n)
	done := min(n, 32)
	for i := range done {
		s[i] = v
	}
	for ; done < n; done *= 2 {
		copy(s[done:], s[:done])
	}
}

// loadScalar repeats one element, halves widened.
func loadScalar(dst, src unsafe.Pointer, d ir.DType, n int) {
	switch d {
	case ir.F16:
		fill(dst, ir.F16ToF32(*(*uint16)(src)), n)
	case ir.BF16:
		fill(dst, ir.BF16ToF32(*(*uint16)(src)), n)
	default:
		switch d.Bytes() {
		case 8:
			fill(dst, *(*uint64)(src), n)
		case 4:
			fill(dst, *(*uint32)(src), n)
		default:
			fill(dst, *(*uint8)(src), n)
		}
	}
}

// fillConst repeats a constant.
func fillConst(dst unsafe.Pointer, d ir.DType, v float64, n int) {
	switch d {
	case ir.F32:
		fill(dst, float32(v), n)
	case ir.F64:
		fill(dst, v, n)
	case ir.I32:
		fill(dst, toInt[int32](v), n)
	case ir.I64:
		fill(dst, toInt[int64](v), n)
	default:
		fill(dst, toInt[uint8](v), n)
	}
}

// toInt truncates towards zero and saturates; NaN gives 0.
func toInt[T int32 | int64 | uint8](v float64) T {
	var lo, hi float64
	switch any(T(0)).(type) {
	case int32:
		lo, hi = math.MinInt32, math.MaxInt32
	case int64:
		lo, hi = math.MinInt64, math.MaxInt64
	default:
		lo, hi = 0, math.MaxUint8
	}
	switch {
	case v != v:
		return 0
	case v <= lo:
		return T(int64(lo))
	case v >= hi:
		if hi == math.MaxInt64 {
			m := int64(math.MaxInt64)
			return T(m)
		}
		return T(int64(hi))
	}
	return T(int64(v))
}

// spread repeats each of rows values cols times.
func spread(dst, src unsafe.Pointer, size, rows, cols int) {
	switch size {
	case 8:
		spreadOf(slice[uint64](dst, rows*cols), slice[uint64](src, rows), cols)
	case 4:
		spreadOf(slice[uint32](dst, rows*cols), slice[uint32](src, rows), cols)
	default:
		spreadOf(slice[uint8](dst, rows*cols), slice[uint8](src, rows), cols)
	}
}

func spreadOf[T any](dst, src []T, cols int) {
	for i, v := range src {
		row := dst[i*cols : (i+1)*cols]
		for k := range row {
			row[k] = v
		}
	}
}
