package vec

import (
	"fmt"
	"slices"
	"unsafe"
)

// Unary sets dst[i] = op(a[i]) for float32 values. dst may be a.
func Unary(op Op, dst, a []float32) {
	check(op, 1, len(dst), len(a), len(a), len(a))
	over(op, dst, a, a, a, 1, 1, 1)
}

// Binary sets dst[i] = op(a[i], b[i]) for float32 values. dst may be a or b. The
// results of comparisons are bits, all ones or zeros.
func Binary(op Op, dst, a, b []float32) {
	check(op, 2, len(dst), len(a), len(b), len(a))
	over(op, dst, a, b, b, 1, 1, 1)
}

// BinaryInts is Binary for int32 values.
func BinaryInts(op Op, dst, a, b []int32) {
	if op.Arity() != 2 || fastKernels[op][I32] < 0 || len(a) != len(dst) || len(b) != len(dst) {
		panic(fmt.Sprintf("vec: %s of %d int32 values", op, len(dst)))
	}
	bits := func(s []int32) []float32 {
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
	}
	overType(op, I32, bits(dst), bits(a), bits(b), bits(b), 1, 1, 1)
}

// Repeats is the length of a block of equal values, see [BinaryRepeated].
const Repeats = splatBytes / 4

// BinaryRepeated is Binary with one value for operand 0 or 1, which is a block of it.
func BinaryRepeated(op Op, dst, a, b []float32, repeated int) {
	if repeated == 0 {
		check(op, 2, len(dst), len(b), Repeats-len(a)+len(dst))
		over(op, dst, a, b, b, 0, 1, 1)
		return
	}
	check(op, 2, len(dst), len(a), Repeats-len(b)+len(dst))
	over(op, dst, a, b, a, 1, 0, 1)
}

// Ternary sets dst[i] = op(a[i], b[i], c[i]) for float32 values.
func Ternary(op Op, dst, a, b, c []float32) {
	check(op, 3, len(dst), len(a), len(b), len(c))
	over(op, dst, a, b, c, 1, 1, 1)
}

// BinaryScalar sets dst[i] = op(a[i], s) for float32 values. dst may be a.
func BinaryScalar(op Op, dst, a []float32, s float32) {
	check(op, 2, len(dst), len(a), len(a), len(a))
	t := scraps.Get().(*scrap)
	for i := range t.splat {
		t.splat[i] = s
	}
	over(op, dst, a, t.splat[:], a, 1, 0, 1)
	scraps.Put(t)
}

func check(op Op, arity int, lens ...int) {
	if op >= opCount || op.Arity() != arity || op == Select || !op.Supports(F32) {
		panic(fmt.Sprintf("vec: operation %d does not take %d float32 operands", op, arity))
	}
	for _, n := range lens[1:] {
		if n != lens[0] {
			panic(fmt.Sprintf("vec: %s of slices of lengths %v", op, slices.Clone(lens))) // the clone keeps lens off the heap
		}
	}
}

// over runs whole vectors in place and the rest in a copy.
func over(op Op, dst, a, b, c []float32, sa, sb, sc int) { overType(op, F32, dst, a, b, c, sa, sb, sc) }

// overType is over for the bits of values of a type of 32 bits.
func overType(op Op, typ Type, dst, a, b, c []float32, sa, sb, sc int) {
	run := op.find(typ)
	if rows[op].swap {
		a, b, sa, sb = b, a, sb, sa
	}
	ptr := func(s []float32, i, step int) unsafe.Pointer { return unsafe.Pointer(&s[i*step]) }
	n := len(dst)
	m := n - n%lanes
	if m > 0 {
		run(ptr(dst, 0, 1), ptr(a, 0, sa), ptr(b, 0, sb), ptr(c, 0, sc), sa, sb, sc, m)
	}
	if m == n {
		return
	}
	t := scraps.Get().(*scrap)
	tail := &t.tail
	for i, s := range [...][]float32{a, b, c} {
		step := [...]int{sa, sb, sc}[i]
		if step == 0 {
			copy(tail[i+1][:], s)
			continue
		}
		copy(tail[i+1][:], s[m:])
	}
	run(unsafe.Pointer(&tail[0]), unsafe.Pointer(&tail[1]), unsafe.Pointer(&tail[2]), unsafe.Pointer(&tail[3]), 1, 1, 1, lanes)
	copy(dst[m:], tail[0][:])
	scraps.Put(t)
}
