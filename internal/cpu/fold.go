package cpu

import (
	"math"
	"unsafe"

	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
)

// This file has the reductions of numbers that package vec has no kernel for. Their loops
// have several results, so that an addition does not wait for the one before.

func reduceWith[T any](all func([]T) T, both func(a, b T) T) reducer {
	return func(dst, a unsafe.Pointer, rows, cols int, more bool) {
		d, x := slice[T](dst, rows), slice[T](a, rows*cols)
		for i := range d {
			v := all(x[i*cols : (i+1)*cols])
			if more {
				v = both(d[i], v)
			}
			d[i] = v
		}
	}
}

// reducerOf returns the reduction of registers of T; Any and All are of bools.
func reducerOf[T number](o ir.Op) reducer {
	isFloat := T(1)/2 != 0
	switch o {
	case op.Sum:
		return reduceWith(sum[T], func(a, b T) T { return a + b })
	case op.Prod:
		return reduceWith(multiply[T], func(a, b T) T { return a * b })
	case op.Max:
		if isFloat {
			return reduceWith(largestFloat[T], func(a, b T) T { return max(a, b) })
		}
		return reduceWith(largest[T], func(a, b T) T { return max(a, b) })
	case op.Min:
		if isFloat {
			return reduceWith(smallestFloat[T], func(a, b T) T { return min(a, b) })
		}
		return reduceWith(smallest[T], func(a, b T) T { return min(a, b) })
	case op.Any:
		return reduceWith(anyTrue, func(a, b uint8) uint8 { return a | b })
	case op.All:
		return reduceWith(allTrue, func(a, b uint8) uint8 { return a & b })
	}
	return nil
}

// sumRun is how many elements are added one after the other; sums of more are added in
// pairs, so that the error grows with the logarithm of the length.
const sumRun = 256

func sum[T number](x []T) T {
	if T(1)/2 != 0 && len(x) > sumRun {
		h := len(x) / 2
		return sum(x[:h]) + sum(x[h:])
	}
	return sumRunOf(x)
}

func sumRunOf[T number](x []T) T {
	var a, b, c, d T
	for ; len(x) >= 4; x = x[4:] {
		a += x[0]
		b += x[1]
		c += x[2]
		d += x[3]
	}
	for _, v := range x {
		a += v
	}
	return a + b + (c + d)
}

func multiply[T number](x []T) T {
	a, b, c, d := T(1), T(1), T(1), T(1)
	for ; len(x) >= 4; x = x[4:] {
		a *= x[0]
		b *= x[1]
		c *= x[2]
		d *= x[3]
	}
	for _, v := range x {
		a *= v
	}
	return a * b * (c * d)
}

func largest[T number](x []T) T {
	a := lowest[T]()
	b, c, d := a, a, a
	for ; len(x) >= 4; x = x[4:] {
		a, b, c, d = max(a, x[0]), max(b, x[1]), max(c, x[2]), max(d, x[3])
	}
	for _, v := range x {
		a = max(a, v)
	}
	return max(a, b, c, d)
}

func smallest[T number](x []T) T {
	a := highest[T]()
	b, c, d := a, a, a
	for ; len(x) >= 4; x = x[4:] {
		a, b, c, d = min(a, x[0]), min(b, x[1]), min(c, x[2]), min(d, x[3])
	}
	for _, v := range x {
		a = min(a, v)
	}
	return min(a, b, c, d)
}

// largestFloat and smallestFloat give NaN if there is one. A new best is rare: the branch
// costs less than what a maximum with NaN takes.
func largestFloat[T number](x []T) T {
	m := lowest[T]()
	for _, v := range x {
		if !(v <= m) {
			if m = v; v != v {
				break
			}
		}
	}
	return m
}

func smallestFloat[T number](x []T) T {
	m := highest[T]()
	for _, v := range x {
		if !(v >= m) {
			if m = v; v != v {
				break
			}
		}
	}
	return m
}

// anyTrue and allTrue fold bools, eight at a time.
func anyTrue(x []uint8) uint8 {
	for ; len(x) >= 32; x = x[32:] {
		if word(x, 0)|word(x, 8)|word(x, 16)|word(x, 24) != 0 {
			return 1
		}
	}
	for _, v := range x {
		if v != 0 {
			return 1
		}
	}
	return 0
}

func allTrue(x []uint8) uint8 {
	const ones = 0x0101010101010101
	for ; len(x) >= 32; x = x[32:] {
		if word(x, 0)&word(x, 8)&word(x, 16)&word(x, 24) != ones {
			return 0
		}
	}
	for _, v := range x {
		if v == 0 {
			return 0
		}
	}
	return 1
}

// word reads eight bytes.
func word(x []uint8, at int) uint64 { return *(*uint64)(unsafe.Pointer(&x[at : at+8][0])) }

// sumBytes adds bytes, those of a word in four lanes of 16 bits.
func sumBytes(x []uint8) int64 {
	const even, most = 0x00ff00ff00ff00ff, 128 // words until a lane may overflow
	total := int64(0)
	for len(x) >= 8 {
		n := min(len(x)/8, most)
		lanes := uint64(0)
		for ; n > 0; n-- {
			w := word(x, 0)
			lanes += w&even + w>>8&even
			x = x[8:]
		}
		lanes = lanes&0x0000ffff0000ffff + lanes>>16&0x0000ffff0000ffff
		total += int64(lanes&0xffffffff + lanes>>32)
	}
	for _, v := range x {
		total += int64(v)
	}
	return total
}

// castSums returns the reducer that sums elements of a dtype as i64, nil if there is none.
func castSums(d ir.DType) reducer {
	switch d {
	case ir.I32:
		return func(dst, a unsafe.Pointer, rows, cols int, more bool) {
			d := slice[int64](dst, rows)
			before := d[0]
			vec.SumInts(d, a, rows, cols)
			if more { // then it is one row
				d[0] += before
			}
		}
	case ir.U8, ir.Bool:
		return func(dst, a unsafe.Pointer, rows, cols int, more bool) {
			d, x := slice[int64](dst, rows), slice[uint8](a, rows*cols)
			for i := range d {
				v := sumBytes(x[i*cols : (i+1)*cols])
				if more {
					v += d[i]
				}
				d[i] = v
			}
		}
	}
	return nil
}

func lowest[T number]() T {
	var v T
	switch p := any(&v).(type) {
	case *float32:
		*p = float32(math.Inf(-1))
	case *float64:
		*p = math.Inf(-1)
	case *int32:
		*p = math.MinInt32
	case *int64:
		*p = math.MinInt64
	}
	return v
}

func highest[T number]() T {
	var v T
	switch p := any(&v).(type) {
	case *float32:
		*p = float32(math.Inf(1))
	case *float64:
		*p = math.Inf(1)
	case *int32:
		*p = math.MaxInt32
	case *int64:
		*p = math.MaxInt64
	case *uint8:
		*p = math.MaxUint8
	}
	return v
}
