package tensorlib

import (
	endian "encoding/binary"
	"math"
	"unsafe"

	"loris/internal/ir"
)

// element are the Go types that have a dtype of the same bytes.
type element interface {
	float32 | float64 | int32 | int64 | uint8 | uint16
}

// rawBytes returns the memory of s. Tensors are little-endian in memory, as are
// all platforms that Loris is built for.
func rawBytes[T element](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}

// fromSlice returns a leaf with a copy of s.
func fromSlice[T element](s []T, dtype DType, shape Shape) *ir.Node {
	return fromBytes(rawBytes(s), dtype, shape)
}

// fromBytes returns a leaf with a copy of b.
func fromBytes(b []byte, dtype DType, shape Shape) *ir.Node {
	return newLeaf(dtype, shape, func(dst []byte) { copy(dst, b) })
}

// appendElement appends the bytes of one element.
func appendElement[T element](b []byte, v T) []byte {
	return append(b, rawBytes([]T{v})...)
}

// decodeFloats converts row-major bytes of any dense dtype.
func decodeFloats(b []byte, dtype DType) []float64 {
	out := make([]float64, len(b)/dtype.Bytes())
	le := endian.LittleEndian
	for i := range out {
		switch dtype {
		case F32:
			out[i] = float64(math.Float32frombits(le.Uint32(b[4*i:])))
		case F64:
			out[i] = math.Float64frombits(le.Uint64(b[8*i:]))
		case F16:
			out[i] = float64(ir.F16ToF32(le.Uint16(b[2*i:])))
		case BF16:
			out[i] = float64(ir.BF16ToF32(le.Uint16(b[2*i:])))
		case I32:
			out[i] = float64(int32(le.Uint32(b[4*i:])))
		case I64:
			out[i] = float64(int64(le.Uint64(b[8*i:])))
		default:
			out[i] = float64(b[i])
		}
	}
	return out
}
