package cpu

import (
	"math"
	"math/bits"
	"unsafe"

	"loris/internal/cpu/gemm"
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

// sliceAt views n elements from element at on, which lies before p where strides are negative.
func sliceAt[T any](p unsafe.Pointer, at, n int) []T {
	return slice[T](unsafe.Add(p, at*int(unsafe.Sizeof(*new(T)))), n)
}

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

// offset returns where element i lies.
func (l *loader) offset(i int) int { return place(i, l.shape, l.strides) }

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
func gather[T uint8 | uint16 | uint32 | uint64](l *loader, dst []T, src unsafe.Pointer, start int) {
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
			fill(unsafe.Pointer(&out[0]), *(*T)(p), n)
		case -1:
			reverse(out, p)
		default:
			gatherLine(out, p, st)
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

// gatherLine copies elements that lie stride apart.
func gatherLine[T any](dst []T, src unsafe.Pointer, stride int) {
	step := stride * int(unsafe.Sizeof(dst[0]))
	at := func(i int) T { return *(*T)(unsafe.Add(src, i)) }
	i := 0
	for ; len(dst) >= 4; dst = dst[4:] {
		dst[0], dst[1], dst[2], dst[3] = at(i), at(i+step), at(i+2*step), at(i+3*step)
		i += 4 * step
	}
	for k := range dst {
		dst[k] = at(i + k*step)
	}
}

// reverse copies the elements that end at src's, the last first: words of 64 bits, in
// which the elements change places, from the end on.
func reverse[T any](dst []T, src unsafe.Pointer) {
	size := int(unsafe.Sizeof(dst[0]))
	each := 8 / size
	words := slice[uint64](unsafe.Pointer(&dst[0]), len(dst)/each)
	p := unsafe.Add(src, size-8)
	switch size {
	case 4:
		n := len(dst)
		gemm.Reverse(slice[float32](unsafe.Pointer(&dst[0]), n), slice[float32](unsafe.Add(src, -4*(n-1)), n))
		return
	case 2:
		for i := range words {
			w := bits.RotateLeft64(*(*uint64)(unsafe.Add(p, -8*i)), 32)
			words[i] = w>>16&0x0000ffff0000ffff | w&0x0000ffff0000ffff<<16
		}
	case 1:
		for i := range words {
			words[i] = bits.ReverseBytes64(*(*uint64)(unsafe.Add(p, -8*i)))
		}
	default:
		for i := range words {
			words[i] = *(*uint64)(unsafe.Add(p, -8*i))
		}
	}
	for i := len(words) * each; i < len(dst); i++ {
		dst[i] = *(*T)(unsafe.Add(src, -i*size))
	}
}

// fillBlock is what fill copies at once: it stays in the first-level cache.
const fillBlock = 4 << 10

// fill repeats the bits of a number: a few times one by one, then by copies of what is there.
func fill[T int32 | int64 | uint8 | uint16 | uint32 | uint64](dst unsafe.Pointer, v T, n int) {
	s := slice[T](dst, n)
	if n > 32 && v == 0 {
		clear(s)
		return
	}
	done := min(n, 32)
	for i := range done {
		s[i] = v
	}
	for most := fillBlock / int(unsafe.Sizeof(v)); done < n; {
		done += copy(s[done:], s[:min(done, most)])
	}
}

// loadScalar repeats one element, halves widened.
func loadScalar(dst, src unsafe.Pointer, d ir.DType, n int) {
	switch d {
	case ir.F16:
		fill(dst, math.Float32bits(ir.F16ToF32(*(*uint16)(src))), n)
	case ir.BF16:
		fill(dst, math.Float32bits(ir.BF16ToF32(*(*uint16)(src))), n)
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
		fill(dst, math.Float32bits(float32(v)), n)
	case ir.F64:
		fill(dst, math.Float64bits(v), n)
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

func spreadOf[T uint8 | uint32 | uint64](dst, src []T, cols int) {
	for i, v := range src {
		fill(unsafe.Pointer(&dst[i*cols]), v, cols)
	}
}
