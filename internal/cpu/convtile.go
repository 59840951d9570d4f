package cpu

import (
	"sync"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/gemm"
	"loris/internal/cpu/gemv"
	"loris/internal/cpu/pool"
)

// convTile is one chunk of a convolution in progress.
type convTile struct {
	gemm.Tile
	f     *family
	a, b  unsafe.Pointer // kernels, planes
	c     unsafe.Pointer // results
	ldc   int
	lines int
}

var convTiles = sync.Pool{New: func() any { return new(convTile) }}

// chunk computes some lines of all families for one tile of one image and group.
func (s *shifted) chunk(chunk int, w *pool.Worker) {
	part, chunk := chunk%s.parts, chunk/s.parts
	tile, item := chunk%s.tiles(), chunk/s.tiles()
	v, u, h, wide := s.place(tile)
	copied := (s.bytes() + 63) / 64 * 64
	planes := w.Scratch(copied + 4*s.rows*s.width).Pointer()
	buffer := unsafe.Add(planes, copied)
	s.fill(planes, unsafe.Add(s.src, 4*item*s.channels*s.h*s.w), v, u, h)
	dst := unsafe.Add(s.dst, 4*(item*s.outputs*s.result+v*s.to[0]+u*s.to[1]))
	group, mode := item%s.t.a.Groups, s.modeOf(h, wide)
	x := convTiles.Get().(*convTile)
	x.b = planes
	for _, f := range s.families {
		x.f = f
		n := len(f.lines)
		from, to := n*part/s.parts, n*(part+1)/s.parts
		for blocks := (to - from + s.rows - 1) / s.rows; blocks > 0; blocks-- {
			x.lines = (to - from + blocks - 1) / blocks
			x.a = unsafe.Add(f.kernels, 4*(group*n+from)*f.lda)
			if mode == buffered {
				x.c, x.ldc = buffer, s.width
				for i := 0; i < h; i += s.band {
					rows := min(s.band, h-i)
					if places := (rows-1)*s.pitch + wide; s.alone {
						x.sums(i*s.pitch, places)
					} else {
						x.flat(i*s.pitch, places)
					}
					for m, l := range f.lines[from : from+x.lines] {
						s.store(unsafe.Add(dst, 4*(l.first+i*s.to[0])), unsafe.Add(buffer, 4*m*s.width), min(rows, l.h-v-i), min(wide, l.w-u))
					}
				}
			} else {
				x.c, x.ldc = unsafe.Add(dst, 4*f.lines[from].first), s.result
				rows, n := h, wide
				if mode == oneRow {
					rows, n = 1, h*wide
				}
				for i := range rows {
					x.row(i*s.pitch, i*s.to[0], n)
				}
			}
			from += x.lines
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

// What columns cost beside others, for choices.
const (
	narrowCost = 1.2 // of less than a whole tile
	bufferCost = 12. // that go through a buffer: of as many taps more
)

func (s *shifted) modeOf(h, w int) mode {
	_, nr, part := gemm.TileSize()
	switch {
	case !s.direct || s.alone:
		return buffered
	case s.pitch == w && s.to[0] == w && h*w >= part:
		return oneRow
	case w < part:
		return buffered
	}
	narrow := (w%nr + part - 1) / part * part
	rows := float64(h*(w-w%nr)) + float64(h*narrow)
	if narrow < nr {
		rows += (narrowCost - 1) * float64(h*narrow)
	} else if w < nr {
		rows *= narrowCost
	}
	flat := float64(h*s.bandColumns(s.band)/s.band) * (1 + bufferCost/float64(len(s.families[0].at)))
	if rows > flat {
		return buffered
	}
	return byRows
}

// bandColumns returns how many columns a product of some rows of places has.
func (s *shifted) bandColumns(rows int) int {
	_, _, part := gemm.TileSize()
	return ((rows-1)*s.pitch + s.tileW + part - 1) / part * part
}

// chooseBand sets how many rows of places go through the buffer at once: so few that it
// stays near, and such that little is computed beyond the last.
func (s *shifted) chooseBand() {
	near := 256 // places
	if s.alone {
		near = feature.Cache().L1 / 4 / 4
	}
	first := min(s.tileH, (near+s.pitch-1)/s.pitch)
	s.band = first
	for rows := first; rows <= min(s.tileH, 2*first); rows++ {
		if s.bandColumns(rows)*s.band < s.bandColumns(s.band)*rows {
			s.band = rows
		}
	}
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
		x.compute(from+col, to+col, wide)
		col += wide
	}
}

// flat computes n places to the buffer.
func (x *convTile) flat(from, n int) {
	_, nr, _ := gemm.TileSize()
	for col := 0; col < n; col += nr {
		x.compute(from+col, col, min(nr, n-col))
	}
}

// sumsWidth is of how many places sums are multiples: ends might be added up otherwise,
// and where they are depends on the tiles.
const sumsWidth = 16

// sums computes n places of one line to the buffer, as sums of rows: a tile of one row
// waits for itself.
func (x *convTile) sums(from, n int) {
	y := slice[float32](x.c, (n+sumsWidth-1)/sumsWidth*sumsWidth)
	clear(y)
	for i := range x.f.spans {
		s := &x.f.spans[i]
		gemv.Rows(gemv.F32, y, unsafe.Add(x.b, 4*(from+s.B)), 4*s.Step, slice[float32](unsafe.Add(x.a, 4*s.A), s.K))
	}
}

// compute is the product of the kernels and some columns of the planes.
func (x *convTile) compute(from, to, columns int) {
	x.Run(unsafe.Add(x.c, 4*to), x.ldc, x.a, x.f.lda, unsafe.Add(x.b, 4*from), x.f.spans, x.lines, columns, false)
}

// store moves results of a line from the buffer to where they belong.
func (s *shifted) store(dst, buffer unsafe.Pointer, h, w int) {
	step := s.to[1]
	for i := range max(h, 0) {
		from := slice[float32](unsafe.Add(buffer, 4*i*s.pitch), max(w, 0))
		if step == 1 {
			copy(slice[float32](unsafe.Add(dst, 4*i*s.to[0]), len(from)), from)
			continue
		}
		to := unsafe.Add(dst, 4*i*s.to[0])
		for k, v := range from {
			*(*float32)(unsafe.Add(to, 4*k*step)) = v
		}
	}
}
