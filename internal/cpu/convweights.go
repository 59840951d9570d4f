package cpu

import (
	"sync"
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/plan"
)

const (
	partMacs     = 4e6      // of a part of the places
	mostParts    = 64       // of places, groups and panels together
	mostPartial  = 16 << 20 // bytes of all partial sums
	nearPlaces   = 192      // whose gradients stay in the first-level cache
	longestPlace = 128      // places of a span
	sumTaps      = 64       // taps whose sums are one chunk
	widestTile   = 32       // columns that any micro-kernel has
)

// kernelGrad is the gradient of a convolution by its kernels: [taps outputs] = Σ [taps
// places] · [places outputs] over the images. The left factor are the planes, the right
// one gradients with their outputs side by side. Parts of the places are summed apart and
// then added in order, so that the result does not depend on who computed what.
type kernelGrad struct {
	*planes
	*order
	t        *taps
	starts   []int // of runs of taps
	position []int // of each tap of the kernels, in the order
	panels   int   // of outputs of a group
	shares   int   // of the panels, for threads
	parts    int   // of the places
	x, g, dw unsafe.Pointer
	partial  unsafe.Pointer // [group panel part taps nr]
}

func (r *run) convWeights(s *plan.Step, t *taps) (kernel, bool) {
	_, nr, _ := gemm.TileSize()
	if t.perGroup <= gemm.DotRows {
		if k, ok := r.convDots(s, t); ok {
			return k, true
		}
	}
	macs := t.macs()
	k := &kernelGrad{t: t, planes: newPlanes(forwardSight(t), t.cg, t.gradTiles(), leastPlaces)}
	if k.bytes() > mostCopy {
		return nil, false
	}
	k.order = k.orderOf(k.rows, k.cols, t.kh*t.kw, t)
	k.starts, k.position = k.runs(), make([]int, len(k.at))
	for i, at := range k.weight {
		k.position[at] = i
	}
	k.panels = (t.perGroup + nr - 1) / nr
	sums := t.a.Groups * k.panels
	k.parts = max(1, min(t.n*k.tiles(), int(macs/partMacs), mostParts/sums, mostPartial/(4*sums*len(k.at)*nr)))
	k.shares = min(k.panels, (4*r.pool.Threads()+t.a.Groups*k.parts-1)/(t.a.Groups*k.parts))
	blocks := (len(k.at) + sumTaps - 1) / sumTaps
	add := func(chunk int, _ *pool.Worker) { k.sum(chunk/blocks, chunk%blocks*sumTaps) }
	x, g, out := newArg(&s.In[0]), newArg(&s.In[1]), newResult(&s.Out[0])
	return func() error {
		k.x, k.g, k.dw = x.get(r), g.get(r), out.get(r)
		k.partial = r.mustTemp(4 * k.parts * sums * len(k.at) * nr)
		r.split(t.a.Groups*k.parts*k.shares, macs*macNanos, k.chunk)
		r.split(sums*blocks, float64(k.parts*sums*len(k.at)*nr)/8, add)
		out.put(r, k.dw)
		k.x, k.g, k.dw, k.partial = nil, nil, nil, nil
		return nil
	}, true
}

// gradTiles returns into how many tiles the grid of an image is best cut: not by the
// number of threads, on which sums would depend.
func (t *taps) gradTiles() int { return min(mostParts, int(t.macs()/partMacs)) / t.n }

// sums returns where the sums of a part lie: a row of nr outputs for each tap.
func (k *kernelGrad) sums(item int) unsafe.Pointer {
	_, nr, _ := gemm.TileSize()
	return unsafe.Add(k.partial, 4*item*len(k.at)*nr)
}

// gradTile is one chunk in progress.
type gradTile struct {
	gemm.Tile
	spans []gemm.Span
	total [sumTaps * widestTile]float32
}

var gradTiles = sync.Pool{New: func() any { return new(gradTile) }}

// chunk sums a part of the places for some panels of outputs of a group.
func (k *kernelGrad) chunk(chunk int, w *pool.Worker) {
	_, nr, _ := gemm.TileSize()
	t := k.t
	share, chunk := chunk%k.shares, chunk/k.shares
	part, group := chunk%k.parts, chunk/k.parts
	copied := (k.bytes() + 63) / 64 * 64
	planes := w.Scratch(copied + 4*k.tileH*k.tileW*nr).Pointer()
	turned := unsafe.Add(planes, copied)
	x := gradTiles.Get().(*gradTile)
	steps := t.n * k.tiles()
	from, to := steps*part/k.parts, steps*(part+1)/k.parts
	for step := from; step < to; step++ {
		image := step / k.tiles()
		v, u, h, wide := k.place(step % k.tiles())
		k.fill(planes, unsafe.Add(k.x, 4*(image*t.c+group*t.cg)*t.h*t.w), v, u, h)
		for panel := k.panels * share / k.shares; panel < k.panels*(share+1)/k.shares; panel++ {
			outputs := min(nr, t.perGroup-panel*nr)
			g := unsafe.Add(k.g, 4*(((image*t.o+group*t.perGroup+panel*nr)*t.oh+v)*t.ow+u))
			k.turn(turned, g, h, wide, outputs)
			k.multiply(x, k.sums((group*k.panels+panel)*k.parts+part), planes, turned, h, wide, outputs, step > from)
		}
	}
	x.Forget()
	gradTiles.Put(x)
}

// turn writes gradients of h × w places with their outputs side by side.
func (k *kernelGrad) turn(dst, g unsafe.Pointer, h, w, outputs int) {
	_, nr, _ := gemm.TileSize()
	if w == k.t.ow {
		h, w = 1, h*w
	}
	for i := range h {
		src := gemm.Matrix{Data: unsafe.Add(g, 4*i*k.t.ow), RowStride: 1, ColStride: k.t.oh * k.t.ow}
		gemm.Transpose(slice[float32](unsafe.Add(dst, 4*i*w*nr), w*nr), nr, src, w, outputs)
	}
}

// multiply adds up h × w places, some at a time, for all taps.
func (k *kernelGrad) multiply(x *gradTile, sums, planes, turned unsafe.Pointer, h, w, outputs int, add bool) {
	_, nr, _ := gemm.TileSize()
	places := 0
	flush := func() {
		for i, tap := range k.starts[:len(k.starts)-1] {
			end := k.starts[i+1]
			x.Run(unsafe.Add(sums, 4*tap*nr), nr, unsafe.Add(planes, 4*k.at[tap]), k.step(tap, end), turned, x.spans, end-tap, outputs, add)
		}
		x.spans, places, add = x.spans[:0], 0, true
	}
	for i := range h {
		for u := 0; u < w; u += longestPlace {
			n := min(longestPlace, w-u)
			if places > 0 && places+n > nearPlaces {
				flush()
			}
			x.spans = append(x.spans, gemm.Span{A: i*k.pitch + u, B: (i*w + u) * nr, Step: nr, K: n})
			places += n
		}
	}
	flush()
}

// sum adds the parts of some taps of a panel, in the order of the kernels.
func (k *kernelGrad) sum(item, from int) {
	_, nr, _ := gemm.TileSize()
	t := k.t
	panel, group := item%k.panels, item/k.panels
	first := panel * nr
	outputs := min(nr, t.perGroup-first)
	size := len(k.at)
	x := gradTiles.Get().(*gradTile)
	n := min(sumTaps, size-from)
	for i := range n {
		total := x.total[i*nr:][:outputs]
		clear(total)
		for part := range k.parts {
			sums := k.sums(item*k.parts + part)
			for o, v := range slice[float32](unsafe.Add(sums, 4*k.position[from+i]*nr), outputs) {
				total[o] += v
			}
		}
	}
	dw := slice[float32](unsafe.Add(k.dw, 4*(group*t.perGroup+first)*size), outputs*size)
	gemm.Transpose(dw[from:], size, gemm.Matrix{Data: unsafe.Pointer(&x.total), RowStride: 1, ColStride: nr}, outputs, n)
	gradTiles.Put(x)
}
