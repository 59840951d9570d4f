package gemm

import (
	"sync"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/gemv"
	"loris/internal/cpu/pool"
)

// Thin products have so few columns (or rows) that a panel would be mostly padding,
// or packing B dearer than what it saves. They run as dot products of the rows of A
// with the columns of B, both contiguous along k, or, for few rows and contiguous rows
// of B, as sums of rows of B.

const (
	// Most rows of a product that runs as dot products or sums. Long is from where
	// the end of a dot product or the start of a row counts for little.
	fewRows     = 3
	longDotRows = 15
	longSumRows = 4
	sameSetRows = 6 // where rows of B lie in the same sets of a cache, which is bad for panels
	twoTileRows = 8 // where panels would be read twice
	longDot     = 256
	longRow     = 256

	dotLength = 32 << 10 // bounds one call of the dot kernel

	leastDepth = 128 // rows of B that one chunk adds up, where k is split
)

// path tells how a call is computed.
type path uint8

const (
	pathPanels  path = iota
	pathDots         // dot products
	pathRows         // sums of the rows of B
	pathLibrary      // a BLAS library
)

// choosePath looks at the shape and the strides.
func (c *Call) choosePath() path {
	alongK, alongN, sameSets, flop, longest := true, true, false, 0.0, 0
	for i := range c.Terms {
		t := &c.Terms[i]
		if t.panels() || t.Source != nil {
			return pathPanels
		}
		flop += 2 * float64(c.M) * float64(c.N) * float64(t.K)
		longest = max(longest, t.K)
		sameSets = sameSets || t.B.RowStride%1024 == 0
		alongK = alongK && (t.B.RowStride == 1 || t.K <= 1)
		alongN = alongN && (t.B.ColStride == 1 || c.N <= 1)
	}
	dots, sums := alongK && longest >= c.kern.lanes, alongN && c.C.ColStride == 1
	switch {
	case c.fitsLibrary(flop):
		return pathLibrary
	case c.N <= c.kern.nr/2 && longest >= c.kern.lanes:
		return pathDots
	case dots && (c.M <= fewRows || c.M <= longDotRows && longest >= longDot):
		return pathDots
	case sums && (c.M == 1 || c.N >= longRow && (c.M <= longSumRows || c.M <= sameSetRows && sameSets || c.M <= twoTileRows && c.M > c.kern.mr)):
		return pathRows
	}
	return pathPanels
}

// splitThin cuts the longer side of C into chunks.
func (pl *plan) splitThin(c *Call, threads int, flop float64) {
	// Such products are bound by memory, which costs four times their operations, or else
	// by loads and sums of lanes.
	bytes := 4 * c.M * c.N
	for i := range c.Terms {
		bytes += 4 * c.Terms[i].K * (c.M + c.N)
	}
	slow := 4.
	if bytes <= feature.Cache().L2/2 {
		slow = 1.5
	}
	pl.cost = slow*flop/c.kern.flopPerNano() + float64(c.M*c.N)
	want := pool.WholeRounds(int(min(pl.cost/3e3, max(pl.cost/1e6, float64(2*threads)))), threads)
	pl.rowParts, pl.colParts, pl.depthParts = 1, 1, 1
	longest, copied := 0, 0
	for i := range c.Terms {
		longest = max(longest, c.Terms[i].K)
	}
	switch {
	case pl.path == pathRows && len(c.Batch) == 0 && want > 1:
		// Rows of B are read from end to end where possible: parts of them are short
		// streams, whose ends the hardware fetches into the wrong core's cache. So k is
		// split first.
		pl.depthParts = max(1, min(want, longest/leastDepth))
		pl.colParts = max(1, min(want/pl.depthParts, c.N/512))
	case pl.path == pathRows:
		pl.colParts = max(1, min(want, c.N/512))
	case c.N > c.M:
		pl.colParts = min(want, (c.N+63)/64)
	default:
		pl.rowParts = min(want, (c.M+dotRows-1)/dotRows)
	}
	pl.chunks = pl.rowParts * pl.colParts * pl.depthParts
	longest = 0
	for i := range c.Terms {
		ld := vectors(c.Terms[i].K)
		longest = max(longest, ld)
		if c.Terms[i].A.ColStride != 1 && c.Terms[i].K > 1 {
			pl.copyA[i], pl.stripAt[i] = true, copied
			copied += ld
		}
	}
	// Rows of A copied at once: eight or more are turned fast; they stay in a cache.
	pl.strip = max(dotRows, min(8*dotRows, feature.Cache().L1/(4*max(1, copied))/dotRows*dotRows))
	for i := range c.Terms {
		pl.stripAt[i] *= pl.strip
	}
	// Beside them up to dotCols columns of B.
	pl.stripSize = copied * pl.strip
	pl.scratchA = 4 * (pl.stripSize + 8*longest)
	pl.mc = c.M
}

// vectors rounds up to whole vectors.
func vectors(k int) int { return (k + 15) / 16 * 16 }

// thinJob is one chunk in progress.
type thinJob struct {
	c    *Call
	off  Offsets
	item int
	w    *pool.Worker

	stripStart int // first row of A that is copied

	// plain tells that one call of the dot kernel gives the elements of C as they are.
	plain bool

	out [dotRows * 8]float32
	sum [dotRows * 8]float32
	xt  [dotRows * 16]float32 // tails of rows and columns, padded with zeros
	yt  [8 * 16]float32
}

var thinJobs = sync.Pool{New: func() any { return new(thinJob) }}

// thinChunk computes a chunk of a thin product.
func (c *Call) thinChunk(item, chunk int, w *pool.Worker) {
	pl := &c.plan
	depth, part := chunk%pl.depthParts, chunk/pl.depthParts
	row, col := part/pl.colParts, part%pl.colParts
	i0, i1 := cut(c.M, pl.rowParts, row), cut(c.M, pl.rowParts, row+1)
	j0, j1 := cut(c.N, pl.colParts, col), min(c.cols(), cut(c.N, pl.colParts, col+1))
	if j0 >= j1 {
		return
	}
	if pl.depthParts > 1 {
		c.partialRows(depth, j0, j1, w)
		return
	}
	t := thinJobs.Get().(*thinJob)
	t.c, t.item, t.w = c, item, w
	t.plain = c.productsAlone()
	if len(c.Batch) > 0 {
		t.off = c.Batch[item]
	}
	if pl.path == pathRows {
		t.rows(i0, i1, j0, j1)
	} else {
		t.dots(i0, i1, j0, j1)
	}
	if c.Epilogue != nil {
		c.Epilogue(item, i0, i1, j0, j1)
	}
	*t = thinJob{}
	thinJobs.Put(t)
}

// productsAlone reports whether C is one product of whole vectors and nothing else.
func (c *Call) productsAlone() bool {
	if len(c.Terms) != 1 || c.Beta != 0 || c.Bias != nil || c.Residual.Data != nil || c.C.ColStride != 1 {
		return false
	}
	t := &c.Terms[0]
	k := c.depth(t)
	return k > 0 && k <= dotLength && k%c.kern.lanes == 0 && t.alpha() == 1
}

// initial returns what element (i, j) starts from.
func (t *thinJob) initial(i, j int) (v float32) {
	c := t.c
	if c.Beta != 0 {
		v = c.Beta * *(*float32)(unsafe.Add(c.C.at(i, j), 4*t.off.C))
	}
	if c.Bias != nil {
		v += *at(c.Bias, uintptr(4*j))
	}
	if c.Residual.Data != nil {
		v += c.sign() * *(*float32)(unsafe.Add(c.Residual.at(i, j), 4*t.off.R))
	}
	return v
}

// begin sets y, which are elements of row i of C from column j on, to their start.
func (t *thinJob) begin(y []float32, i, j int) {
	if t.c.Beta == 0 && t.c.Bias == nil && t.c.Residual.Data == nil {
		clear(y)
		return
	}
	for q := range y {
		y[q] = t.initial(i, j+q)
	}
}

// rows sets the rows of C to their start and adds rows of B to them.
func (t *thinJob) rows(i0, i1, j0, j1 int) {
	c := t.c
	for i := i0; i < i1; i++ {
		y := unsafe.Slice((*float32)(unsafe.Add(c.C.at(i, j0), 4*t.off.C)), j1-j0)
		t.begin(y, i, j0)
	}
	for n := range c.Terms {
		to := Matrix{unsafe.Add(c.C.Data, 4*t.off.C), c.C.RowStride, 1}
		t.addRows(n, to, i0, i1, j0, j1, 0, c.depth(&c.Terms[n]))
	}
}

// addRows adds a term's rows k0 to k1 of B to rows of to.
func (t *thinJob) addRows(n int, to Matrix, i0, i1, j0, j1, k0, k1 int) {
	if k0 == k1 {
		return
	}
	term := &t.c.Terms[n]
	a := Matrix{unsafe.Add(term.A.Data, 4*t.off.A[n]), term.A.RowStride, term.A.ColStride}
	b := Matrix{unsafe.Add(term.B.Data, 4*t.off.B[n]), term.B.RowStride, 1}
	x, ldx := a.at(i0, k0), a.RowStride
	if alpha := term.alpha(); alpha != 1 || a.ColStride != 1 {
		ldx = k1 - k0
		scaled := t.w.Scratch(4 * (i1 - i0) * ldx).Float32s()
		for i := i0; i < i1; i++ {
			for k := k0; k < k1; k++ {
				scaled[(i-i0)*ldx+k-k0] = alpha * *(*float32)(a.at(i, k))
			}
		}
		x = unsafe.Pointer(&scaled[0])
	}
	gemv.RowsOfMany(gemv.F32, to.at(i0, j0), 4*to.RowStride, i1-i0, j1-j0, b.at(k0, j0), 4*b.RowStride, x, 4*ldx, k1-k0)
}

// dots computes strips of rows.
func (t *thinJob) dots(i0, i1, j0, j1 int) {
	pl := &t.c.plan
	if pl.stripSize == 0 {
		t.blocks(i0, i1, j0, j1)
		return
	}
	for i := i0; i < i1; i += pl.strip {
		end := min(i1, i+pl.strip)
		t.copyStrip(i, end)
		t.blocks(i, end, j0, j1)
	}
}

// copyStrip makes rows i0 to i1 of A contiguous where they are not.
func (t *thinJob) copyStrip(i0, i1 int) {
	c := t.c
	t.stripStart = i0
	buf := t.w.Scratch(c.plan.scratchA).Float32s()
	for s := range c.Terms {
		if term := &c.Terms[s]; c.plan.copyA[s] {
			a := Matrix{unsafe.Add(term.A.Data, 4*t.off.A[s]), term.A.RowStride, term.A.ColStride}
			transpose(buf[c.plan.stripAt[s]:], vectors(term.K), a, i0, i1, 0, term.K)
		}
	}
}

// blocks computes blocks of up to dotRows rows and dotCols columns. Columns that no
// second-level cache holds are taken from four places at once: four streams, each from
// end to end, are what the hardware foresees best.
func (t *thinJob) blocks(i0, i1, j0, j1 int) {
	const streams = 4
	if t.apart(j1 - j0) {
		if t.wholeRows(i0, i1, j0, j1) {
			return
		}
		step := (j1 - j0) / streams
		for j := j0; j < j0+step; j++ {
			for i := i0; i < i1; i += dotRows {
				t.block(i, min(dotRows, i1-i), j, streams, step)
			}
		}
		j0 += streams * step
	}
	n := t.c.kern.dotCols
	for j := j0; j < j1; j += n {
		for n > j1-j {
			n /= 2
		}
		for i := i0; i < i1; i += dotRows {
			t.block(i, min(dotRows, i1-i), j, n, 1)
		}
	}
}

// wholeRows computes columns where C is one product, scaled, and a bias, if its rows
// are as many as suit the kernels of package gemv.
func (t *thinJob) wholeRows(i0, i1, j0, j1 int) bool {
	c := t.c
	if m := i1 - i0; m > 1 && (m <= dotRows || m > gemv.Outputs()) {
		return false // the dot kernel shares as much
	}
	if len(c.Terms) > 1 || c.C.ColStride != 1 || c.Beta != 0 || c.Residual.Data != nil || c.plan.copyA[0] {
		return false
	}
	term := &c.Terms[0]
	a := Matrix{unsafe.Add(term.A.Data, 4*t.off.A[0]), term.A.RowStride, 1}
	b := Matrix{unsafe.Add(term.B.Data, 4*t.off.B[0]), 1, term.B.ColStride}
	to := Matrix{unsafe.Add(c.C.Data, 4*t.off.C), c.C.RowStride, 1}
	gemv.DotsOfMany(gemv.F32, to.at(i0, j0), 4*to.RowStride, i1-i0, j1-j0, b.at(0, j0), 4*b.ColStride, a.at(i0, 0), 4*a.RowStride, c.depth(term))
	if alpha := term.alpha(); alpha != 1 || c.Bias != nil {
		for i := i0; i < i1; i++ {
			y := unsafe.Slice((*float32)(to.at(i, j0)), j1-j0)
			for j := range y {
				y[j] = t.initial(i, j0+j) + alpha*y[j]
			}
		}
	}
	return true
}

// apart reports whether n columns of all terms are read where they lie and are too
// many for a second-level cache.
func (t *thinJob) apart(n int) bool {
	bytes := 0
	for i := range t.c.Terms {
		term := &t.c.Terms[i]
		if term.B.RowStride != 1 && term.K > 1 {
			return false
		}
		bytes += 4 * n * term.K
	}
	return bytes > feature.Cache().L2
}

// block computes m rows and n columns of C from (i, j) on, the columns step apart.
func (t *thinJob) block(i, m, j, n, step int) {
	c, cols := t.c, t.c.kern.dotCols
	if t.plain {
		term := &c.Terms[0]
		a := Matrix{unsafe.Add(term.A.Data, 4*t.off.A[0]), term.A.RowStride, term.A.ColStride}
		b := Matrix{unsafe.Add(term.B.Data, 4*t.off.B[0]), term.B.RowStride, term.B.ColStride}
		x, ldx, y, ldy := t.operands(a, b, 0, i, m, j, n)
		c.kern.dot(&t.out[0], x, uintptr(4*ldx), y, uintptr(4*ldy*step), c.depth(term), m, n)
		for r := range m {
			to := unsafe.Add(c.C.at(i+r, j), 4*t.off.C)
			for q, v := range t.out[r*cols:][:n] {
				*at(to, uintptr(4*q*step)) = v
			}
		}
		return
	}
	for r := range m {
		for q := range n {
			t.sum[r*cols+q] = t.initial(i+r, j+q*step)
		}
	}
	for s := range c.Terms {
		term := &c.Terms[s]
		if term.K == 0 {
			continue
		}
		a := Matrix{unsafe.Add(term.A.Data, 4*t.off.A[s]), term.A.RowStride, term.A.ColStride}
		b := Matrix{unsafe.Add(term.B.Data, 4*t.off.B[s]), term.B.RowStride, term.B.ColStride}
		x, ldx, y, ldy := t.operands(a, b, s, i, m, j, n)
		t.add(term.alpha(), x, ldx, y, ldy*step, c.depth(term), m, n)
	}
	for r := range m {
		for q := range n {
			*(*float32)(unsafe.Add(c.C.at(i+r, j+q*step), 4*t.off.C)) = t.sum[r*cols+q]
		}
	}
}

// operands returns rows and columns that are contiguous along k, copied if need be.
func (t *thinJob) operands(a, b Matrix, s, i, m, j, n int) (x unsafe.Pointer, ldx int, y unsafe.Pointer, ldy int) {
	c := t.c
	k := c.Terms[s].K
	ld := vectors(k)
	x, ldx = a.at(i, 0), a.RowStride
	if c.plan.copyA[s] {
		buf := t.w.Scratch(c.plan.scratchA).Float32s()
		x, ldx = unsafe.Pointer(&buf[c.plan.stripAt[s]+(i-t.stripStart)*ld]), ld
	}
	y, ldy = b.at(0, j), b.ColStride
	if b.RowStride != 1 && k > 1 {
		q := &c.packs[s]
		if len(c.Batch) > 0 || q.mem.Pointer() == nil {
			buf := t.w.Scratch(c.plan.scratchA).Float32s()[c.plan.stripSize:]
			transpose(buf, ld, b.T(), j, j+n, 0, k)
			return x, ldx, unsafe.Pointer(&buf[0]), ld
		}
		y, ldy = unsafe.Add(q.mem.Pointer(), 4*j*ld), ld
	}
	return x, ldx, y, ldy
}

// add adds alpha times the dot products to the sums: whole vectors in place, the
// rest in padded copies.
func (t *thinJob) add(alpha float32, x unsafe.Pointer, ldx int, y unsafe.Pointer, ldy, k, m, n int) {
	kern := t.c.kern
	lanes := kern.lanes
	whole := k - k%lanes
	for k0 := 0; k0 < whole; k0 += dotLength {
		kern.dot(&t.out[0], unsafe.Add(x, 4*k0), uintptr(4*ldx), unsafe.Add(y, 4*k0), uintptr(4*ldy), min(dotLength, whole-k0), m, n)
		t.take(alpha, m, n)
	}
	if whole == k {
		return
	}
	for r := range m {
		fillTail(t.xt[r*16:], unsafe.Add(x, 4*(r*ldx+whole)), k-whole, lanes)
	}
	for q := range n {
		fillTail(t.yt[q*16:], unsafe.Add(y, 4*(q*ldy+whole)), k-whole, lanes)
	}
	kern.dot(&t.out[0], unsafe.Pointer(&t.xt), 64, unsafe.Pointer(&t.yt), 64, lanes, m, n)
	t.take(alpha, m, n)
}

func fillTail(dst []float32, src unsafe.Pointer, n, lanes int) {
	copy(dst, unsafe.Slice((*float32)(src), n))
	clear(dst[n:lanes])
}

func (t *thinJob) take(alpha float32, m, n int) {
	cols := t.c.kern.dotCols
	for r := range m {
		for q := range n {
			t.sum[r*cols+q] += alpha * t.out[r*cols+q]
		}
	}
}

// packThin copies B so that its columns are contiguous, where all rows of A need them.
func (c *Call) packThin(p *pool.Pool) {
	for i := range c.Terms {
		t := &c.Terms[i]
		if c.plan.path != pathDots || t.B.RowStride == 1 || t.K <= 1 || len(c.Batch) > 0 {
			continue
		}
		q := &c.packs[i]
		ld := vectors(t.K)
		q.arena = p.Arena()
		var err error
		if q.mem, err = p.Arena().Alloc(4 * c.N * ld); err != nil {
			panic(err)
		}
		transpose(q.mem.Float32s(), ld, t.B.T(), 0, c.N, 0, t.K)
	}
}
