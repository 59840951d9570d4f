package cpu

import (
	"sort"
	"sync"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/op"
	"loris/internal/plan"
)

const (
	macNanos     = 0.02     // of a multiplication and addition on one thread, for estimates
	leastMacs    = 1e5      // of a chunk
	mostCopy     = 64 << 20 // bytes of a copy, from which on plain loops do
	mostTaps     = 1 << 18  // of all channels, likewise
	leastPlaces  = 128      // of a tile that is cut for more chunks
	flatOverhead = 1.08     // of tiles that go through a buffer
)

// convProducts returns the kernel of a convolution of float32 or of one of its
// gradients, unless its copies were too large.
func (r *run) convProducts(s *plan.Step, t *taps) (kernel, bool) {
	if s.Out[0].Shape.Size() == 0 || t.n*t.o*t.oh*t.ow == 0 || t.c*t.h*t.w == 0 || max(t.cg, t.perGroup)*t.kh*t.kw > mostTaps {
		return nil, false
	}
	switch s.Op {
	case op.Conv2d:
		return r.convForward(s, t)
	case op.Conv2dInputGrad:
		return r.convBack(s, t)
	}
	return r.convWeights(s, t)
}

// convForward: [outputs places] = [outputs taps] · [taps places] for each image and group.
func (r *run) convForward(s *plan.Step, t *taps) (kernel, bool) {
	size := t.kh * t.kw
	v := r.newShifted(t, forwardSight(t), t.cg, t.perGroup, size, t.cg*size)
	v.to = placement{plane: t.oh * t.ow, row: t.ow, col: 1}
	return r.shiftedKernel(s, t, []*shifted{v})
}

// convBack: [inputs places] = [inputs taps] · [taps places], taps of the outputs, for
// each remainder of places by the strides.
func (r *run) convBack(s *plan.Step, t *taps) (kernel, bool) {
	var views []*shifted
	size := t.kh * t.kw
	for row := range min(t.a.Stride[0], t.h) {
		for col := range min(t.a.Stride[1], t.w) {
			if see := backSight(t, row, col); !see.blind() {
				v := r.newShifted(t, see, t.perGroup, t.cg, t.cg*size, size)
				v.to = placement{row*t.w + col, t.h * t.w, t.a.Stride[0] * t.w, t.a.Stride[1]}
				views = append(views, v)
			}
		}
	}
	return r.shiftedKernel(s, t, views)
}

// shifted is a convolution, or a part of its gradient by the input, as the product of
// kernels and planes.
type shifted struct {
	*planes
	outputs int // of a group
	parts   int // in which they are computed
	order
	spans    []gemm.Span
	lda      int // from kernel to kernel
	perRow   int // from output to output in the kernels as they are given
	rows     int // kernels that stay in the second-level cache
	width    int // columns of the buffer
	to       placement
	kernels  unsafe.Pointer // in the order of k, [group·outputs lda]
	from     int            // first chunk
	src, dst unsafe.Pointer
}

// placement is where the results of the places go, in elements.
type placement struct{ first, plane, row, col int }

// newShifted plans a product: weights and perRow are how far apart the kernels of two
// channels and of two outputs lie.
func (r *run) newShifted(t *taps, see sight, channels, outputs, weights, perRow int) *shifted {
	macs := float64(t.n*t.a.Groups) * float64(see.gridH*see.gridW) * float64(len(see.rows)*len(see.cols)) * float64(channels*outputs)
	threads := r.pool.Threads()
	wanted := int(min(float64(4*threads), macs/leastMacs)) / (t.n * t.a.Groups)
	s := &shifted{planes: newPlanes(see, channels, weights, t.kw, wanted, leastPlaces), outputs: outputs, perRow: perRow}
	natural, inner := s.orders()
	s.order = natural
	if len(inner.runs()) < len(natural.runs()) {
		s.order = inner
	}
	starts := s.runs()
	for i, from := range starts[:len(starts)-1] {
		to := starts[i+1]
		s.spans = append(s.spans, gemm.Span{A: from, B: s.at[from], Step: s.step(from, to), K: to - from})
	}
	s.lda = ((len(s.at)+15)/16 | 1) * 16
	mr, nr, _ := gemm.TileSize()
	s.width = ((s.tileH-1)*s.pitch + s.tileW + nr - 1) / nr * nr
	chunks := t.n * t.a.Groups * s.tiles()
	s.parts = max(1, min((threads+chunks-1)/chunks, outputs/mr, int(macs/leastMacs)))
	near := feature.Cache().L2 / 4 / 4
	s.rows = max(mr, min(near/s.lda, near/s.width)/mr*mr)
	return s
}

// bytes returns the scratch memory of a chunk: the copy and a buffer.
func (s *shifted) bytes() int { return s.planes.bytes() + 64 + 4*min(s.rows, s.outputs)*s.width }

// shiftedKernel runs products over the pool.
func (r *run) shiftedKernel(s *plan.Step, t *taps, views []*shifted) (kernel, bool) {
	chunks, packed, covered := 0, 0, 0
	for _, v := range views {
		if v.planes.bytes() > mostCopy {
			return nil, false
		}
		v.from = chunks
		chunks += t.n * t.a.Groups * v.tiles() * v.parts
		packed += t.a.Groups * v.outputs * v.lda
		covered += v.gridH * v.gridW
	}
	macs := float64(t.n*t.o*t.oh*t.ow) * float64(t.cg*t.kh*t.kw)
	job := func(chunk int, w *pool.Worker) {
		at := sort.Search(len(views), func(i int) bool { return views[i].from > chunk }) - 1
		views[at].chunk(t, chunk-views[at].from, w)
	}
	var weights unsafe.Pointer
	pack := func(row int, _ *pool.Worker) {
		for _, v := range views {
			v.packKernels(t, weights, row)
		}
	}
	x, y, out := newArg(&s.In[0]), newArg(&s.In[1]), newResult(&s.Out[0])
	return func() error {
		src, dst := x.get(r), out.get(r)
		weights = y.get(r)
		kernels := r.mustTemp(4 * packed)
		for _, v := range views {
			v.src, v.dst, v.kernels = src, dst, kernels
			kernels = unsafe.Add(kernels, 4*t.a.Groups*v.outputs*v.lda)
		}
		if len(views) > 0 {
			r.split(t.a.Groups*views[0].outputs, float64(packed), pack)
		}
		if n := s.Out[0].Shape.Size(); len(views) == 0 || covered < s.Out[0].Shape[2]*s.Out[0].Shape[3] {
			clear(slice[float32](dst, n))
		}
		r.split(chunks, macs*macNanos, job)
		out.put(r, dst)
		return nil
	}, true
}

// packKernels brings the kernels of one output into the order of k.
func (s *shifted) packKernels(t *taps, weights unsafe.Pointer, row int) {
	group, m := row/s.outputs, row%s.outputs
	src := slice[float32](unsafe.Add(weights, 4*group*t.perGroup*t.cg*t.kh*t.kw), t.perGroup*t.cg*t.kh*t.kw)[m*s.perRow:]
	dst := slice[float32](unsafe.Add(s.kernels, 4*row*s.lda), len(s.weight))
	for k, at := range s.weight {
		dst[k] = src[at]
	}
}

// convTile is one chunk in progress.
type convTile struct {
	*shifted
	gemm.Tile
	a, b     unsafe.Pointer // kernels, copy
	c        unsafe.Pointer // results
	ldc      int
	kernelsN int
}

var convTiles = sync.Pool{New: func() any { return new(convTile) }}

// chunk computes some outputs of one tile of one image and group.
func (s *shifted) chunk(t *taps, chunk int, w *pool.Worker) {
	part, chunk := chunk%s.parts, chunk/s.parts
	tile, item := chunk%s.tiles(), chunk/s.tiles()
	group := item % t.a.Groups
	v, u, h, cols := s.place(tile)
	x := convTiles.Get().(*convTile)
	x.shifted = s
	x.b = w.Scratch(s.bytes()).Pointer()
	buffer := unsafe.Add(x.b, (s.planes.bytes()+63)/64*64)
	s.fill(x.b, unsafe.Add(s.src, 4*item*s.channels*s.h*s.w), v, u, h)
	dst := unsafe.Add(s.dst, 4*(item*s.outputs*s.to.plane+s.to.first+v*s.to.row+u*s.to.col))
	m0, m1 := s.outputs*part/s.parts, s.outputs*(part+1)/s.parts
	blocks := (m1 - m0 + s.rows - 1) / s.rows
	mode := s.modeOf(h, cols)
	for b := range blocks {
		from := m0 + (m1-m0)*b/blocks
		x.kernelsN = m0 + (m1-m0)*(b+1)/blocks - from
		x.a = unsafe.Add(s.kernels, 4*(group*s.outputs+from)*s.lda)
		to := unsafe.Add(dst, 4*from*s.to.plane)
		if x.c, x.ldc = to, s.to.plane; mode == buffered {
			x.c, x.ldc = buffer, s.width
		}
		switch mode {
		case byRows:
			for i := range h {
				x.row(i*s.pitch, i*s.to.row, cols)
			}
		case oneRow:
			x.row(0, 0, h*cols)
		case buffered:
			x.flat((h-1)*s.pitch + cols)
			s.store(to, buffer, x.kernelsN, h, cols)
		}
	}
	x.Forget()
	*x = convTile{}
	convTiles.Put(x)
}

// mode is how the places of a tile are taken.
type mode uint8

const (
	byRows   mode = iota // row by row, to where the results belong
	oneRow               // as one row, likewise
	buffered             // as one row to a buffer, with what lies between the rows of the copy
)

func (s *shifted) modeOf(h, w int) mode {
	_, nr, part := gemm.TileSize()
	if s.to.col != 1 {
		return buffered
	}
	if s.pitch == w && s.to.row == w && h*w >= part {
		return oneRow
	}
	flat := ((h-1)*s.pitch + w + part - 1) / part * part
	if w < part || float64(h*computedColumns(w, nr, part)) > flatOverhead*float64(flat) {
		return buffered
	}
	return byRows
}

// row computes n places side by side. The last columns overlap those before them, so
// that all are whole parts.
func (x *convTile) row(from, to, n int) {
	_, nr, part := gemm.TileSize()
	widest := min(nr, n/part*part)
	for col := 0; col < n; {
		wide := widest
		if rest := n - col; rest < wide {
			wide = (rest + part - 1) / part * part
			col = n - wide
		}
		x.Run(unsafe.Add(x.c, 4*(to+col)), x.ldc, x.a, x.lda, unsafe.Add(x.b, 4*(from+col)), x.spans, x.kernelsN, wide, false)
		col += wide
	}
}

// computedColumns returns how many columns row computes.
func computedColumns(n, nr, part int) int {
	widest := min(nr, n/part*part)
	if widest == 0 {
		return part
	}
	return n/widest*widest + (n%widest+part-1)/part*part
}

// flat computes n places to the buffer.
func (x *convTile) flat(n int) {
	_, nr, _ := gemm.TileSize()
	for col := 0; col < n; col += nr {
		x.Run(unsafe.Add(x.c, 4*col), x.ldc, x.a, x.lda, unsafe.Add(x.b, 4*col), x.spans, x.kernelsN, min(nr, n-col), false)
	}
}

// store moves results from the buffer to where they belong.
func (s *shifted) store(dst, buffer unsafe.Pointer, outputs, h, w int) {
	for m := range outputs {
		for i := range h {
			from := slice[float32](unsafe.Add(buffer, 4*(m*s.width+i*s.pitch)), w)
			to := slice[float32](unsafe.Add(dst, 4*(m*s.to.plane+i*s.to.row)), (w-1)*s.to.col+1)
			if s.to.col == 1 {
				copy(to, from)
				continue
			}
			for k, v := range from {
				to[k*s.to.col] = v
			}
		}
	}
}
