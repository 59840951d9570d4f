package gemm

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/pool"
)

// multiplyChunk computes one chunk of C of the present item.
func (c *Call) multiplyChunk(chunk int, w *pool.Worker) {
	c.blockOf(c.item, chunk, w, &c.packs)
}

// blockOf computes a chunk of C of any item.
func (c *Call) blockOf(item, chunk int, w *pool.Worker, packs *[MaxTerms]PackedB) {
	pl := &c.plan
	if pl.path != pathPanels {
		c.thinChunk(item, chunk, w)
		return
	}
	row, col := chunk/pl.colParts, chunk%pl.colParts
	if c.N > c.M { // threads share out the larger factor, and each has all of the smaller
		row, col = chunk%pl.rowParts, chunk/pl.rowParts
	}
	m := c.begin(item, packs, w)
	m.block(cut(c.M, pl.rowParts, row), cut(c.M, pl.rowParts, row+1),
		cut(pl.panels, pl.colParts, col), cut(pl.panels, pl.colParts, col+1))
	m.end()
}

// multiplication is one chunk in progress on one worker.
type multiplication struct {
	call     *Call
	item     int
	off      Offsets
	packs    *[MaxTerms]PackedB
	copies   unsafe.Pointer // copied rows of A
	tail     unsafe.Pointer // the last panel of each segment read in place
	edge     unsafe.Pointer // a whole tile, for parts of C narrower than that
	rowStart [2 * MaxTerms]unsafe.Pointer
	rowBytes [2 * MaxTerms]uintptr
	from     [2 * MaxTerms]int     // which part of the group a segment is of
	skip     [2 * MaxTerms]uintptr // bytes from the part's k to the segment's
	tile     tile
}

var multiplications = sync.Pool{New: func() any { return new(multiplication) }}

// begin lays out the worker's scratch memory: copies of A, tail panels, the edge tile.
func (c *Call) begin(item int, packs *[MaxTerms]PackedB, w *pool.Worker) *multiplication {
	k, pl := c.kern, &c.plan
	base := w.Scratch(pl.scratchA + pl.scratchTail + 4*k.mr*k.nr).Pointer()
	m := multiplications.Get().(*multiplication)
	m.call, m.item, m.packs = c, item, packs
	m.copies, m.tail = base, unsafe.Add(base, pl.scratchA)
	m.edge = unsafe.Add(base, pl.scratchA+pl.scratchTail)
	if len(c.Batch) > 0 {
		m.off = c.Batch[item]
	}
	return m
}

// end forgets all addresses: memory outside the heap may go away before the collector looks.
func (m *multiplication) end() {
	*m = multiplication{}
	multiplications.Put(m)
}

// block computes rows i0 to i1 of the panels p0 to p1.
func (m *multiplication) block(i0, i1, p0, p1 int) {
	c := m.call
	nr := c.kern.nr
	j0, j1 := p0*nr, min(c.cols(), p1*nr)
	if j0 >= j1 {
		return
	}
	p1 = (j1 + nr - 1) / nr
	for i := i0; i < i1; {
		// Blocks of equal height.
		left := i1 - i
		blocks := (left + c.plan.mc - 1) / c.plan.mc
		rows := (left + blocks - 1) / blocks
		preset := m.needsPreset() || len(c.plan.groups) == 0
		if preset {
			m.start(i, i+rows, j0, j1)
		}
		for g := range c.plan.groups {
			m.copyRows(c.plan.groups[g], i, i+rows)
			for p := p0; p < p1; p++ {
				m.column(g, i, rows, p, preset)
			}
		}
		if c.Epilogue != nil {
			c.Epilogue(m.item, i, i+rows, j0, j1)
		}
		i += rows
	}
}

// cols returns the number of columns of C to compute.
func (c *Call) cols() int {
	if c.Cols > 0 {
		return min(c.Cols, c.N)
	}
	return c.N
}

// depth returns how much of a term's k to use.
func (c *Call) depth(t *Term) int {
	if c.Depth > 0 {
		return min(c.Depth, t.K)
	}
	return t.K
}

// needsPreset reports whether C must be set before the first group, because
// more than one thing is added to the product or C is not contiguous.
func (m *multiplication) needsPreset() bool {
	c := m.call
	things := 0
	if c.Beta != 0 {
		things++
		if c.Beta != 1 {
			things++
		}
	}
	if c.Bias != nil {
		things++
	}
	if c.Residual.Data != nil {
		things++
		if c.Residual.ColStride != 1 {
			things++
		}
	}
	return things > 1 || things > 0 && c.C.ColStride != 1
}

// start sets a part of C to what the products are added to.
func (m *multiplication) start(i0, i1, j0, j1 int) {
	c := m.call
	step := 4 * c.C.ColStride
	for i := i0; i < i1; i++ {
		p := unsafe.Add(c.C.at(i, j0), 4*m.off.C)
		for j := j0; j < j1; j++ {
			var v float32
			if c.Beta != 0 {
				v = c.Beta * *(*float32)(p)
			}
			if c.Bias != nil {
				v += *at(c.Bias, uintptr(4*j))
			}
			if c.Residual.Data != nil {
				v += c.sign() * *(*float32)(unsafe.Add(c.Residual.at(i, j), 4*m.off.R))
			}
			*(*float32)(p) = v
			if j+1 < j1 {
				p = unsafe.Add(p, step)
			}
		}
	}
}

// copyRows makes the rows of A contiguous, scaled and free of set conflicts
// where the plan asks for it, and notes where each segment's rows lie.
func (m *multiplication) copyRows(g group, i0, i1 int) {
	c := m.call
	to := m.copies
	for s, q := range g {
		t := &c.Terms[q.term]
		src := Matrix{unsafe.Add(t.A.Data, 4*m.off.A[q.term]), t.A.RowStride, t.A.ColStride}
		if !c.plan.copyA[q.term] {
			m.rowStart[s], m.rowBytes[s] = src.at(i0, q.k0), uintptr(4*src.RowStride)
			continue
		}
		ld := packedStride(q.k1 - q.k0)
		alpha := t.alpha()
		if c.kern.rounding != nil {
			m.rowStart[s], m.rowBytes[s] = to, c.kern.roundRows(to, src, i0, i1, q.k0, q.k1, alpha)
			if s+1 < len(g) {
				to = unsafe.Add(to, (i1-i0)*int(m.rowBytes[s]))
			}
			continue
		}
		d := unsafe.Slice((*float32)(to), (i1-i0)*ld)
		if src.ColStride != 1 {
			transpose(d, ld, src, i0, i1, q.k0, q.k1)
		}
		for i := i0; i < i1 && (src.ColStride == 1 || alpha != 1); i++ {
			row := d[(i-i0)*ld:][:q.k1-q.k0]
			from := row
			if src.ColStride == 1 {
				from = unsafe.Slice((*float32)(src.at(i, q.k0)), len(row))
			}
			if alpha == 1 {
				copy(row, from)
				continue
			}
			for j, v := range from {
				row[j] = alpha * v
			}
		}
		m.rowStart[s], m.rowBytes[s] = to, uintptr(4*ld)
		if s+1 < len(g) {
			to = unsafe.Add(to, 4*(i1-i0)*ld)
		}
	}
}

// column runs the micro-kernel down the rows i to i+rows of one panel.
func (m *multiplication) column(g, i, rows, p int, preset bool) {
	c, t := m.call, &m.tile
	nr, j := c.kern.nr, p*c.kern.nr
	if m.panels(c.plan.groups[g], p); t.segments == 0 {
		return
	}
	cols := min(nr, c.cols()-j)
	whole := cols == nr && c.C.ColStride == 1
	blocks := (rows + c.kern.mr - 1) / c.kern.mr
	for b := range blocks {
		r0, r1 := cut(rows, blocks, b), cut(rows, blocks, b+1)
		t.rows = r1 - r0
		for s := range t.segments {
			a := m.from[s]
			t.segment[s].a = unsafe.Add(m.rowStart[a], uintptr(r0)*m.rowBytes[a]+m.skip[s])
		}
		to := unsafe.Add(c.C.at(i+r0, j), 4*m.off.C)
		from, step := m.initial(g, i+r0, j, to, preset)
		if whole {
			t.c, t.ldc, t.init, t.ldinit = to, uintptr(4*c.C.RowStride), from, uintptr(4*step)
			c.kern.run(t)
			continue
		}
		m.edgeTile(to, from, step, cols)
	}
}

// panels notes where the segments of a group find their panel p of B.
func (m *multiplication) panels(g group, p int) {
	c, t := m.call, &m.tile
	nr := c.kern.nr
	tail := m.tail
	t.segments = 0
	for s, q := range g {
		term := &c.Terms[q.term]
		kc := q.k1 - q.k0
		k1 := q.k1
		if c.Depth > 0 {
			k1 = min(k1, c.Depth)
		}
		if k1 <= q.k0 {
			continue
		}
		switch {
		case term.panels():
			m.segment(s, q.k0, q.k0, k1, term.Packed.panel(q.k0, kc, p), nr)
		case !c.plan.direct[q.term] && !m.packs[q.term].plain:
			m.segment(s, q.k0, q.k0, k1, m.packs[q.term].panel(q.k0, kc, p), nr)
		case c.kern.rounding != nil:
			b := Matrix{unsafe.Add(term.B.Data, 4*m.off.B[q.term]), term.B.RowStride, term.B.ColStride}
			c.kern.roundPanel(tail, b, term.Source, q.k0, k1, p*nr, min(c.N, (p+1)*nr))
			m.segment(s, q.k0, q.k0, k1, tail, nr)
			if s+1 < len(g) {
				tail = unsafe.Add(tail, 4*c.kern.steps(kc)*nr)
			}
		default:
			b := Matrix{unsafe.Add(term.B.Data, 4*m.off.B[q.term]), term.B.RowStride, term.B.ColStride}
			if !c.plan.direct[q.term] {
				b = m.packs[q.term].matrix()
			}
			inside := q.k0
			if b.ColStride != 1 {
				// All of it is packed.
			} else if (p+1)*nr <= c.N {
				inside = k1
			} else if 2*len(g) <= len(t.segment) {
				inside = max(q.k0, min(k1, c.insideRows(b, term.K, p)))
			}
			if inside > q.k0 {
				m.segment(s, q.k0, q.k0, inside, b.at(q.k0, p*nr), b.RowStride)
			}
			if inside == k1 {
				break
			}
			packPanel(tail, nr, b, inside, k1, p*nr, min(c.N, (p+1)*nr))
			m.segment(s, q.k0, inside, k1, tail, nr)
			if s+1 < len(g) {
				tail = unsafe.Add(tail, 4*kc*nr)
			}
		}
	}
}

// segment adds k0 to k1 of part s of the group, which starts at start, to the tile.
func (m *multiplication) segment(s, start, k0, k1 int, b unsafe.Pointer, ldb int) {
	t := &m.tile
	t.segment[t.segments] = segment{lda: m.rowBytes[s], k: m.call.kern.steps(k1 - k0), b: b, ldb: uintptr(4 * ldb)}
	m.from[t.segments], m.skip[t.segments] = s, uintptr(4*(k0-start))
	t.segments++
}

// insideRows returns how many rows of the last, incomplete panel p may be read as
// if it were wider: what is read too much, and not used, are later elements of B.
func (c *Call) insideRows(b Matrix, k, p int) int {
	if b.RowStride < c.N {
		return 0
	}
	width := c.kern.readWidth(c.N - p*c.kern.nr)
	beyond := p*c.kern.nr + width - c.N
	return k - (beyond+b.RowStride-1)/b.RowStride
}

// sign is what the residual is multiplied by.
func (c *Call) sign() float32 {
	if c.Minus {
		return -1
	}
	return 1
}

// initial returns what the tile at (i, j) starts from and its row stride in elements.
func (m *multiplication) initial(g, i, j int, c0 unsafe.Pointer, preset bool) (unsafe.Pointer, int) {
	c := m.call
	m.tile.negate = 0
	switch {
	case g > 0 || preset || c.Beta == 1:
		return c0, c.C.RowStride
	case c.Bias != nil:
		return unsafe.Add(c.Bias, 4*j), 0
	case c.Residual.Data != nil:
		if c.Minus {
			m.tile.negate = 1
		}
		return unsafe.Add(c.Residual.at(i, j), 4*m.off.R), c.Residual.RowStride
	}
	return nil, 0
}

// edgeTile computes a tile in scratch memory and copies the columns that C has.
func (m *multiplication) edgeTile(to, from unsafe.Pointer, step, cols int) {
	c, t := m.call, &m.tile
	nr := c.kern.nr
	t.c, t.ldc, t.init = m.edge, uintptr(4*nr), nil
	edge := unsafe.Slice((*float32)(m.edge), t.rows*nr)
	if from != nil {
		t.init, t.ldinit = m.edge, t.ldc
		width := 1 // bias and residual are contiguous
		if from == to {
			width = c.C.ColStride
		}
		for r := range t.rows {
			for j := range cols {
				edge[r*nr+j] = *(*float32)(unsafe.Add(from, 4*(r*step+j*width)))
			}
			clear(edge[r*nr+cols:][:nr-cols])
		}
	}
	c.kern.runFirst(t, cols)
	for r := range t.rows {
		row := edge[r*nr:][:cols]
		if c.C.ColStride == 1 {
			copy(unsafe.Slice((*float32)(unsafe.Add(to, 4*r*c.C.RowStride)), cols), row)
			continue
		}
		for j, v := range row {
			*(*float32)(unsafe.Add(to, 4*(r*c.C.RowStride+j*c.C.ColStride))) = v
		}
	}
}

// packNanos is the time of packing an element on one thread, more or less.
const packNanos = 0.2

// packAll packs the right factors that are neither packed nor read in place.
func (c *Call) packAll(p *pool.Pool, stop *atomic.Bool) bool {
	for i := range c.Terms {
		t := &c.Terms[i]
		if t.panels() || c.plan.direct[i] || t.K == 0 {
			continue
		}
		q := &c.packs[i]
		*q = PackedB{K: t.K, N: c.N, kern: c.kern, plain: c.kern.rounding == nil && t.K <= shortColumns && t.B.RowStride == 1}
		if err := q.alloc(p.Arena()); err != nil {
			panic(err)
		}
		if q.plain {
			q.fill(p, c.rightOf(i))
			continue
		}
		panels := q.blocks * c.plan.panels
		c.packing.term, c.packing.group = i, max(1, panels/(8*p.Threads()))
		chunks := (panels + c.packing.group - 1) / c.packing.group
		if !p.Run(chunks, packNanos*float64(t.K*c.N), stop, c.jobs.pack) {
			return false
		}
	}
	return true
}

// packChunk packs some panels of the term in c.packing.
func (c *Call) packChunk(chunk int, _ *pool.Worker) {
	i, group := c.packing.term, c.packing.group
	q := &c.packs[i]
	b := c.rightOf(i)
	for n := chunk * group; n < min(q.blocks*c.plan.panels, (chunk+1)*group); n++ {
		q.packOne(b, c.Terms[i].Source, n)
	}
}

// rightOf returns the right factor of a term of the present item.
func (c *Call) rightOf(i int) Matrix {
	b := c.Terms[i].B
	if len(c.Batch) > 0 && b.Data != nil {
		b.Data = unsafe.Add(b.Data, 4*c.Batch[c.item].B[i])
	}
	return b
}

func (c *Call) freePacks() {
	for i := range c.packs {
		c.packs[i].Free()
	}
}

// itemChunk computes one whole item of a batch on one worker.
func (c *Call) itemChunk(item int, w *pool.Worker) {
	var packs [MaxTerms]PackedB
	for i := range c.Terms {
		t := &c.Terms[i]
		if t.panels() || c.plan.direct[i] || t.K == 0 || c.plan.path != pathPanels {
			continue
		}
		q := &packs[i]
		*q = PackedB{K: t.K, N: c.N, kern: c.kern}
		if err := q.alloc(w.Arena()); err != nil {
			panic(err)
		}
		b := t.B
		if b.Data != nil {
			b.Data = unsafe.Add(b.Data, 4*c.Batch[item].B[i])
		}
		for n := range q.blocks * c.plan.panels {
			q.packOne(b, c.Terms[i].Source, n)
		}
	}
	for chunk := range c.plan.chunks {
		c.blockOf(item, chunk, w, &packs)
	}
	for i := range packs {
		packs[i].Free()
	}
}
