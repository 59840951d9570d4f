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
	t := thinJobs.Get().(*thinJob)
	t.c = c
	cols := c.cols()
	for i := range c.M {
		y := unsafe.Slice((*float32)(c.C.at(i, 0)), cols)
		t.begin(y, i, 0)
		for d := 0; d < c.plan.depthParts; d += 8 {
			m := min(8, c.plan.depthParts-d)
			for q := range m {
				t.x[q] = 1
			}
			gemv.Rows(gemv.F32, y, c.partialOf(d).at(i, 0), 4*c.M*c.N, t.x[:m])
		}
	}
	*t = thinJob{}
	thinJobs.Put(t)
	if c.Epilogue != nil {
		c.Epilogue(0, 0, c.M, 0, cols)
	}
	return true
}

// partialOf returns where the sums of a part of k lie: M×N, contiguous.
func (c *Call) partialOf(depth int) Matrix {
	return Matrix{unsafe.Add(c.partial.Pointer(), 4*depth*c.M*c.N), c.N, 1}
}

// partialRows adds up the columns j0 to j1 of one part of k.
func (c *Call) partialRows(depth, j0, j1 int) {
	t := thinJobs.Get().(*thinJob)
	t.c = c
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
