package cpu

import (
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/plan"
)

// kernelDots is the gradient of a convolution by its kernels where groups have few
// outputs, as of a depthwise one: a panel of outputs would be mostly empty. Each column of
// the kernel has a copy of its own, whose rows follow each other as those of the gradients
// do, so that taps are dot products of whole tiles.
type kernelDots struct {
	t        *taps
	columns  []dotColumn
	parts    int // of the places, summed apart and then in order
	x, g, dw unsafe.Pointer
	partial  unsafe.Pointer // [group part output column taps]
}

// dotColumn is what a column of the kernel sees.
type dotColumn struct {
	*planes
	*order
	starts []int // of runs of taps
}

// convDots returns the kernel, unless tiles are narrower than the gradients.
func (r *run) convDots(s *plan.Step, t *taps) (kernel, bool) {
	k := &kernelDots{t: t}
	see := forwardSight(t)
	for _, col := range see.cols {
		one := see
		one.cols = []tap{col}
		c := dotColumn{planes: newPlanes(one, t.cg, t.gradTiles(), leastPlaces)}
		if c.tileW != t.ow || c.bytes() > mostCopy {
			return nil, false
		}
		c.order = c.orderOf(one.rows, one.cols, t.kh*t.kw, t)
		c.starts = c.runs()
		k.columns = append(k.columns, c)
	}
	size := t.perGroup * t.cg * t.kh * t.kw // of the kernels of a group
	k.parts = max(1, min(t.n*k.columns[0].tiles(), int(t.macs()/partMacs), mostParts/t.a.Groups, mostPartial/(4*t.a.Groups*size)))
	x, g, out := newArg(&s.In[0]), newArg(&s.In[1]), newResult(&s.Out[0])
	add := func(group int, _ *pool.Worker) { k.sum(group) }
	return func() error {
		k.x, k.g, k.dw = x.get(r), g.get(r), out.get(r)
		k.partial = r.mustTemp(4 * k.parts * t.a.Groups * size)
		r.split(t.a.Groups*k.parts, t.macs()*macNanos*2, k.chunk)
		r.split(t.a.Groups, float64(k.parts*t.a.Groups*size), add)
		out.put(r, k.dw)
		k.x, k.g, k.dw, k.partial = nil, nil, nil, nil
		return nil
	}, true
}

// sums returns where the sums of a part lie: taps for each output.
func (k *kernelDots) sums(item int) []float32 {
	size := k.t.perGroup * k.t.cg * k.t.kh * k.t.kw
	return slice[float32](unsafe.Add(k.partial, 4*item*size), size)
}

// chunk sums a part of the places of a group.
func (k *kernelDots) chunk(item int, w *pool.Worker) {
	t := k.t
	part, group := item%k.parts, item/k.parts
	sums := k.sums(item)
	clear(sums)
	taps := t.cg * t.kh * t.kw
	copied := w.Scratch(k.columns[0].bytes()).Pointer()
	tiles := k.columns[0].tiles()
	x := gradTiles.Get().(*gradTile)
	for step := t.n * tiles * part / k.parts; step < t.n*tiles*(part+1)/k.parts; step++ {
		image, from := step/tiles, 0
		v, u, h, wide := k.columns[0].place(step % tiles)
		g := unsafe.Add(k.g, 4*((image*t.o+group*t.perGroup)*t.oh+v)*t.ow)
		for i := range k.columns {
			c := &k.columns[i]
			c.fill(copied, unsafe.Add(k.x, 4*(image*t.c+group*t.cg)*t.h*t.w), v, u, h)
			for j, first := range c.starts[:len(c.starts)-1] {
				end := c.starts[j+1]
				x.Dots(unsafe.Pointer(&sums[from+first]), taps, g, t.oh*t.ow, unsafe.Add(copied, 4*c.at[first]), c.step(first, end), h*wide, t.perGroup, end-first)
			}
			from += len(c.at)
		}
	}
	gradTiles.Put(x)
}

// sum adds the parts of a group, in the order of the kernels.
func (k *kernelDots) sum(group int) {
	t := k.t
	taps := t.cg * t.kh * t.kw
	dw := slice[float32](unsafe.Add(k.dw, 4*group*t.perGroup*taps), t.perGroup*taps)
	for o := range t.perGroup {
		from := o * taps
		for i := range k.columns {
			for tap, weight := range k.columns[i].weight {
				total := float32(0)
				for part := range k.parts {
					total += k.sums(group*k.parts + part)[from+tap]
				}
				dw[o*taps+weight] = total
			}
			from += len(k.columns[i].weight)
		}
	}
}
