package gemm

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/feature"
	"loris/internal/cpu/pool"
)

// Term is one product alpha·A·B of an M×K and a K×N matrix.
type Term struct {
	A      Matrix
	B      Matrix   // unused where Packed is set
	Packed *PackedB // made by Pack from a K×N factor
	Source Source   // or where panels of B come from, instead of B
	K      int
	Alpha  float32 // 0 means 1
}

// Offsets moves the matrices of one item of a batch, in elements.
type Offsets struct {
	A, B [MaxTerms]int
	C    int
	R    int // residual
}

// Source gives parts of a right factor that is not float32 in memory, such as
// quantised weights. Panel writes element (k, j), for k0 ≤ k < k1 and j0 ≤ j < j1, to
// dst[(k-k0)·ld + j-j0]. It must be safe for concurrent use.
type Source interface {
	Panel(dst []float32, ld, k0, k1, j0, j1 int)
}

// Call is C = Beta·C + Bias ± Residual + Σ Alpha·A·B. All but the addresses
// (Data, Packed, Bias), Beta and the offsets is fixed at the first Run. C may
// not overlap A or B. A Call is used by one goroutine at a time.
type Call struct {
	M, N     int
	C        Matrix
	Terms    []Term
	Beta     float32        // 0: what C held is not read, even NaN
	Bias     unsafe.Pointer // N contiguous float32, or nil
	Residual Matrix         // M×N, or Data nil; may be C itself
	Minus    bool           // the residual is subtracted

	// Cols, if positive, limits a run to the first columns of C, and Depth to the first
	// k of every term, as causal attention needs. They may change between runs, but
	// not from 0 or to 0.
	Cols, Depth int

	// Epilogue, if set, is called once for every finished part of C, rows i0 to i1
	// and columns j0 to j1, while the part is still in a cache. It must be safe for
	// concurrent use. item is the index in the batch.
	Epilogue func(item, i0, i1, j0, j1 int)

	// BFloat16 allows the factors to be rounded to bfloat16, where that is faster.
	BFloat16 bool

	// Batch lists the items of a batched product; empty means one, without offsets.
	// Packed factors are shared by all items.
	Batch []Offsets

	kern     *kernel
	plan     plan
	packs    [MaxTerms]PackedB // right factors packed for one run
	partial  arena.Block       // sums of the parts of k of a thin product
	packing  struct{ term, group int }
	item     int
	ready    bool
	sumParts int // parts of the columns in which they are added
	jobs     struct{ pack, multiply, items, sum pool.Func }
}

// plan is what follows from the shape.
type plan struct {
	path        path
	groups      []group
	direct      [MaxTerms]bool // B is read in place, or rounded panel by panel
	copyA       [MaxTerms]bool // rows of A are copied
	strip       int            // rows of A copied at once in thin products
	stripAt     [MaxTerms]int  // where in the scratch memory, in elements
	stripSize   int            // elements of all strips
	mc          int            // rows of a block
	rowParts    int
	colParts    int
	depthParts  int // parts of k in thin products: sums of each are added at the end
	panels      int
	scratchA    int // bytes of copied rows
	scratchTail int // bytes of tail panels
	chunks      int
	cost        float64 // nanoseconds
}

// group is a set of segments that one kernel call runs through.
type group []part

// part is the range of k of a term that makes a segment.
type part struct{ term, k0, k1 int }

// flopPerNano is a guess of one thread's speed, for cost estimates only.
func (k *kernel) flopPerNano() float64 {
	if k.rounding != nil {
		return float64(12 * k.lanes)
	}
	return float64(6 * k.lanes)
}

// Run computes C and returns true; if stop becomes true it gives up between
// blocks and returns false, with C undefined. It panics if the arena is out of
// memory (with the arena's error) or if the shapes are inconsistent.
func (c *Call) Run(p *pool.Pool, stop *atomic.Bool) bool {
	if c.M == 0 || c.N == 0 {
		return true
	}
	c.unpack()
	if !c.ready {
		c.prepare(p)
	}
	finished := c.run(p, stop)
	runtime.KeepAlive(c)
	return finished
}

func (c *Call) run(p *pool.Pool, stop *atomic.Bool) bool {
	if c.plan.path == pathLibrary {
		return c.runLibrary(stop)
	}
	items := max(1, len(c.Batch))
	if items >= 2*p.Threads() || items > 1 && c.plan.cost < 1e5 {
		// Whole items are the chunks; packing, if any, is done by the worker itself.
		return p.Run(items, c.plan.cost*float64(items), stop, c.jobs.items)
	}
	if c.plan.depthParts > 1 {
		return c.runSplitDepth(p, stop)
	}
	for c.item = range items {
		if c.plan.path != pathPanels {
			c.packThin(p)
		} else if !c.packAll(p, stop) {
			c.freePacks()
			return false
		}
		done := p.Run(c.plan.chunks, c.plan.cost, stop, c.jobs.multiply)
		c.freePacks()
		if !done {
			return false
		}
	}
	return true
}

// prepare checks the call and plans it for the pool.
func (c *Call) prepare(p *pool.Pool) {
	c.check()
	if c.kern == nil {
		c.kern = active
		if c.Rounds() {
			c.kern = activePairs
		}
	}
	for _, t := range c.Terms {
		if t.panels() {
			c.kern = t.Packed.kern
		}
	}
	c.plan = c.makePlan(p.Threads())
	c.item = 0
	c.jobs.multiply = c.multiplyChunk
	c.jobs.pack = c.packChunk
	c.jobs.items = c.itemChunk
	c.jobs.sum = c.sumChunk
	c.ready = true
}

func (c *Call) check() {
	if len(c.Terms) > MaxTerms {
		panic(fmt.Sprintf("gemm: %d terms; at most %d", len(c.Terms), MaxTerms))
	}
	if c.M < 0 || c.N < 0 {
		panic(fmt.Sprintf("gemm: negative size %dx%d", c.M, c.N))
	}
	for i, t := range c.Terms {
		if t.K < 0 || t.Packed != nil && (t.Packed.K != t.K || t.Packed.N != c.N) {
			panic(fmt.Sprintf("gemm: term %d does not fit: K=%d N=%d", i, t.K, c.N))
		}
	}
}

// panels reports whether the term's right factor lies in panels.
func (t *Term) panels() bool { return t.Packed != nil && !t.Packed.plain }

// alpha returns the factor of a term.
func (t *Term) alpha() float32 {
	if t.Alpha == 0 {
		return 1
	}
	return t.Alpha
}

// flop counts the operations of one item.
func (c *Call) flop() (n float64) {
	for i := range c.Terms {
		n += 2 * float64(c.M) * float64(c.N) * float64(c.Terms[i].K)
	}
	return n
}

func (c *Call) makePlan(threads int) plan {
	k := c.kern
	if through := c.choosePath(); through != pathPanels {
		pl := plan{path: through}
		pl.splitThin(c, threads, c.flop())
		return pl
	}
	pl := plan{panels: (c.N + k.nr - 1) / k.nr}
	flop := c.flop()
	for i := range c.Terms {
		t := &c.Terms[i]
		pl.direct[i] = k.rounding == nil && !t.panels() && t.Source == nil && t.B.ColStride == 1 && c.inPlace(t, k)
		pl.copyA[i] = k.rounding != nil || t.A.ColStride != 1 || t.alpha() != 1 || sharesSets(t.A.RowStride, min(c.M, k.mr))
		pl.addTerm(i, t, k)
	}
	pl.cost = flop/k.flopPerNano() + float64(c.M*c.N)/2
	longest := 0
	for _, g := range pl.groups {
		sum := 0
		for _, q := range g {
			if pl.copyA[q.term] {
				sum += packedStride(k.steps(q.k1 - q.k0))
			}
		}
		longest = max(longest, sum)
	}
	// A block of A takes half of L2 at most.
	kc := 64
	for _, g := range pl.groups {
		n := 0
		for _, q := range g {
			n += k.steps(q.k1 - q.k0)
		}
		kc = max(kc, n)
	}
	pl.mc = min(c.M, max(k.mr, feature.Cache().L2/2/(4*kc)/k.mr*k.mr))
	pl.split(c, threads, flop)
	if pl.rowParts == 1 && c.M <= pl.mc {
		// Each panel is needed once, by the thread that then best packs it itself.
		for i := range c.Terms {
			t := &c.Terms[i]
			if !t.panels() && (k.rounding != nil || t.Source == nil && t.K <= shortColumns) {
				pl.direct[i] = true
			}
		}
	}
	pl.scratchA = 4 * pl.mc * longest
	pl.scratchTail = 4 * kc * k.nr
	return pl
}

// inPlace reports whether panels of a right factor with contiguous rows are read
// where they lie. That saves packing, but each row of a panel is then a page of its
// own, and with long strides few rows fit the caches' sets: it suits few rows of A,
// or short rows of B.
func (c *Call) inPlace(t *Term, k *kernel) bool {
	stride := max(t.B.RowStride, -t.B.RowStride)
	switch {
	case t.K <= 32 || c.M <= 4*k.mr:
		return true
	case stride <= 1000:
		return true
	}
	return stride <= 8192 && c.M <= 24*k.mr
}

// addTerm cuts a term along k; short terms join the group before them.
func (pl *plan) addTerm(i int, t *Term, k *kernel) {
	n := kBlocks(t.K, k)
	if t.panels() {
		n = t.Packed.blocks
	}
	for b := range n {
		q := part{i, k.cut(t.K, n, b), k.cut(t.K, n, b+1)}
		if q.k0 == q.k1 {
			continue
		}
		l := len(pl.groups)
		if l > 0 && n == 1 && (t.K <= 64 || len(pl.groups[l-1]) == 1 && pl.groups[l-1].length() <= 64) && len(pl.groups[l-1]) < len(tile{}.segment) {
			pl.groups[l-1] = append(pl.groups[l-1], q)
			continue
		}
		pl.groups = append(pl.groups, group{q})
	}
}

func (g group) length() (n int) {
	for _, q := range g {
		n += q.k1 - q.k0
	}
	return n
}

// sharesSets reports whether rows of the given stride would fall into the same
// few sets of L1, where they throw each other out.
func sharesSets(stride, rows int) bool {
	bytes := 4 * stride
	if bytes < 0 {
		bytes = -bytes
	}
	if bytes == 0 {
		return false
	}
	places := 4096 / (bytes & -bytes)
	return places == 0 && rows > 4 || places > 0 && rows/places >= 8
}

// packedStride is the row stride of copied rows: an odd number of cache lines.
func packedStride(kc int) int { return ((kc+15)/16 | 1) * 16 }

// split cuts C into chunks of similar work, small enough to be stopped between
// and to be balanced, large enough to be worth handing out.
func (pl *plan) split(c *Call, threads int, flop float64) {
	const (
		widestCopy = 128 // columns from which a copy of the rows of A pays

		least = 1.5e5 // operations of a chunk, about 1.5 µs
		most  = 2e8   // about 2 ms
	)
	want := pool.WholeRounds(int(min(flop/least, max(flop/most, float64(4*threads)))), threads)
	// Blocks of rows as high as the cache allows; columns in parts wide enough that
	// copying the rows once for each costs little; then more rows if parts still lack.
	blocks := (c.M + pl.mc - 1) / pl.mc
	widest, parts := pl.panels, 1
	if c.kern.rounding != nil && c.M < 2*c.kern.mr {
		parts = threads // rounding so few rows takes less than another thread brings
	}
	for i := range c.Terms {
		if pl.copyA[i] {
			widest = min(widest, max(parts, c.N/widestCopy))
		}
	}
	pl.colParts = min(widest, max(1, (want+blocks-1)/blocks))
	if blocks*pl.colParts < want {
		blocks = max(blocks, min((want+pl.colParts-1)/pl.colParts, c.M/c.kern.mr))
	}
	pl.rowParts = max(1, blocks)
	pl.chunks = pl.rowParts * pl.colParts
}
