package cpu

import (
	"unsafe"

	"loris/internal/cpu/vec"
	"loris/internal/ir"
)

// castFor returns the conversion from one declared dtype to another, over registers: bools
// and u8 are bytes there, halves float32.
func castFor(from, to ir.DType) micro {
	a, b := computed(from), computed(to)
	switch {
	case to == ir.F16 || to == ir.BF16:
		return roundedTo(to, castFor(from, ir.F32))
	case to == ir.Bool:
		return typed(a, truth[uint32], truth[uint64], truth[uint32], truth[uint64], truth[uint8])(a.IsFloat())
	case a.Bytes() == 1 && b.Bytes() == 1 || a == b:
		return func(dst, x, _, _ unsafe.Pointer, n int) {
			copy(slice[byte](dst, n*b.Bytes()), slice[byte](x, n*b.Bytes()))
		}
	case a.Bytes() == 1:
		return typed(b, converted[uint8, float32], converted[uint8, float64], converted[uint8, int32], converted[uint8, int64], nil)
	case b == ir.U8 && a.IsFloat():
		return saturated(a)
	case b == ir.U8:
		return typed(a, nil, nil, converted[int32, uint8], converted[int64, uint8], nil)
	}
	source, target := vecTypes[a], vecTypes[b]
	return func(dst, x, _, _ unsafe.Pointer, n int) { vec.Cast(dst, target, x, source, n) }
}

// roundedTo rounds what cast gives to a half.
func roundedTo(half ir.DType, cast micro) micro {
	return func(dst, x, _, _ unsafe.Pointer, n int) {
		cast(dst, x, nil, nil, n)
		const block = 128
		var h [block]uint16
		for d := slice[float32](dst, n); len(d) > 0; {
			m := min(len(d), block)
			narrow(h[:m], d[:m], half)
			widen(d[:m], h[:m], half)
			d = d[m:]
		}
	}
}

// converted converts numbers as Go does.
func converted[A, R number](dst, a, _, _ unsafe.Pointer, n int) {
	d, x := slice[R](dst, n), slice[A](a, n)
	for i, v := range x {
		d[i] = R(v)
	}
}

// saturated converts floats to bytes as toInt does, by way of i32.
func saturated(from ir.DType) micro {
	source, size := vecTypes[from], from.Bytes()
	return func(dst, a, _, _ unsafe.Pointer, n int) {
		const block = 256
		var wide [block]int32
		d := slice[uint8](dst, n)
		for i := 0; i < n; i += block {
			m := min(block, n-i)
			vec.Cast(unsafe.Pointer(&wide), vec.I32, unsafe.Add(a, i*size), source, m)
			for k, v := range wide[:m] {
				d[i+k] = uint8(min(max(v, 0), 255))
			}
		}
	}
}

// truth returns the conversion to 0 and 1 by the bits of numbers; the zeros of floats
// have either sign.
func truth[A uint8 | uint32 | uint64](float bool) micro {
	shift := 0
	if float {
		shift = 1
	}
	return func(dst, a, _, _ unsafe.Pointer, n int) {
		d, x := slice[uint8](dst, n), slice[A](a, n)
		for i, v := range x {
			v <<= shift
			d[i] = uint8((v | -v) >> (8*unsafe.Sizeof(v) - 1))
		}
	}
}
