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

// rowsFunc adds sums of rows of w to y, times times: of rows that lie ldw bytes apart
// in w and their factors ldx bytes apart in x, and each time nextw and nextx further.
// It does so for outputs vectors y, ldy bytes apart, with x that lie ldv apart.
type rowsFunc = func(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

// dotsFunc sets out[i] to the dot product of x and row i, and out[o·rows+i] for outputs
// vectors x, ldx bytes apart.
type dotsFunc = func(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

// kernels take whole vectors and 1, 2, 4 or 8 rows, dots of all but I8 up to 4, and
// for several outputs 1 or 4.
type kernels struct {
	rows    [kinds]rowsFunc
	dots    [kinds]dotsFunc
	lanes   int
	outputs int  // most of a call
	ahead   bool // those of two rows prefetch them, but for I8
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
	sum, part [16]float32
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// callElements bounds the weights of one assembly call, so that it ends soon.
const callElements = 128 << 10

// Rows adds x[i]·w[i][j], summed over i < len(x), to y[j] for j < len(y). Row i of w
// starts at w + i·ldw bytes, and its elements are contiguous.
func Rows(kind Kind, y []float32, w unsafe.Pointer, ldw int, x []float32) {
	if len(x) > 0 && len(y) > 0 {
		RowsOfMany(kind, unsafe.Pointer(&y[0]), 0, 1, len(y), w, ldw, unsafe.Pointer(&x[0]), 0, len(x))
	}
}

// RowsOfMany is [Rows] for m vectors x of k contiguous elements, which start ldx bytes
// apart, and as many y of n, ldy bytes apart. It reads the weights from memory once.
func RowsOfMany(kind Kind, y unsafe.Pointer, ldy, m, n int, w unsafe.Pointer, ldw int, x unsafe.Pointer, ldx, k int) {
	if m == 0 || n == 0 {
		return
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	cols := callElements / 8
	if m > 1 && k > 8 { // several y are read and written often enough to have to stay in the first-level cache
		cols = min(cols, max(256, feature.Cache().L1/8/m))
	}
	r := rows{kind: kind, ldy: ldy, m: m, ldw: ldw, ldx: ldx, apart: apart(kind, k, n, ldw, m)}
	blocks := (n + cols - 1) / cols
	for b := range blocks {
		j0, j1 := n*b/blocks&^15, n*(b+1)/blocks&^15
		if b+1 == blocks {
			j1 = n
		}
		r.y, r.n, r.w, r.x = unsafe.Add(y, 4*j0), j1-j0, unsafe.Add(w, j0*kind.Size()), x
		r.add(s, k)
	}
}

// apart returns how many streams to read rows of weights as, each from end to end, or
// 0 for the order they lie in, which is better kept where a second-level cache holds them.
// Two streams are best where kernels prefetch them, which gaps between short rows make a
// loss; else four, which the hardware foresees best.
func apart(kind Kind, rows, n, ldw, outputs int) int {
	const long = 16 << 10 // bytes, many times the distance of prefetching
	bytes := n * kind.Size()
	switch {
	case rows*bytes <= feature.Cache().L2:
		return 0
	case active.ahead && outputs == 1 && kind != I8 && (ldw == bytes || bytes >= long):
		return 2
	}
	return 4
}

// rows is a block of columns in progress.
type rows struct {
	kind  Kind
	y     unsafe.Pointer
	ldy   int
	m, n  int
	w     unsafe.Pointer
	ldw   int
	x     unsafe.Pointer
	ldx   int
	apart int // streams, see apart
}

// add adds k rows.
func (r *rows) add(s *scratch, k int) {
	if r.n < active.lanes {
		r.addNarrow(s, k)
		return
	}
	for i := 0; i < k; {
		streams, times, left := step(k-i), 1, k-i
		switch {
		case left >= 16 && r.apart > 0:
			streams, times = r.apart, left/r.apart
		case left >= 16 || r.m > 1 && left >= 4:
			streams, times = 4, left/4
		case r.m > 1:
			streams, times = 1, left
		}
		far, next := 1, streams
		if r.apart > 0 {
			far, next = times, 1
		}
		most := max(1, callElements/(streams*r.n))
		for t := 0; t < times; t += most {
			r.addStreams(s, i+next*t, far, next, streams, min(most, times-t))
		}
		i += streams * times
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

// addStreams adds rows i, i+far, …, streams of them, times times, next rows further each time.
func (r *rows) addStreams(s *scratch, i, far, next, streams, times int) {
	kern, size := active, r.kind.Size()
	whole, piece, turns := r.n-r.n%kern.lanes, r.n, times
	if r.m > kern.outputs { // so few columns of so few rows that later outputs find them in the first-level cache
		piece, turns = max(64, feature.Cache().L1/4/(streams*size)&^63), 1
	}
	at, x := unsafe.Add(r.w, i*r.ldw), unsafe.Add(r.x, 4*i)
	for t := 0; t < times; t += turns {
		for j := 0; j < whole; j += piece {
			n := min(piece, whole-j)
			for v := 0; v < r.m; v += kern.outputs {
				kern.rows[r.kind](unsafe.Add(r.y, v*r.ldy+4*j), unsafe.Add(at, t*next*r.ldw+j*size), uintptr(far*r.ldw), uintptr(next*r.ldw),
					unsafe.Add(x, v*r.ldx+4*t*next), uintptr(4*far), uintptr(4*next), n, streams, turns, min(kern.outputs, r.m-v), uintptr(r.ldy), uintptr(r.ldx))
			}
		}
	}
	if whole == r.n {
		return
	}
	// The last columns, summed beside others that are not wanted.
	for v := range r.m {
		clear(s.vec[:])
		kern.rows[r.kind](unsafe.Pointer(&s.vec), unsafe.Add(at, (r.n-kern.lanes)*size), uintptr(far*r.ldw), uintptr(next*r.ldw),
			unsafe.Add(x, v*r.ldx), uintptr(4*far), uintptr(4*next), kern.lanes, streams, times, 1, 0, 0)
		y := unsafe.Slice((*float32)(unsafe.Add(r.y, v*r.ldy+4*whole)), r.n-whole)
		for j, z := range s.vec[kern.lanes-len(y) : kern.lanes] {
			y[j] += z
		}
	}
}

// addNarrow adds rows that are shorter than a vector, in padded copies.
func (r *rows) addNarrow(s *scratch, k int) {
	kern, size := active, r.kind.Size()
	for i := 0; i < k; {
		n := step(k - i)
		for q := range n {
			copy(s.block[q*kern.lanes*size:], unsafe.Slice((*byte)(unsafe.Add(r.w, (i+q)*r.ldw)), r.n*size))
		}
		for v := range r.m {
			y := unsafe.Slice((*float32)(unsafe.Add(r.y, v*r.ldy)), r.n)
			copy(s.vec[:], y)
			kern.rows[r.kind](unsafe.Pointer(&s.vec), unsafe.Pointer(&s.block), uintptr(kern.lanes*size), 0,
				unsafe.Add(r.x, v*r.ldx+4*i), 4, 0, kern.lanes, n, 1, 1, 0, 0)
			copy(y, s.vec[:])
		}
		i += n
	}
}

// Dots sets out[i] to Σ x[k]·w[i][k] for each row i of w, which starts at w + i·ldw
// bytes and is contiguous.
func Dots(kind Kind, out []float32, w unsafe.Pointer, ldw int, x []float32) {
	if len(x) == 0 {
		clear(out)
	} else if len(out) > 0 {
		DotsOfMany(kind, unsafe.Pointer(&out[0]), 0, 1, len(out), w, ldw, unsafe.Pointer(&x[0]), 0, len(x))
	}
}

// Outputs returns for how many vectors the kernels use weights that are in a register.
func Outputs() int { return active.outputs }

// DotsOfMany is [Dots] for m vectors x of k elements, which start ldx bytes apart, and
// as many results, ldout bytes apart. It reads the weights from memory once.
func DotsOfMany(kind Kind, out unsafe.Pointer, ldout, m, rows int, w unsafe.Pointer, ldw int, x unsafe.Pointer, ldx, k int) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	d := dots{kind, out, ldout, m, w, ldw, x, ldx, k}
	n := 0
	if streams := apart(kind, rows, k, ldw, m); streams > 0 {
		far := rows / streams
		for i := range far {
			d.rows(s, i, far, streams)
		}
		n = far * streams
	}
	for n < rows {
		r := step(rows - n)
		switch {
		case m > 1 && r < 4:
			r = 1
		case m > 1 || kind != I8:
			r = min(r, 4)
		}
		d.rows(s, n, 1, r)
		n += r
	}
}

// dots are dot products in progress.
type dots struct {
	kind  Kind
	out   unsafe.Pointer
	ldout int
	m     int
	w     unsafe.Pointer
	ldw   int
	x     unsafe.Pointer
	ldx   int
	k     int
}

// rows multiplies n rows, from i on and far apart, by all x.
func (d *dots) rows(s *scratch, i, far, n int) {
	kern, size := active, d.kind.Size()
	whole, w, ldw := d.k-d.k%kern.lanes, unsafe.Add(d.w, i*d.ldw), uintptr(far*d.ldw)
	for v := 0; v < d.m; v += kern.outputs {
		outputs := min(kern.outputs, d.m-v)
		sum, part, x := s.sum[:outputs*n], s.part[:outputs*n], unsafe.Add(d.x, v*d.ldx)
		first := min(callElements/8, whole)
		if first > 0 {
			kern.dots[d.kind](&sum[0], w, ldw, x, first, n, outputs, uintptr(d.ldx))
		} else {
			clear(sum)
		}
		for j := first; j < whole; j += callElements / 8 {
			kern.dots[d.kind](&part[0], unsafe.Add(w, j*size), ldw, unsafe.Add(x, 4*j), min(callElements/8, whole-j), n, outputs, uintptr(d.ldx))
			for o, p := range part {
				sum[o] += p
			}
		}
		for o := 0; o < outputs && whole < d.k; o++ {
			s.tailDots(d.kind, unsafe.Add(w, whole*size), int(ldw), unsafe.Slice((*float32)(unsafe.Add(x, o*d.ldx+4*whole)), d.k-whole), n)
			for r, p := range s.part[:n] {
				sum[o*n+r] += p
			}
		}
		for o := range outputs {
			to := unsafe.Add(d.out, (v+o)*d.ldout+4*i)
			for r, p := range sum[o*n : (o+1)*n] {
				*(*float32)(unsafe.Add(to, 4*r*far)) = p
			}
		}
	}
}

func (s *scratch) tailDots(kind Kind, w unsafe.Pointer, ldw int, x []float32, rows int) {
	size, lanes := kind.Size(), active.lanes
	clear(s.block[:]) // 0 times stale bits might be NaN
	for i := range rows {
		copy(s.block[i*lanes*size:], unsafe.Slice((*byte)(unsafe.Add(w, i*ldw)), len(x)*size))
	}
	clear(s.vec[copy(s.vec[:], x):])
	active.dots[kind](&s.part[0], unsafe.Pointer(&s.block), uintptr(lanes*size), unsafe.Pointer(&s.vec), lanes, rows, 1, 0)
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
	k := &kernels{lanes: 1, outputs: 4}
	for kind := range kinds {
		k.rows[kind] = func(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr) {
			for o := range uintptr(outputs) {
				ys := unsafe.Slice((*float32)(unsafe.Add(y, o*ldy)), n)
				for t := range uintptr(times) {
					for i := range uintptr(rows) {
						v, row := *(*float32)(unsafe.Add(x, o*ldv+t*nextx+i*ldx)), unsafe.Add(w, t*nextw+i*ldw)
						for j := range ys {
							ys[j] += v * kind.value(row, j)
						}
					}
				}
			}
		}
		k.dots[kind] = func(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, n, rows, outputs int, ldx uintptr) {
			for o := range outputs {
				xs := unsafe.Slice((*float32)(unsafe.Add(x, uintptr(o)*ldx)), n)
				for i := range rows {
					row, sum := unsafe.Add(w, uintptr(i)*ldw), float32(0)
					for j, v := range xs {
						sum += v * kind.value(row, j)
					}
					unsafe.Slice(out, rows*outputs)[o*rows+i] = sum
				}
			}
		}
	}
	return k
}()
