package gemm

import (
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/gemv"
	"loris/internal/cpu/pool"
)

// runSplitDepth computes a thin product whose k is split: each chunk adds up its
// rows of B in memory of its own, and the sums are added in order, so that the
// result does not depend on which thread did what.
func (c *Call) runSplitDepth(p *pool.Pool, stop *atomic.Bool) bool {
	var err error
	if c.partial, err = p.Arena().Alloc(4 * c.plan.depthParts * c.M * c.N); err != nil {
		panic(err)
	}
	defer p.Arena().Free(c.partial)
	if !p.Run(c.plan.chunks, c.plan.cost, stop, c.jobs.multiply) {
		return false
	}
	// Few sums are added by the caller: the others' lie in other caches either way.
	c.sumParts = max(1, min(p.Threads(), c.partial.Size()/sumBytes))
	return p.Run(c.sumParts, float64(c.partial.Size())/sumSpeed, stop, c.jobs.sum)
}

const (
	sumBytes = 32 << 10 // of partial sums that are worth a chunk of their own
	sumSpeed = 32       // bytes that one thread adds in a nanosecond, for estimates
)

// ones are the factors of partial sums.
var ones = [...]float32{1, 1, 1, 1, 1, 1, 1, 1}

// sumChunk adds some columns of the partial sums to the start of C.
func (c *Call) sumChunk(chunk int, _ *pool.Worker) {
	j0, j1 := cut(c.cols(), c.sumParts, chunk), cut(c.cols(), c.sumParts, chunk+1)
	t := thinJobs.Get().(*thinJob)
	t.c = c
	for i := range c.M {
		y := unsafe.Slice((*float32)(c.C.at(i, j0)), j1-j0)
		t.begin(y, i, j0)
		for d := 0; d < c.plan.depthParts; d += len(ones) {
			gemv.Rows(gemv.F32, y, c.partialOf(d).at(i, j0), 4*c.M*c.N, ones[:min(len(ones), c.plan.depthParts-d)])
		}
	}
	*t = thinJob{}
	thinJobs.Put(t)
	if c.Epilogue != nil && j0 < j1 {
		c.Epilogue(0, 0, c.M, j0, j1)
	}
}

// partialOf returns where the sums of a part of k lie: M×N, contiguous.
func (c *Call) partialOf(depth int) Matrix {
	return Matrix{unsafe.Add(c.partial.Pointer(), 4*depth*c.M*c.N), c.N, 1}
}

// partialRows adds up the columns j0 to j1 of one part of k.
func (c *Call) partialRows(depth, j0, j1 int, w *pool.Worker) {
	t := thinJobs.Get().(*thinJob)
	t.c, t.w = c, w
	to := c.partialOf(depth)
	for i := range c.M {
		clear(unsafe.Slice((*float32)(to.at(i, j0)), j1-j0))
	}
	for n := range c.Terms {
		k := c.depth(&c.Terms[n])
		t.addRows(n, to, 0, c.M, j0, j1, cut(k, c.plan.depthParts, depth), cut(k, c.plan.depthParts, depth+1))
	}
	*t = thinJob{}
	thinJobs.Put(t)
}
