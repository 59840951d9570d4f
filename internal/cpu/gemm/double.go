package gemm

import (
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/pool"
)

// Double is C = A·B of float64 matrices, whose strides count elements of 8 bytes. C is
// contiguous along its rows and overlaps neither factor. A Double is used by one
// goroutine at a time.
type Double struct {
	M, N, K int
	A, B, C Matrix
	Batch   []Offsets // A[0], B[0] and C of each item; empty means one item without offsets

	plan doublePlan
	job  pool.Func
}

// doublePlan is how a product is cut: where, does not depend on the threads, but for
// the columns, which do not change the order of sums.
type doublePlan struct {
	depth    int // of a block along k, whose panel of B fits the first-level cache
	rows     int // of a block of A, which fits the second-level cache
	colParts int
	rowParts int
}

// doubleKernel computes tiles of at most mr×nr elements.
type doubleKernel struct {
	mr, nr int
	run    func(*tile)
}

var activeDouble = func() *doubleKernel {
	if k := doubleKernels[feature.Active()]; k != nil {
		return k
	}
	return &doubleKernel{4, 4, doubleGeneric}
}()

// Run computes C and returns true, or false if stop became true.
func (d *Double) Run(p *pool.Pool, stop *atomic.Bool) bool {
	if d.M == 0 || d.N == 0 {
		return true
	}
	if d.job == nil {
		d.plan = d.makePlan(p.Threads())
		d.job = d.chunk
	}
	items := max(1, len(d.Batch))
	return p.Run(items*d.plan.rowParts*d.plan.colParts, float64(items)*d.nanos(), stop, d.job)
}

// nanos is a guess of one item's time on one thread.
func (d *Double) nanos() float64 {
	k := activeDouble
	return 2 * float64(d.M) * float64(d.N) * float64(d.K) / float64(3*k.nr)
}

func (d *Double) makePlan(threads int) doublePlan {
	const least = 3e3 // nanoseconds of a chunk
	k := activeDouble
	pl := doublePlan{depth: max(64, feature.Cache().L1*2/3/(8*k.nr))}
	pl.rows = max(k.mr, feature.Cache().L2/2/(8*pl.depth)/k.mr*k.mr)
	pl.rowParts = (d.M + pl.rows - 1) / pl.rows
	// Each part of the columns copies its rows of A once.
	panels := (d.N + k.nr - 1) / k.nr
	want := pool.WholeRounds(int(min(d.nanos()/least, float64(4*threads))), threads)
	pl.colParts = max(1, min(want/pl.rowParts, max(1, panels/4)))
	return pl
}

// chunk computes some rows and columns of an item.
func (d *Double) chunk(chunk int, w *pool.Worker) {
	k, pl := activeDouble, &d.plan
	parts := pl.rowParts * pl.colParts
	item, part := chunk/parts, chunk%parts
	row, col := part/pl.colParts, part%pl.colParts
	panels := (d.N + k.nr - 1) / k.nr
	m := doubleChunk{d: d, kern: k,
		i0: cut(d.M, pl.rowParts, row), i1: cut(d.M, pl.rowParts, row+1),
		p0: cut(panels, pl.colParts, col), p1: cut(panels, pl.colParts, col+1)}
	if len(d.Batch) > 0 {
		m.off = d.Batch[item]
	}
	depth := min(pl.depth, d.K)
	aBytes := 8 * (m.i1 - m.i0) * depth
	scratch := w.Scratch(aBytes + 8*(depth*k.nr+k.mr*k.nr)).Pointer()
	m.rows, m.panel = scratch, unsafe.Add(scratch, aBytes)
	m.edge = unsafe.Add(m.panel, 8*depth*k.nr)
	if d.K == 0 {
		m.clear()
	}
	for k0 := 0; k0 < d.K; k0 += pl.depth {
		m.block(k0, min(d.K, k0+pl.depth))
	}
}

// doubleChunk is a chunk in progress.
type doubleChunk struct {
	d                 *Double
	kern              *doubleKernel
	off               Offsets
	i0, i1, p0, p1    int
	rows, panel, edge unsafe.Pointer // copies of rows of A, of a panel of B, and a tile at the edge
	tile              tile
}

// at8 returns the address of element (i, j) of a matrix of float64.
func at8(m Matrix, offset, i, j int) *float64 {
	return (*float64)(unsafe.Add(m.Data, 8*(offset+i*m.RowStride+j*m.ColStride)))
}

func (m *doubleChunk) clear() {
	for i := m.i0; i < m.i1; i++ {
		j0, j1 := m.p0*m.kern.nr, min(m.d.N, m.p1*m.kern.nr)
		clear(unsafe.Slice(at8(m.d.C, m.off.C, i, j0), j1-j0))
	}
}

// block adds the products of k0 to k1.
func (m *doubleChunk) block(k0, k1 int) {
	d, nr := m.d, m.kern.nr
	depth := k1 - k0
	a := unsafe.Slice((*float64)(m.rows), (m.i1-m.i0)*depth)
	copyRows64(a, depth, d.A, m.off.A[0], m.i0, m.i1, k0, k1)
	b := unsafe.Slice((*float64)(m.panel), depth*nr)
	for p := m.p0; p < m.p1; p++ {
		j0, j1 := p*nr, min(d.N, (p+1)*nr)
		if j1-j0 < nr {
			clear(b)
		}
		copyRows64(b, nr, d.B, m.off.B[0], k0, k1, j0, j1)
		m.column(depth, k0 > 0, j0, j1)
	}
}

// column computes the tiles of one panel.
func (m *doubleChunk) column(depth int, add bool, j0, j1 int) {
	t, kern := &m.tile, m.kern
	rows := m.i1 - m.i0
	blocks := (rows + kern.mr - 1) / kern.mr
	for b := range blocks {
		r0, r1 := cut(rows, blocks, b), cut(rows, blocks, b+1)
		c := unsafe.Pointer(at8(m.d.C, m.off.C, m.i0+r0, j0))
		*t = tile{c: c, ldc: uintptr(8 * m.d.C.RowStride), rows: r1 - r0, segments: 1}
		t.segment[0] = segment{a: unsafe.Add(m.rows, 8*r0*depth), lda: uintptr(8 * depth), b: m.panel, ldb: uintptr(8 * kern.nr), k: depth}
		whole := j1-j0 == kern.nr
		if !whole {
			t.c, t.ldc = m.edge, uintptr(8*kern.nr)
		}
		if add {
			t.init, t.ldinit = t.c, t.ldc
			if !whole {
				m.moveEdge(c, r1-r0, j1-j0, false)
			}
		}
		kern.run(t)
		if !whole {
			m.moveEdge(c, r1-r0, j1-j0, true)
		}
	}
}

// moveEdge copies a tile narrower than the kernel's from C, or to it.
func (m *doubleChunk) moveEdge(c unsafe.Pointer, rows, cols int, toC bool) {
	for r := range rows {
		in := unsafe.Slice((*float64)(unsafe.Add(c, 8*r*m.d.C.RowStride)), cols)
		edge := unsafe.Slice((*float64)(unsafe.Add(m.edge, 8*r*m.kern.nr)), cols)
		if toC {
			copy(in, edge)
		} else {
			copy(edge, in)
		}
	}
}

// copyRows64 copies rows i0 to i1 and columns j0 to j1 to rows of ld elements.
func copyRows64(dst []float64, ld int, src Matrix, offset, i0, i1, j0, j1 int) {
	n := j1 - j0
	if src.ColStride == 1 || n == 1 {
		for i := i0; i < i1; i++ {
			copy(dst[(i-i0)*ld:][:n], unsafe.Slice(at8(src, offset, i, j0), n))
		}
		return
	}
	// Walk along the source's shorter stride: in blocks of columns, down the rows.
	const block = 8
	for j := j0; j < j1; j += block {
		end := min(j1, j+block)
		for i := i0; i < i1; i++ {
			row := dst[(i-i0)*ld+j-j0:][:end-j]
			for k := range row {
				row[k] = *at8(src, offset, i, j+k)
			}
		}
	}
}

// doubleGeneric is the kernel in plain Go.
func doubleGeneric(t *tile) {
	const nr = 4
	s := &t.segment[0]
	for r := range uintptr(t.rows) {
		var sum [nr]float64
		if t.init != nil {
			sum = *(*[nr]float64)(unsafe.Add(t.init, r*t.ldinit))
		}
		for k, x := range unsafe.Slice((*float64)(unsafe.Add(s.a, r*s.lda)), s.k) {
			b := (*[nr]float64)(unsafe.Add(s.b, uintptr(k)*s.ldb))
			sum[0] += x * b[0]
			sum[1] += x * b[1]
			sum[2] += x * b[2]
			sum[3] += x * b[3]
		}
		*(*[nr]float64)(unsafe.Add(t.c, r*t.ldc)) = sum
	}
}
