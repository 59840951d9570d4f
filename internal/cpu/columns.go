package cpu

import (
	"math/bits"
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
)

// This file has reductions whose elements do not lie together: rows are folded
// into a row of results.

const (
	columnStrip = 1024 // columns that are folded together, in the first-level cache
	// sumRows are added up one after the other; more rows are halved first, so that the
	// rounding error grows with the logarithm of their number.
	sumRows = 96
	// narrowRows are shorter than this: several are taken as one, and folded last.
	narrowRows = 128
)

// columns folds rows of T.
type columns[T number] struct {
	fold func(dst []T, src unsafe.Pointer, stride, rows int) // into what dst holds
	sum  bool
}

// columnPhase returns the kernel of a reduction over an axis that is not the last.
// Parts of it are columns; where these are too few for the threads, also rows, whose
// results are folded at the end.
func (r *run) columnPhase(o ir.Op, d ir.DType, p phase) func(dst, src unsafe.Pointer) {
	fold := typed(d, columnFold[float32], columnFold[float64], columnFold[int32], columnFold[int64], columnFold[uint8])(o, d)
	size := d.Bytes()
	cost := float64(p.outer*p.gone*p.inner) * 0.3
	chunks := r.chunksFor(cost, p.outer)
	cols, rows := 1, 1
	if wanted := min(r.chunksFor(cost, 1<<30), 4*r.pool.Threads()); chunks < wanted {
		cols = max(1, min((wanted+chunks-1)/chunks, p.inner/columnStrip))
		rows = max(1, min((wanted+chunks*cols-1)/(chunks*cols), p.gone/sumRows))
	}
	scratch := (bits.Len(uint(p.gone)) + 3) * columnStrip * 8
	var dst, src unsafe.Pointer
	job := func(c int, w *pool.Worker) {
		row, col := c%rows, c/rows%cols
		c /= rows * cols
		k0, k1 := p.gone*row/rows, p.gone*(row+1)/rows
		i0, i1 := p.inner*col/cols, p.inner*(col+1)/cols
		for i := p.outer * c / chunks; i < p.outer*(c+1)/chunks; i++ {
			to := unsafe.Add(dst, ((row*p.outer+i)*p.inner+i0)*size)
			fold(to, unsafe.Add(src, ((i*p.gone+k0)*p.inner+i0)*size), k1-k0, i1-i0, p.inner, w.Scratch(scratch).Pointer())
		}
	}
	return func(to, from unsafe.Pointer) {
		dst, src = to, from
		if rows > 1 {
			dst = r.mustTemp(rows * p.outer * p.inner * size)
		}
		r.split(chunks*cols*rows, cost, job)
		if rows > 1 && !r.stopped() {
			n := p.outer * p.inner
			fold(to, dst, rows, n, n, r.mustTemp(scratch))
		}
	}
}

// columnFold returns the function that folds rows of n elements, stride apart, to dst.
func columnFold[T number](o ir.Op, d ir.DType) func(dst, src unsafe.Pointer, rows, n, stride int, scratch unsafe.Pointer) {
	c := columns[T]{sum: o == op.Sum && d.IsFloat()}
	if fold, ok := any(foldRowsOf(o)).(func([]T, unsafe.Pointer, int, int)); ok && fold != nil {
		c.fold = fold
	} else {
		c.fold = columnLoop[T](o)
	}
	return func(dst, src unsafe.Pointer, rows, n, stride int, scratch unsafe.Pointer) {
		size := int(unsafe.Sizeof(T(0)))
		if n == stride && n < narrowRows && rows > 1 {
			c.narrow(slice[T](dst, n), src, rows, scratch)
			return
		}
		for i := 0; i < n; i += columnStrip {
			m := min(columnStrip, n-i)
			c.reduce(slice[T](unsafe.Add(dst, i*size), m), unsafe.Add(src, i*size), stride, rows, scratch)
		}
	}
}

// reduce sets dst to the fold of rows.
func (c *columns[T]) reduce(dst []T, src unsafe.Pointer, stride, rows int, scratch unsafe.Pointer) {
	size := int(unsafe.Sizeof(dst[0]))
	if c.sum && rows > sumRows {
		half := (rows/2 + sumRows - 1) / sumRows * sumRows
		other := slice[T](scratch, len(dst))
		rest := unsafe.Add(scratch, len(dst)*size)
		c.reduce(dst, src, stride, half, rest)
		c.reduce(other, unsafe.Add(src, half*stride*size), stride, rows-half, rest)
		c.fold(dst, scratch, 0, 1)
		return
	}
	copy(dst, slice[T](src, len(dst)))
	c.fold(dst, unsafe.Add(src, stride*size), stride, rows-1)
}

// narrow is reduce for short rows that lie together.
func (c *columns[T]) narrow(dst []T, src unsafe.Pointer, rows int, scratch unsafe.Pointer) {
	n, size := len(dst), int(unsafe.Sizeof(dst[0]))
	together := min(rows, columnStrip/n)
	wide := slice[T](scratch, together*n)
	rest := unsafe.Add(scratch, columnStrip*8)
	c.reduce(wide, src, together*n, rows/together, rest)
	c.reduce(dst, scratch, n, together, rest)
	if left := rows % together; left > 0 {
		c.reduce(wide[:n], unsafe.Add(src, (rows-left)*n*size), n, left, rest)
		c.fold(dst, scratch, n, 1)
	}
}

// columnLoop returns the function that folds rows into a row of results; Any and All are
// of bools. Four rows at once read and write the results a quarter as often.
func columnLoop[T number](o ir.Op) func(dst []T, src unsafe.Pointer, stride, rows int) {
	if f, ok := any(intFold(o)).(func(d, x []T)); ok && f != nil {
		return loopRows(f, nil)
	}
	if f, ok := any(boolFold(o)).(func(d, x []T)); ok && f != nil {
		return loopRows(f, nil)
	}
	if f, ok := any(productFold(o)).(func(d, x []T)); ok && f != nil {
		return loopRows(f, nil)
	}
	switch o {
	case op.Sum:
		return loopRows(func(d, x []T) {
			for i, v := range x {
				d[i] += v
			}
		}, func(d, x, y, z, w []T) {
			for i := range d {
				d[i] = d[i] + x[i] + y[i] + z[i] + w[i]
			}
		})
	case op.Prod:
		return loopRows(func(d, x []T) {
			for i, v := range x {
				d[i] *= v
			}
		}, func(d, x, y, z, w []T) {
			for i := range d {
				d[i] = d[i] * x[i] * y[i] * z[i] * w[i]
			}
		})
	case op.Max:
		if T(1)/2 != 0 {
			return loopRows(raise[T], nil)
		}
		return loopRows(func(d, x []T) {
			for i, v := range x {
				d[i] = max(d[i], v)
			}
		}, func(d, x, y, z, w []T) {
			for i := range d {
				d[i] = max(d[i], x[i], y[i], z[i], w[i])
			}
		})
	}
	if T(1)/2 != 0 {
		return loopRows(lower[T], nil)
	}
	return loopRows(func(d, x []T) {
		for i, v := range x {
			d[i] = min(d[i], v)
		}
	}, func(d, x, y, z, w []T) {
		for i := range d {
			d[i] = min(d[i], x[i], y[i], z[i], w[i])
		}
	})
}

// raise and lower keep the larger and the smaller floats, NaN where there is one. A new best
// is rare: a branch costs less than a maximum with NaN.
func raise[T number](d, x []T) {
	for i, v := range x {
		if m := d[i]; !(v <= m) && m == m {
			d[i] = v
		}
	}
}

func lower[T number](d, x []T) {
	for i, v := range x {
		if m := d[i]; !(v >= m) && m == m {
			d[i] = v
		}
	}
}

// loopRows folds rows one by one, or four at once where there is a function for that.
func loopRows[T number](one func(d, x []T), four func(d, x, y, z, w []T)) func(dst []T, src unsafe.Pointer, stride, rows int) {
	return func(dst []T, src unsafe.Pointer, stride, rows int) {
		n := len(dst)
		row := func(i int) []T { return slice[T](unsafe.Add(src, i*stride*int(unsafe.Sizeof(dst[0]))), n)[:n] }
		i := 0
		for ; four != nil && i+4 <= rows; i += 4 {
			four(dst, row(i), row(i+1), row(i+2), row(i+3))
		}
		for ; i < rows; i++ {
			one(dst, row(i))
		}
	}
}

// productFold and intFold have the kernels of package vec for rows of float32 and int32, nil
// for other reductions.
func productFold(o ir.Op) func(d, x []float32) {
	if o != op.Prod {
		return nil
	}
	return func(d, x []float32) { vec.Binary(vec.Mul, d, d, x) }
}

func intFold(o ir.Op) func(d, x []int32) {
	switch o {
	case op.Max:
		return func(d, x []int32) { vec.BinaryInts(vec.Maximum, d, d, x) }
	case op.Min:
		return func(d, x []int32) { vec.BinaryInts(vec.Minimum, d, d, x) }
	}
	return nil
}

// boolFold is of Any and All, eight at a time.
func boolFold(o ir.Op) func(d, x []uint8) {
	switch o {
	case op.Any:
		return func(d, x []uint8) { foldWords(d, x, func(a, b uint64) uint64 { return a | b }) }
	case op.All:
		return func(d, x []uint8) { foldWords(d, x, func(a, b uint64) uint64 { return a & b }) }
	}
	return nil
}

// foldWords folds eight bytes at a time.
func foldWords(d, x []uint8, f func(a, b uint64) uint64) {
	x = x[:len(d)]
	i := 0
	for ; i+8 <= len(d); i += 8 {
		*(*uint64)(unsafe.Pointer(&d[i])) = f(word(d, i), word(x, i))
	}
	for ; i < len(d); i++ {
		d[i] = uint8(f(uint64(d[i]), uint64(x[i])))
	}
}

// foldRowsOf returns the float32 fold of package vec, or nil.
func foldRowsOf(o ir.Op) func(dst []float32, src unsafe.Pointer, stride, rows int) {
	var f func([]float32, vec.Rows, int)
	switch o {
	case op.Sum:
		f = vec.AddColumns
	case op.Max:
		f = vec.MaxColumns
	case op.Min:
		f = vec.MinColumns
	default:
		return nil
	}
	return func(dst []float32, src unsafe.Pointer, stride, rows int) {
		f(dst, vec.Rows{Data: src, Stride: stride}, rows)
	}
}
