// Package gemv multiplies a matrix of weights (float32, bfloat16, float16 or int8)
// by a float32 vector, in both orders of the weights' elements. Such products read
// each weight once, so memory sets their speed: the kernels only keep up with it.
package gemv

//go:generate go run loris/internal/cpu/asmgen gemv

import (
	"math"
	"sync"
	"unsafe"

	"github.com/x448/float16"

	"loris/internal/cpu/feature"
)

// Kind is the type of the weights' elements.
type Kind int

// The kinds of weights.
const (
	F32 Kind = iota
	BF16
	F16
	I8

	kinds
)

// Size returns the bytes of an element.
func (k Kind) Size() int { return [...]int{4, 2, 2, 1}[k] }

// kernels take whole vectors and 1, 2, 4 or 8 rows, dots of all but I8 up to 4.
type kernels struct {
	rows  [kinds]func(y, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, n, rows int)
	dots  [kinds]func(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows int)
	lanes int
}

var active = kernelsFor(feature.Active())

func kernelsFor(l feature.Level) *kernels {
	if k := levels[l]; k != nil {
		return k
	}
	return generic
}

// scratch is memory for tails and partial sums; calls through a table would move
// it from the stack to the heap each time.
type scratch struct {
	block     [8 * 16 * 4]byte
	vec       [16]float32
	sum, part [8]float32
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// callElements bounds the weights of one assembly call, so that it ends soon.
const callElements = 128 << 10

// Rows adds x[i]·w[i][j], summed over i < rows, to y[j] for j < n. Row i of w starts
// at w + i·ldw bytes, and its elements are contiguous.
func Rows(kind Kind, y []float32, w unsafe.Pointer, ldw int, x []float32) {
	k, n := active, len(y)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	whole := n - n%k.lanes
	size := kind.Size()
	most := 8
	if kind != I8 && 8*n <= feature.Cache().L1 { // y stays in the first-level cache, and four streams are foreseen better
		most = 4
	}
	for i := 0; i < len(x); {
		r := step(min(most, len(x)-i))
		at := unsafe.Add(w, i*ldw)
		for j := 0; j < whole; j += callElements / 8 {
			m := min(callElements/8, whole-j)
			k.rows[kind](unsafe.Pointer(&y[j]), unsafe.Add(at, j*size), uintptr(ldw), unsafe.Pointer(&x[i]), m, r)
		}
		if whole < n {
			s.tailRows(kind, y[whole:], unsafe.Add(at, whole*size), ldw, x[i:i+r])
		}
		i += r
	}
}

// step returns how many rows to do at once.
func step(left int) int {
	switch {
	case left >= 8:
		return 8
	case left >= 4:
		return 4
	case left >= 2:
		return 2
	}
	return 1
}

// tailRows does fewer columns than a vector, in padded copies.
func (s *scratch) tailRows(kind Kind, y []float32, w unsafe.Pointer, ldw int, x []float32) {
	size, lanes := kind.Size(), active.lanes
	for i := range x {
		copy(s.block[i*lanes*size:], unsafe.Slice((*byte)(unsafe.Add(w, i*ldw)), len(y)*size))
	}
	copy(s.vec[:], y)
	active.rows[kind](unsafe.Pointer(&s.vec), unsafe.Pointer(&s.block), uintptr(lanes*size), unsafe.Pointer(&x[0]), lanes, len(x))
	copy(y, s.vec[:])
}

// Dots sets out[i] to Σ x[k]·w[i][k] for each row i of w, which starts at w + i·ldw
// bytes and is contiguous.
func Dots(kind Kind, out []float32, w unsafe.Pointer, ldw int, x []float32) {
	k, n := active, len(x)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	size := kind.Size()
	whole := n - n%k.lanes
	most := 4
	if kind == I8 {
		most = 8
	}
	for i := 0; i < len(out); {
		r := step(min(most, len(out)-i))
		at := unsafe.Add(w, i*ldw)
		clear(s.sum[:])
		for j := 0; j < whole; j += callElements / 8 {
			m := min(callElements/8, whole-j)
			k.dots[kind](&s.part[0], unsafe.Add(at, j*size), uintptr(ldw), unsafe.Pointer(&x[j]), m, r)
			for o := range r {
				s.sum[o] += s.part[o]
			}
		}
		if whole < n {
			s.tailDots(kind, unsafe.Add(at, whole*size), ldw, x[whole:], r)
			for o := range r {
				s.sum[o] += s.part[o]
			}
		}
		copy(out[i:i+r], s.sum[:])
		i += r
	}
}

func (s *scratch) tailDots(kind Kind, w unsafe.Pointer, ldw int, x []float32, rows int) {
	size, lanes := kind.Size(), active.lanes
	clear(s.block[:]) // 0 times stale bits might be NaN
	for i := range rows {
		copy(s.block[i*lanes*size:], unsafe.Slice((*byte)(unsafe.Add(w, i*ldw)), len(x)*size))
	}
	clear(s.vec[copy(s.vec[:], x):])
	active.dots[kind](&s.part[0], unsafe.Pointer(&s.block), uintptr(lanes*size), unsafe.Pointer(&s.vec), lanes, rows)
}

// value reads an element.
func (k Kind) value(p unsafe.Pointer, i int) float32 {
	switch k {
	case BF16:
		return math.Float32frombits(uint32(*(*uint16)(unsafe.Add(p, 2*i))) << 16)
	case F16:
		return float16.Frombits(*(*uint16)(unsafe.Add(p, 2*i))).Float32()
	case I8:
		return float32(*(*int8)(unsafe.Add(p, i)))
	}
	return *(*float32)(unsafe.Add(p, 4*i))
}

// generic is the plain Go twin.
var generic = func() *kernels {
	k := &kernels{lanes: 1}
	for kind := range kinds {
		k.rows[kind] = func(y, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, n, rows int) {
			ys := unsafe.Slice((*float32)(y), n)
			for i := range rows {
				v, row := *(*float32)(unsafe.Add(x, 4*i)), unsafe.Add(w, uintptr(i)*ldw)
				for j := range ys {
					ys[j] += v * kind.value(row, j)
				}
			}
		}
		k.dots[kind] = func(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, n, rows int) {
			xs := unsafe.Slice((*float32)(x), n)
			for i := range rows {
				row, sum := unsafe.Add(w, uintptr(i)*ldw), float32(0)
				for j, v := range xs {
					sum += v * kind.value(row, j)
				}
				unsafe.Slice(out, rows)[i] = sum
			}
		}
	}
	return k
}()
