// Package format reads and writes files of named arrays: safetensors, npy, npz
// and (reading only) GGUF. Bytes go in, arrays come out, and an error that
// names the place in the file when they are not what they should be. Nothing in
// a file is ever executed: pickles are refused.
package format

import (
	"encoding/binary"
	"fmt"
	"math"

	"loris/internal/ir"
)

// Array is a row-major, little-endian tensor, or a quantised matrix (see packer).
// Data may be unaligned. Where Mapped is set it is the mapped file itself, valid until
// the File is closed; writing to it changes this process's copy of a page only.
type Array struct {
	DType  ir.DType
	Shape  ir.Shape
	Data   []byte
	Mapped bool
}

// problem makes the error of this package.
func problem(format string, args ...any) *ir.Error {
	return &ir.Error{Code: ir.CodeFormat, Msg: fmt.Sprintf(format, args...)}
}

// sizeOf returns the number of elements and bytes of a shape, checked for
// overflow.
func sizeOf(shape []int, elementBytes int) (elements, bytes int, err *ir.Error) {
	elements = 1
	for _, d := range shape {
		if d < 0 {
			return 0, 0, problem("negative size in shape %v", shape)
		}
		if d > 0 && elements > math.MaxInt/8/max(1, elementBytes)/d {
			return 0, 0, problem("shape %v is too large", shape)
		}
		elements *= d
	}
	if len(shape) > 16 {
		return 0, 0, problem("%d axes; at most 16 are possible", len(shape))
	}
	return elements, elements * elementBytes, nil
}

// source is an element type of a file: one of ours, or one that converts.
type source struct {
	bytes   int
	dtype   ir.DType
	convert func(dst, src []byte) error // nil: the bytes are the same
}

// Integers that we lack are widened.
var (
	le      = binary.LittleEndian
	fromI8  = source{1, ir.I32, func(dst, src []byte) error { le.PutUint32(dst, uint32(int32(int8(src[0])))); return nil }}
	fromI16 = source{2, ir.I32, func(dst, src []byte) error { le.PutUint32(dst, uint32(int32(int16(le.Uint16(src))))); return nil }}
	fromU16 = source{2, ir.I32, func(dst, src []byte) error { le.PutUint32(dst, uint32(le.Uint16(src))); return nil }}
	fromU32 = source{4, ir.I64, func(dst, src []byte) error { le.PutUint64(dst, uint64(le.Uint32(src))); return nil }}
	fromU64 = source{8, ir.I64, func(dst, src []byte) error {
		v := le.Uint64(src)
		if v > math.MaxInt64 {
			return problem("the unsigned number %d does not fit into i64", v)
		}
		le.PutUint64(dst, v)
		return nil
	}}
)

// fromBool makes every byte but 0 a 1: a bool tensor holds nothing else.
var fromBool = source{1, ir.Bool, func(dst, src []byte) error {
	dst[0] = 0
	if src[0] != 0 {
		dst[0] = 1
	}
	return nil
}}

func plain(d ir.DType) source { return source{d.Bytes(), d, nil} }

// array makes an Array of the bytes of a file.
func (s source) array(shape ir.Shape, data []byte) (*Array, error) {
	a := &Array{DType: s.dtype, Shape: shape, Data: data}
	if s.convert == nil {
		return a, nil
	}
	n := len(data) / s.bytes
	width := s.dtype.Bytes()
	a.Data = make([]byte, n*width)
	for i := range n {
		if err := s.convert(a.Data[i*width:(i+1)*width], data[i*s.bytes:(i+1)*s.bytes]); err != nil {
			return nil, err
		}
	}
	return a, nil
}
