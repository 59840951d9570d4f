package gemm

import (
	"runtime"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/feature"
	"loris/internal/cpu/pool"
)

// Matrix addresses float32 elements: element (i, j) lies at Data + i·RowStride +
// j·ColStride, both counted in elements; they may be zero or negative.
type Matrix struct {
	Data      unsafe.Pointer
	RowStride int
	ColStride int
}

// Slice returns the matrix of rows of n contiguous elements in s.
func Slice(s []float32, n int) Matrix { return Matrix{unsafe.Pointer(unsafe.SliceData(s)), n, 1} }

// T returns the transpose, without copying.
func (m Matrix) T() Matrix { return Matrix{m.Data, m.ColStride, m.RowStride} }

// at returns the address of element (i, j), which must exist: an address beside the
// memory of a matrix, even unused, would mislead the collector.
func (m Matrix) at(i, j int) unsafe.Pointer {
	return unsafe.Add(m.Data, 4*(i*m.RowStride+j*m.ColStride))
}

// PackedB is a right factor K×N in the order the micro-kernel reads it: blocks
// along k, each cut into panels of nr columns; the last panel is padded with zeros.
type PackedB struct {
	K, N   int
	kern   *kernel
	blocks int  // along k
	plain  bool // a row-major copy: for a library, and of short columns
	mem    arena.Block
	arena  *arena.Arena
}

// Pack copies B, K rows by N columns, using all threads of the pool and memory
// of its arena. The error is the arena's.
func Pack(p *pool.Pool, b Matrix, k, n int) (*PackedB, error) {
	q := &PackedB{K: k, N: n, kern: active, plain: useLibrary}
	if err := q.alloc(p.Arena()); err != nil {
		return nil, err
	}
	q.fill(p, b)
	return q, nil
}

// Load is Pack into q, on the calling goroutine alone and without allocating on the
// Go heap. What q held is freed or reused.
func (q *PackedB) Load(a *arena.Arena, b Matrix, k, n int) error { return q.load(a, b, k, n, active) }

// LoadRounded is Load for calls that round their factors, see [Call.Rounds].
func (q *PackedB) LoadRounded(a *arena.Arena, b Matrix, k, n int) error {
	return q.load(a, b, k, n, activePairs)
}

func (q *PackedB) load(a *arena.Arena, b Matrix, k, n int, kern *kernel) error {
	if q.mem.Pointer() == nil || q.K != k || q.N != n || q.kern != kern || q.arena != a {
		q.Free()
		*q = PackedB{K: k, N: n, kern: kern}
		if err := q.alloc(a); err != nil {
			*q = PackedB{}
			return err
		}
	}
	for i := range q.blocks * q.panels() {
		q.packOne(b, nil, i)
	}
	runtime.KeepAlive(b.Data)
	return nil
}

// PackedBytes returns the memory that Pack of a K×N factor takes.
func PackedBytes(k, n int) int {
	q := PackedB{K: k, N: n, kern: active, plain: useLibrary}
	return q.bytes()
}

// Repack copies new values of the same shape into q, for weights that have changed.
func (q *PackedB) Repack(p *pool.Pool, b Matrix) { q.fill(p, b) }

// Free gives the memory back. q must not be used afterwards.
func (q *PackedB) Free() {
	if q.arena != nil {
		q.arena.Free(q.mem)
		*q = PackedB{}
	}
}

func (q *PackedB) bytes() int {
	if q.plain {
		return 4 * q.K * q.N
	}
	return 4 * q.kern.steps(q.K) * q.panels() * q.kern.nr
}

func (q *PackedB) panels() int { return (q.N + q.kern.nr - 1) / q.kern.nr }

func (q *PackedB) alloc(a *arena.Arena) (err error) {
	q.blocks = kBlocks(q.K, q.kern)
	q.arena = a
	q.mem, err = a.Alloc(q.bytes())
	return err
}

// kBlocks cuts K so that a panel of B stays near two L1 caches, where a column of
// micro-kernel calls finds it; a quarter more is taken rather than another pass over C.
func kBlocks(k int, kern *kernel) int {
	limit := max(64, min(1024, 2*feature.Cache().L1/(4*kern.nr)))
	steps := kern.steps(k)
	if steps <= limit+limit/4 {
		return 1
	}
	return (steps + limit - 1) / limit
}

// cut returns the start of part i of n equal parts of length.
func cut(length, n, i int) int { return length * i / n }

// panel returns columns nr·j… of the k range that starts at k0 and is kc long.
func (q *PackedB) panel(k0, kc, j int) unsafe.Pointer {
	return unsafe.Add(q.mem.Pointer(), 4*q.kern.nr*(q.kern.steps(k0)*q.panels()+q.kern.steps(kc)*j))
}

// matrix returns a row-major copy.
func (q *PackedB) matrix() Matrix { return Matrix{q.mem.Pointer(), q.N, 1} }

// shortColumns is up to how many elements the columns of a right factor are copied to
// rows all at once: panels of so few rows would be many small transpositions.
const shortColumns = 32

func (q *PackedB) fill(p *pool.Pool, b Matrix) {
	n := q.blocks * q.panels()
	if n == 0 || q.K == 0 {
		return
	}
	if q.plain {
		packPanel(q.mem.Pointer(), q.N, b, 0, q.K, 0, q.N)
		return
	}
	group := max(1, n/(8*p.Threads()))
	p.Run((n+group-1)/group, packNanos*float64(q.K*q.N), nil, func(chunk int, _ *pool.Worker) {
		for i := chunk * group; i < min(n, (chunk+1)*group); i++ {
			q.packOne(b, nil, i)
		}
	})
	runtime.KeepAlive(b.Data)
}

// packOne fills panel i, counted through all blocks.
func (q *PackedB) packOne(b Matrix, from Source, i int) {
	block, j := i/q.panels(), i%q.panels()
	k0, k1 := q.kern.cut(q.K, q.blocks, block), q.kern.cut(q.K, q.blocks, block+1)
	if k0 == k1 {
		return
	}
	j0, j1 := j*q.kern.nr, min(q.N, (j+1)*q.kern.nr)
	if q.kern.rounding != nil {
		q.kern.roundPanel(q.panel(k0, k1-k0, j), b, from, k0, k1, j0, j1)
		return
	}
	if from != nil {
		dst := unsafe.Slice((*float32)(q.panel(k0, k1-k0, j)), (k1-k0)*q.kern.nr)
		if j1-j0 < q.kern.nr {
			clear(dst)
		}
		from.Panel(dst, q.kern.nr, k0, k1, j0, j1)
		return
	}
	packPanel(q.panel(k0, k1-k0, j), q.kern.nr, b, k0, k1, j0, j1)
}

// packPanel copies rows k0…k1 and columns j0…j1 of b to rows of nr elements, padded with zeros.
func packPanel(dst unsafe.Pointer, nr int, b Matrix, k0, k1, j0, j1 int) {
	cols := j1 - j0
	if k0 >= k1 || cols <= 0 {
		return
	}
	d := unsafe.Slice((*float32)(dst), (k1-k0)*nr)
	switch {
	case b.ColStride == 1:
		for k := k0; k < k1; k++ {
			row := d[(k-k0)*nr:][:nr]
			copy(row, unsafe.Slice((*float32)(b.at(k, j0)), cols))
			clear(row[cols:])
		}
	default:
		if cols < nr {
			clear(d)
		}
		transpose(d, nr, b, k0, k1, j0, j1)
	}
}

// Transpose copies element (i, j) of src to dst[i·ld + j], fast where columns of src
// are contiguous.
func Transpose(dst []float32, ld int, src Matrix, rows, cols int) {
	transpose(dst, ld, src, 0, rows, 0, cols)
}

// EverySecond copies src[0], src[2], … to all of dst.
func EverySecond(dst, src []float32) {
	if active.everySecond != nil && len(src) >= 16 {
		blocks := min(len(dst)/8, len(src)/16) // whole blocks are read
		active.everySecond(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), blocks)
		dst, src = dst[8*blocks:], src[16*blocks:]
	}
	for i := range dst {
		dst[i] = src[2*i]
	}
}

// Reverse copies src, which is as long as dst, the last element first.
func Reverse(dst, src []float32) {
	n := len(dst)
	done := 0
	if active.reverse != nil && n >= 8 {
		blocks := n / 8
		active.reverse(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[n-8]), blocks)
		done = 8 * blocks
	}
	for i := done; i < n; i++ {
		dst[i] = src[n-1-i]
	}
}

// transpose copies element (k, j) of b to d[(k-k0)·ld + j-j0]. It walks some columns
// at once, so that both sides are read and written in runs.
func transpose(d []float32, ld int, b Matrix, k0, k1, j0, j1 int) {
	if k0 >= k1 {
		return
	}
	j := j0
	if active.transpose != nil && b.RowStride == 1 && k1-k0 >= 8 && j1-j0 >= 8 {
		k, end := transposeBlocks(d, ld, b, k0, k1, j0, j1)
		if j = end; k < k1 {
			transposeGo(d[(k-k0)*ld:], ld, b, k, k1, j0, j)
		}
	}
	if j < j1 {
		transposeGo(d[j-j0:], ld, b, k0, k1, j, j1)
	}
}

// transposeBlocks does the whole blocks of 8×8, in runs along the longer side, and
// returns where they end.
func transposeBlocks(d []float32, ld int, b Matrix, k0, k1, j0, j1 int) (k, j int) {
	ldd, lds := uintptr(4*ld), uintptr(4*b.ColStride)
	alongK, alongJ := (k1-k0)/8, (j1-j0)/8
	if alongK >= alongJ {
		for j := range alongJ {
			active.transpose(unsafe.Pointer(&d[8*j]), ldd, b.at(k0, j0+8*j), lds, alongK, 8*ldd, 32)
		}
	} else {
		for k := range alongK {
			active.transpose(unsafe.Pointer(&d[8*k*ld]), ldd, b.at(k0+8*k, j0), lds, alongJ, 32, 8*lds)
		}
	}
	return k0 + 8*alongK, j0 + 8*alongJ
}

func transposeGo(d []float32, ld int, b Matrix, k0, k1, j0, j1 int) {
	step := uintptr(4 * b.RowStride)
	j := j0
	for ; j+4 <= j1; j += 4 {
		p0, p1, p2, p3 := b.at(k0, j), b.at(k0, j+1), b.at(k0, j+2), b.at(k0, j+3)
		for i, o := uintptr(0), j-j0; i < uintptr(k1-k0); i, o = i+1, o+ld {
			q := (*[4]float32)(d[o:])
			q[0], q[1], q[2], q[3] = *at(p0, i*step), *at(p1, i*step), *at(p2, i*step), *at(p3, i*step)
		}
	}
	for ; j < j1; j++ {
		p := b.at(k0, j)
		for i, o := uintptr(0), j-j0; i < uintptr(k1-k0); i, o = i+1, o+ld {
			d[o] = *at(p, i*step)
		}
	}
}
