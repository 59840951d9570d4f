package devicetest

import (
	"encoding/binary"
	"fmt"
	"math"

	"loris/internal/ir"
)

// Array is a row-major tensor of float64, which holds every value of the
// other dtypes (i64 up to 2⁵³).
type Array struct {
	Shape ir.Shape
	Data  []float64
}

// NewArray returns an array of zeros.
func NewArray(shape ir.Shape) *Array {
	return &Array{Shape: shape, Data: make([]float64, shape.Size())}
}

// Decode reads row-major bytes of a dtype.
func Decode(b []byte, dtype ir.DType, shape ir.Shape) (*Array, error) {
	a := NewArray(shape)
	if len(b) != len(a.Data)*dtype.Bytes() {
		return nil, fmt.Errorf("%d bytes for %s%v", len(b), dtype, shape)
	}
	le := binary.LittleEndian
	for i := range a.Data {
		switch dtype {
		case ir.F32:
			a.Data[i] = float64(math.Float32frombits(le.Uint32(b[4*i:])))
		case ir.F64:
			a.Data[i] = math.Float64frombits(le.Uint64(b[8*i:]))
		case ir.F16:
			a.Data[i] = float64(ir.F16ToF32(le.Uint16(b[2*i:])))
		case ir.BF16:
			a.Data[i] = float64(ir.BF16ToF32(le.Uint16(b[2*i:])))
		case ir.I32:
			a.Data[i] = float64(int32(le.Uint32(b[4*i:])))
		case ir.I64:
			a.Data[i] = float64(int64(le.Uint64(b[8*i:])))
		case ir.U8, ir.Bool:
			a.Data[i] = float64(b[i])
		default:
			return nil, fmt.Errorf("cannot decode %s", dtype)
		}
	}
	return a, nil
}

// Encode writes the array as row-major bytes of a dtype, into dst.
func (a *Array) Encode(dst []byte, dtype ir.DType) {
	le := binary.LittleEndian
	for i, v := range a.Data {
		switch dtype {
		case ir.F32:
			le.PutUint32(dst[4*i:], math.Float32bits(float32(v)))
		case ir.F64:
			le.PutUint64(dst[8*i:], math.Float64bits(v))
		case ir.F16:
			le.PutUint16(dst[2*i:], ir.F32ToF16(float32(v)))
		case ir.BF16:
			le.PutUint16(dst[2*i:], ir.F32ToBF16(float32(v)))
		case ir.I32:
			le.PutUint32(dst[4*i:], uint32(int32(v)))
		case ir.I64:
			le.PutUint64(dst[8*i:], uint64(int64(v)))
		case ir.U8, ir.Bool:
			dst[i] = byte(v)
		}
	}
}

// broadcast returns a repeated to shape.
func (a *Array) broadcast(shape ir.Shape) *Array {
	if a.Shape.Equal(shape) {
		return a
	}
	out := NewArray(shape)
	st := a.Shape.Strides()
	steps := make([]int, len(shape))
	for i := range a.Shape {
		if a.Shape[i] != 1 {
			steps[i+len(shape)-len(a.Shape)] = st[i]
		}
	}
	walk(shape, func(i int, at []int) { out.Data[i] = a.Data[dot(at, steps)] })
	return out
}

// walk calls f with each place of shape in row-major order.
func walk(shape ir.Shape, f func(i int, at []int)) {
	at := make([]int, len(shape))
	for i := range shape.Size() {
		f(i, at)
		for a := len(at) - 1; a >= 0; a-- {
			if at[a]++; at[a] < shape[a] {
				break
			}
			at[a] = 0
		}
	}
}

func dot(a, b []int) int {
	s := 0
	for i, x := range a {
		s += x * b[i]
	}
	return s
}
