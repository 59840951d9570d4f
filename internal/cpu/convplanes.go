package cpu

import (
	"slices"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/gemm"
)

// Convolutions of float32 run on copies of a few rows of the input that have their
// padding and, for strides, one plane for each remainder of rows and columns. There a
// tap of the kernel sees, from places side by side, elements side by side, so that a
// convolution is a matrix product whose right factor is the copy itself, from where
// the tap begins: no windows are written out ("im2col").

// sight tells which elements of a plane the taps see from a grid of places: from place
// (v, u) row v·step + rows[i] and column u·step + cols[j].
type sight struct {
	h, w         int // the plane
	gridH, gridW int
	step         [2]int // from place to place
	rows, cols   []tap
}

// tap is a row or a column of a kernel, and what it sees from place 0.
type tap struct{ index, off int }

// forwardSight is that of an output's places on the input.
func forwardSight(t *taps) sight {
	s := sight{h: t.h, w: t.w, gridH: t.oh, gridW: t.ow, step: t.a.Stride}
	for i := range t.kh {
		s.rows = append(s.rows, tap{i, i*t.a.Dilation[0] - t.a.Pad[0]})
	}
	for j := range t.kw {
		s.cols = append(s.cols, tap{j, j*t.a.Dilation[1] - t.a.Pad[1]})
	}
	return s
}

// backTaps are the taps that places of the input with a remainder by the stride have on
// the output, along one axis: place p·stride + remainder sees from p on.
func backTaps(kernel, remainder, stride, pad, dilation int) (seen []tap) {
	for i := range kernel {
		if at := remainder + pad - i*dilation; at%stride == 0 {
			seen = append(seen, tap{i, at / stride})
		}
	}
	return seen
}

// axis is one axis of the copy.
type axis struct {
	step   int
	base   int   // what place 0 sees by the first tap
	phases []int // remainders by the step that taps see
	longer int   // how many more than the places are seen, in one plane
}

func newAxis(seen []tap, step int) axis {
	a := axis{step: step, base: seen[0].off}
	for _, t := range seen {
		a.base = min(a.base, t.off)
	}
	for _, t := range seen {
		q, r := (t.off-a.base)/step, (t.off-a.base)%step
		if !slices.Contains(a.phases, r) {
			a.phases = append(a.phases, r)
		}
		a.longer = max(a.longer, q)
	}
	return a
}

// find returns in which plane a tap sees place 0, and where there.
func (a *axis) find(t tap) (plane, at int) {
	return slices.Index(a.phases, (t.off-a.base)%a.step), (t.off - a.base) / a.step
}

// planes is the layout of the copies for tiles of a grid.
type planes struct {
	sight
	channels int
	tileH    int // places of a tile
	tileW    int
	axes     [2]axis
	pitch    int // from row to row of a plane, in elements
	plane    int // from plane to plane
	channel  int // from channel to channel
	downs    int // tiles of the grid
	acrosses int
}

// nearBytes is how large a copy should be.
func nearBytes() int { return feature.Cache().L2 / 3 }

// newPlanes cuts the grid into tiles whose copies stay in the second-level cache, and if
// it can into the wanted number of them; least is from how few places on tiles are not cut.
func newPlanes(s sight, channels, wanted, least int) *planes {
	p := &planes{sight: s, channels: channels, tileH: s.gridH, tileW: s.gridW}
	p.axes = [2]axis{newAxis(s.rows, s.step[0]), newAxis(s.cols, s.step[1])}
	for {
		p.layOut()
		large := p.bytes() > nearBytes()
		if places := p.tileH * p.tileW; !large && (p.downs*p.acrosses >= wanted || places <= 2*least) || places <= least {
			return p
		}
		switch {
		case p.tileH > 1:
			n := p.downs + 1
			for (s.gridH+n-1)/n == p.tileH {
				n++
			}
			p.tileH = (s.gridH + n - 1) / n
		default:
			n := p.acrosses + 1
			for (s.gridW+n-1)/n >= p.tileW {
				n++
			}
			p.tileW = (s.gridW + n - 1) / n
		}
	}
}

// layOut follows from the size of the tiles.
func (p *planes) layOut() {
	p.pitch = p.tileW + p.axes[1].longer
	p.plane = (p.tileH + p.axes[0].longer) * p.pitch
	p.channel = len(p.axes[0].phases) * len(p.axes[1].phases) * p.plane
	p.channel = ((p.channel+15)/16 | 1) * 16 // an odd number of lines, so that channels do not share sets of a cache
	p.downs, p.acrosses = (p.gridH+p.tileH-1)/p.tileH, (p.gridW+p.tileW-1)/p.tileW
}

// bytes returns the size of a copy, and what is read beyond its end.
func (p *planes) bytes() int {
	_, nr, _ := gemm.TileSize()
	return 4 * (p.channels*p.channel + p.pitch + max(nr, sumsWidth))
}

func (p *planes) tiles() int { return p.downs * p.acrosses }

// place returns the first place of a tile and how many it has.
func (p *planes) place(tile int) (v, u, h, w int) {
	v, u = tile/p.acrosses*p.tileH, tile%p.acrosses*p.tileW
	return v, u, min(p.tileH, p.gridH-v), min(p.tileW, p.gridW-u)
}

// strip is what of the rows one plane has: elements first, first+step, … at lo to hi.
type strip struct{ first, lo, hi int }

func (p *planes) strip(u, remainder int) strip {
	step := p.step[1]
	first := u*step + remainder + p.axes[1].base
	lo := min(p.pitch, max(0, (-first+step-1)/step))
	if first >= p.w {
		return strip{}
	}
	return strip{max(0, first+lo*step), lo, max(lo, min(p.pitch, (p.w-1-first)/step+1))}
}

// fill copies what the h rows of places from (v, u) on see of the channels at src.
func (p *planes) fill(dst, src unsafe.Pointer, v, u, h int) {
	down, across := &p.axes[0], &p.axes[1]
	var few [4]strip
	strips := few[:0]
	padded := false
	for _, r := range across.phases {
		s := p.strip(u, r)
		padded = padded || s.hi-s.lo < p.pitch
		strips = append(strips, s)
	}
	rows := h + down.longer
	last := v*down.step + down.base + slices.Max(down.phases) + (rows-1)*down.step
	inside := v*down.step+down.base >= 0 && last < p.h
	whole := inside && !padded && p.pitch == p.w && down.step == 1
	for c := range p.channels {
		from := slice[float32](unsafe.Add(src, 4*c*p.h*p.w), p.h*p.w)
		to := slice[float32](unsafe.Add(dst, 4*c*p.channel), p.channel)
		if whole {
			copy(to, from[(v+down.base)*p.w:][:rows*p.w])
			continue
		}
		if padded || !inside {
			clear(to)
		}
		for _, r := range down.phases {
			for _, s := range strips {
				p.fillPlane(to[:p.plane], from, v*down.step+r+down.base, rows, s)
				to = to[p.plane:]
			}
		}
	}
}

// fillPlane copies every step's row from a row on to a plane, as far as there are any.
func (p *planes) fillPlane(plane, from []float32, row, rows int, s strip) {
	if s.lo == s.hi {
		return
	}
	down, across := p.step[0], p.step[1]
	n := s.hi - s.lo
	for i := range rows {
		r := row + i*down
		if r < 0 || r >= p.h {
			continue
		}
		to, src := plane[i*p.pitch+s.lo:][:n], from[r*p.w+s.first:]
		switch {
		case across == 1 && n >= 16:
			copy(to, src)
		case across == 2:
			gemm.EverySecond(to, src)
		default:
			for j := range to {
				to[j] = src[j*across]
			}
		}
	}
}

// order is a sequence of the taps of all channels: the order of k.
type order struct {
	weight []int // where each lies among the kernels of one output
	at     []int // where each sees place 0 in the copy

	// Where it has all taps of the kernel, blocks of channels innermost: the first channel
	// of each block, and the end.
	blocks []int

	same bool // it is as the kernels lie
}

const channelBlock = 64 // channels whose rows stay in the first-level cache while all taps pass

// orderOf returns the sequence of fewer runs: as the taps lie in a kernel, or with
// channels innermost. Kernels of channels lie weights apart. It does not depend on how the
// grid is cut, which threads decide and sums must not show.
func (p *planes) orderOf(rows, cols []tap, weights int, t *taps) *order {
	whole := *p
	whole.tileH, whole.tileW = p.gridH, p.gridW
	whole.layOut()
	all := len(rows)*len(cols) == t.kh*t.kw
	if len(whole.inner(rows, cols, weights, t).runs()) >= len(whole.natural(rows, cols, weights, t).runs()) {
		o := p.natural(rows, cols, weights, t)
		o.same = all && weights == t.kh*t.kw
		return o
	}
	o := p.inner(rows, cols, weights, t)
	if !all {
		o.blocks = nil
	}
	return o
}

func (p *planes) natural(rows, cols []tap, weights int, t *taps) *order {
	o := new(order)
	for c := range p.channels {
		for _, row := range rows {
			for _, col := range cols {
				o.add(p, c, row, col, weights, t)
			}
		}
	}
	return o
}

func (p *planes) inner(rows, cols []tap, weights int, t *taps) *order {
	o := new(order)
	blocks := (p.channels + channelBlock - 1) / channelBlock
	for b := range blocks {
		from, to := p.channels*b/blocks, p.channels*(b+1)/blocks
		o.blocks = append(o.blocks, from)
		for _, row := range rows {
			for _, col := range cols {
				for c := from; c < to; c++ {
					o.add(p, c, row, col, weights, t)
				}
			}
		}
	}
	o.blocks = append(o.blocks, p.channels)
	return o
}

func (o *order) add(p *planes, c int, row, col tap, weights int, t *taps) {
	i, y := p.axes[0].find(row)
	j, x := p.axes[1].find(col)
	o.weight = append(o.weight, c*weights+row.index*t.kw+col.index)
	o.at = append(o.at, c*p.channel+(i*len(p.axes[1].phases)+j)*p.plane+y*p.pitch+x)
}

// runs cuts a sequence into runs of equal steps: where each begins, and the end.
func (o *order) runs() (starts []int) {
	for i := 0; i < len(o.at); {
		starts = append(starts, i)
		n := i + 1
		for n < len(o.at) && (n == i+1 || o.at[n]-o.at[n-1] == o.at[i+1]-o.at[i]) {
			n++
		}
		i = n
	}
	return append(starts, len(o.at))
}

// step returns the step of a run.
func (o *order) step(from, to int) int {
	if to-from < 2 {
		return 0
	}
	return o.at[from+1] - o.at[from]
}
