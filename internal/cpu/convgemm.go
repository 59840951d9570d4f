package cpu

import (
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/op"
	"loris/internal/plan"
)

// Convolutions of float32 are matrix products whose right factor is never written
// out whole: its element (tap, place) is the element of the input that a tap of the
// kernel sees from a place of the output ("im2col"), gathered panel by panel.

// windows is such a factor, of one group of channels of one image: taps × places,
// a tap being a channel, a row and a column of the kernel.
type windows struct {
	t     *taps
	image unsafe.Pointer // [channels h w] of what the taps look at
	back  bool           // taps of the output seen from places of the input
	turn  bool           // places × taps
}

// sizes returns the plane that is looked at and the width of the one looked from.
func (s *windows) sizes() (h, w, from int) {
	if s.back {
		return s.t.oh, s.t.ow, s.t.w
	}
	return s.t.h, s.t.w, s.t.ow
}

// Panel implements [gemm.Source].
func (s *windows) Panel(dst []float32, ld, k0, k1, j0, j1 int) {
	if s.turn {
		var line [64]float32
		for tap := j0; tap < j1; tap++ {
			for p := k0; p < k1; p += len(line) {
				n := min(len(line), k1-p)
				s.gather(line[:n], tap, p)
				for i, v := range line[:n] {
					dst[(p-k0+i)*ld+tap-j0] = v
				}
			}
		}
		return
	}
	for tap := k0; tap < k1; tap++ {
		s.gather(dst[(tap-k0)*ld:][:j1-j0], tap, j0)
	}
}

// gather writes what a tap sees from some places on.
func (s *windows) gather(dst []float32, tap, place int) {
	t := s.t
	j, i := tap%t.kw, tap/t.kw%t.kh
	h, w, from := s.sizes()
	plane := unsafe.Add(s.image, 4*(tap/(t.kw*t.kh))*h*w)
	for len(dst) > 0 {
		v, u := place/from, place%from
		n := min(len(dst), from-u)
		row, ok := s.see(v, i, 0, h)
		if ok {
			s.along(dst[:n], slice[float32](unsafe.Add(plane, 4*row*w), w), u, j)
		} else {
			clear(dst[:n])
		}
		dst, place = dst[n:], place+n
	}
}

// see returns which row or column (axis 0 or 1) a tap sees from a place, if it is one
// of size.
func (s *windows) see(place, tap, axis, size int) (at int, ok bool) {
	a := &s.t.a
	if !s.back {
		at = place*a.Stride[axis] - a.Pad[axis] + tap*a.Dilation[axis]
		return at, at >= 0 && at < size
	}
	at = place + a.Pad[axis] - tap*a.Dilation[axis]
	if at < 0 || at%a.Stride[axis] != 0 {
		return 0, false
	}
	at /= a.Stride[axis]
	return at, at < size
}

// along gathers one row from column u on.
func (s *windows) along(dst, row []float32, u, tap int) {
	a := &s.t.a
	if a.Stride[1] == 1 {
		first := u - a.Pad[1] + tap*a.Dilation[1]
		if s.back {
			first = u + a.Pad[1] - tap*a.Dilation[1]
		}
		lo := min(len(dst), max(0, -first))
		hi := max(lo, min(len(dst), len(row)-first))
		clear(dst[:lo])
		if lo < hi {
			copy(dst[lo:hi], row[first+lo:])
		}
		clear(dst[hi:])
		return
	}
	for k := range dst {
		at, ok := s.see(u+k, tap, 1, len(row))
		dst[k] = 0
		if ok {
			dst[k] = row[at]
		}
	}
}

// convProduct is a convolution, or one of its gradients, as products: one for each
// image and group.
type convProduct struct {
	r     *run
	t     *taps
	s     *windows
	first *gemm.Call
	next  *gemm.Call // adds to what is there: the gradient of the kernels sums over images
}

// convProducts returns the kernel where products pay.
func (r *run) convProducts(s *plan.Step, t *taps) (kernel, bool) {
	taps, places := t.cg*t.kh*t.kw, t.oh*t.ow
	p := &convProduct{r: r, t: t, s: &windows{t: t}}
	var m, n, k int
	switch s.Op {
	case op.Conv2d:
		m, n, k = t.perGroup, places, taps
	case op.Conv2dInputGrad:
		m, n, k = t.cg, t.h*t.w, t.perGroup*t.kh*t.kw
		p.s.back = true
	default:
		m, n, k = t.perGroup, taps, places
		p.s.turn = true
	}
	if m < 4 || k < 8 || n < 8 || t.n == 0 {
		return nil, false
	}
	call := func(beta float32) *gemm.Call {
		return &gemm.Call{M: m, N: n, Beta: beta, C: gemm.Matrix{RowStride: n, ColStride: 1},
			Terms: []gemm.Term{{A: gemm.Matrix{RowStride: k, ColStride: 1}, K: k, Source: p.s}}}
	}
	p.first, p.next = call(0), call(1)
	a, b, out := newArg(&s.In[0]), newArg(&s.In[1]), newResult(&s.Out[0])
	return func() error {
		x, y, dst := a.get(r), b.get(r), out.get(r)
		switch s.Op {
		case op.Conv2d:
			p.forward(x, y, dst)
		case op.Conv2dInputGrad:
			p.inputGrad(x, y, dst)
		default:
			p.weightGrad(x, y, dst)
		}
		out.put(r, dst)
		return nil
	}, true
}

// each runs f for each image and group with where their channels of the input and of
// the output begin, until the run is stopped.
func (p *convProduct) each(x, y unsafe.Pointer, f func(group, image int, x, y unsafe.Pointer)) {
	t := p.t
	for image := range t.n {
		for g := range t.a.Groups {
			if p.r.stopped() {
				return
			}
			f(g, image, unsafe.Add(x, 4*(image*t.c+g*t.cg)*t.h*t.w), unsafe.Add(y, 4*(image*t.o+g*t.perGroup)*t.oh*t.ow))
		}
	}
}

func (p *convProduct) run(c *gemm.Call, left, seen, dst unsafe.Pointer) {
	c.Terms[0].A.Data, c.C.Data, p.s.image = left, dst, seen
	c.Run(p.r.pool, p.r.b.Stop.Flag())
}

// forward: [outputs places] = [outputs taps] · [taps places].
func (p *convProduct) forward(x, w, y unsafe.Pointer) {
	kernels := 4 * p.t.perGroup * p.t.cg * p.t.kh * p.t.kw
	p.each(x, y, func(group, _ int, x, y unsafe.Pointer) { p.run(p.first, unsafe.Add(w, group*kernels), x, y) })
}

// inputGrad: [inputs places] = [inputs taps] · [taps places], taps of the outputs.
func (p *convProduct) inputGrad(g, w, dx unsafe.Pointer) {
	t := p.t
	size := t.kh * t.kw
	turned := p.r.mustTemp(4 * t.o * t.cg * size) // [group input output tap] of [group output input tap]
	for group := range t.a.Groups {
		for o := range t.perGroup {
			for c := range t.cg {
				at := group * t.perGroup * t.cg
				copy(slice[float32](unsafe.Add(turned, 4*(at+c*t.perGroup+o)*size), size), slice[float32](unsafe.Add(w, 4*(at+o*t.cg+c)*size), size))
			}
		}
	}
	p.each(dx, g, func(group, _ int, dx, g unsafe.Pointer) {
		p.run(p.first, unsafe.Add(turned, 4*group*t.perGroup*t.cg*size), g, dx)
	})
}

// weightGrad: [outputs taps] = Σ [outputs places] · [places taps] over the images.
func (p *convProduct) weightGrad(x, g, dw unsafe.Pointer) {
	kernels := 4 * p.t.perGroup * p.t.cg * p.t.kh * p.t.kw
	p.each(x, g, func(group, image int, x, g unsafe.Pointer) {
		c := p.next
		if image == 0 {
			c = p.first
		}
		p.run(c, g, x, unsafe.Add(dw, group*kernels))
	})
}
