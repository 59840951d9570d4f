package cpu

import (
	"slices"
	"strconv"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/op"
	"loris/internal/plan"
)

const (
	macNanos    = 0.02     // of a multiplication and addition on one thread, for estimates
	fewLines    = 8        // outputs of a group, from which down each takes longer
	mostAlone   = 128      // taps of an output that is alone in its group and a sum of rows
	chunkMacs   = 1e6      // of a chunk, or more
	mostChunks  = 32       // that tiles are cut for
	fewChunks   = 8        // from which down lines are computed in parts
	mostCopy    = 64 << 20 // bytes of a copy, from which on plain loops do
	mostTaps    = 1 << 18  // of all channels, likewise
	leastPlaces = 128      // of a tile that is cut for more chunks
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
	see := forwardSight(t)
	p := &shifted{t: t, planes: newPlanes(see, t.cg, t.tiles(), leastPlaces), outputs: t.perGroup, result: t.oh * t.ow, to: [2]int{t.ow, 1}, direct: true}
	f := p.family(see.rows, see.cols, size)
	for m := range t.perGroup {
		f.lines = append(f.lines, line{m * t.cg * size, m * t.oh * t.ow, t.oh, t.ow})
	}
	return r.shiftedKernel(s, p)
}

// convBack: [inputs places] = [inputs taps] · [taps places], taps of the outputs. With
// strides a place is as many as share the outputs from which on they see; those that
// see through the same shifts are one product.
func (r *run) convBack(s *plan.Step, t *taps) (kernel, bool) {
	st, size := t.a.Stride, t.kh*t.kw
	see := sight{h: t.oh, w: t.ow, gridH: (t.h + st[0] - 1) / st[0], gridW: (t.w + st[1] - 1) / st[1], step: [2]int{1, 1}}
	var seen [2][][]tap
	for axis, size := range [2]int{t.h, t.w} {
		for rest := range min(size, st[axis]) {
			seen[axis] = append(seen[axis], backTaps([2]int{t.kh, t.kw}[axis], rest, st[axis], t.a.Pad[axis], t.a.Dilation[axis]))
		}
	}
	see.rows, see.cols = slices.Concat(seen[0]...), slices.Concat(seen[1]...)
	if len(see.rows) == 0 || len(see.cols) == 0 {
		return nil, false
	}
	p := &shifted{t: t, planes: newPlanes(see, t.perGroup, t.tiles(), leastPlaces), outputs: t.cg, result: t.h * t.w, to: [2]int{st[0] * t.w, st[1]}, direct: st == [2]int{1, 1}}
	families := map[string]*family{}
	for y, rows := range seen[0] {
		for x, cols := range seen[1] {
			if len(rows) == 0 || len(cols) == 0 {
				p.gaps = true
				continue
			}
			key := shiftsKey(rows) + "/" + shiftsKey(cols)
			f := families[key]
			if f == nil {
				f = p.family(rows, cols, t.cg*size)
				families[key] = f
				f.tap = rows[0].index*t.kw + cols[0].index
			}
			// The kernel's taps are those of the family, all as far beside.
			beside := rows[0].index*t.kw + cols[0].index - f.tap
			for c := range t.cg {
				f.lines = append(f.lines, line{c*size + beside, c*t.h*t.w + y*t.w + x, (t.h - y + st[0] - 1) / st[0], (t.w - x + st[1] - 1) / st[1]})
			}
		}
	}
	return r.shiftedKernel(s, p)
}

func shiftsKey(seen []tap) string {
	var b []byte
	for _, t := range seen {
		b = append(strconv.AppendInt(b, int64(t.off), 10), ' ')
	}
	return string(b)
}

// tiles returns into how many tiles the grid of an image and group is best cut. The work
// decides, not the number of threads: sums show in which tile they were made.
func (t *taps) tiles() int { return int(min(mostChunks, t.macs()/chunkMacs)) / (t.n * t.a.Groups) }

// macs counts multiplications.
func (t *taps) macs() float64 { return float64(t.n*t.o*t.oh*t.ow) * float64(t.cg*t.kh*t.kw) }

// shifted is a convolution, or its gradient by the input, as products of kernels and planes.
type shifted struct {
	*planes
	t        *taps
	outputs  int // of a group
	parts    int // in which a chunk's lines are computed
	families []*family
	result   int    // size of a plane of results
	direct   bool   // lines are planes of results, one after another
	to       [2]int // from result to result of places below and beside each other, in elements
	alone    bool   // lines are alone, with few taps, and sums of rows
	gaps     bool   // some results see nothing
	rows     int    // of kernels that stay in the second-level cache
	band     int    // rows of places that go through the buffer at once
	width    int    // columns of the buffer
	src, dst unsafe.Pointer
}

// family is one product: lines of results by places.
type family struct {
	*order
	spans   []gemm.Span
	lda     int // from line to line of the kernels
	lines   []line
	weights int            // from channel to channel of the kernels
	tap     int            // the first tap of the first lines
	kernels unsafe.Pointer // in the order of k, [group lines lda]
}

// line is what is computed for one output at all places.
type line struct {
	weight int // where its kernels begin
	first  int // where the result of place 0 goes, from the group's first on
	h, w   int // places that there are
}

func (s *shifted) family(rows, cols []tap, weights int) *family {
	f := &family{order: s.orderOf(rows, cols, weights, s.t), weights: weights}
	starts := f.runs()
	for i, from := range starts[:len(starts)-1] {
		to := starts[i+1]
		f.spans = append(f.spans, gemm.Span{A: from, B: f.at[from], Step: f.step(from, to), K: to - from})
	}
	f.lda = ((len(f.at)+15)/16 | 1) * 16
	s.families = append(s.families, f)
	return f
}

// shiftedKernel runs products over the pool.
func (r *run) shiftedKernel(step *plan.Step, s *shifted) (kernel, bool) {
	if s.planes.bytes() > mostCopy {
		return nil, false
	}
	t := s.t
	mr, nr, _ := gemm.TileSize()
	packed, lines, longest, most := 0, 0, 0, 0
	for _, f := range s.families {
		packed += t.a.Groups * len(f.lines) * f.lda
		lines += len(f.lines)
		longest, most = max(longest, f.lda), max(most, len(f.lines))
	}
	s.alone = lines == 1 && len(s.families[0].at) <= mostAlone
	s.chooseBand()
	s.width = (s.bandColumns(s.band) + nr - 1) / nr * nr
	near := feature.Cache().L2 / 4 / 4
	s.rows = max(mr, min(near/longest, near/s.width)/mr*mr)
	chunks := t.n * t.a.Groups * s.tiles()
	s.parts = max(1, min((fewChunks+chunks-1)/chunks, lines/len(s.families)/(2*mr), int(t.macs()/chunkMacs)))
	chunks *= s.parts
	x, y, out := newArg(&step.In[0]), newArg(&step.In[1]), newResult(&step.Out[0])
	var weights unsafe.Pointer
	pack := func(row int, _ *pool.Worker) {
		for _, f := range s.families {
			if row < t.a.Groups*len(f.lines) {
				f.pack(t, weights, row)
			}
		}
	}
	return func() error {
		s.src, s.dst = x.get(r), out.get(r)
		weights = y.get(r)
		kernels := r.mustTemp(4 * packed)
		for _, f := range s.families {
			f.kernels = kernels
			kernels = unsafe.Add(kernels, 4*t.a.Groups*len(f.lines)*f.lda)
		}
		r.split(t.a.Groups*most, float64(packed), pack)
		if s.gaps {
			clear(slice[float32](s.dst, out.n))
		}
		r.split(chunks, t.macs()*macNanos*max(1, fewLines/float64(s.outputs)), s.chunk)
		out.put(r, s.dst)
		s.forget()
		weights = nil
		return nil
	}, true
}

// forget drops addresses: memory outside the heap may go away before the collector looks.
func (s *shifted) forget() {
	s.src, s.dst = nil, nil
	for _, f := range s.families {
		f.kernels = nil
	}
}

// pack brings the kernels of one line into the order of k.
func (f *family) pack(t *taps, weights unsafe.Pointer, row int) {
	group, l := row/len(f.lines), f.lines[row%len(f.lines)]
	size := t.perGroup * t.cg * t.kh * t.kw
	all := slice[float32](unsafe.Add(weights, 4*group*size), size)
	dst := slice[float32](unsafe.Add(f.kernels, 4*row*f.lda), len(f.weight))
	if f.same {
		copy(dst, all[l.weight:])
		return
	}
	if f.blocks == nil {
		for k, at := range f.weight[:len(dst)] {
			dst[k] = all[at+l.weight]
		}
		return
	}
	size = t.kh * t.kw
	for b, from := range f.blocks[:len(f.blocks)-1] {
		channels := f.blocks[b+1] - from
		src := gemm.Matrix{Data: unsafe.Pointer(&all[l.weight+from*f.weights]), RowStride: 1, ColStride: f.weights}
		gemm.Transpose(dst[from*size:], channels, src, size, channels)
	}
}
