package cpu

import (
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/op"
	"loris/internal/plan"
)

func init() { register(compileCumSum, op.CumSum) }

// scanColumns are summed side by side where lines do not lie together.
const scanColumns = 512

// scan is the running sums of lines, or of columns of them.
type scan struct {
	lines
	dst, src unsafe.Pointer
	reverse  bool
}

func compileCumSum(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Scan)
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	if out.n == 0 {
		return func() error { return nil }, nil
	}
	t := &scan{lines: linesOf(s.In[0].Shape, a.Axis), reverse: a.Reverse}
	d := s.Out[0].DType
	f := typed(d, scanLines[float32, float64], scanLines[float64, float64], scanLines[int32, int32], scanLines[int64, int64], scanLines[uint8, uint8])
	count, strips := t.count, 1
	if t.stride > 1 {
		f = typed(d, scanStrips[float32, float64], scanStrips[float64, float64], scanStrips[int32, int32], scanStrips[int64, int64], scanStrips[uint8, uint8])
		strips = (t.stride + scanColumns - 1) / scanColumns
		count = t.count / t.stride * strips
	}
	run := r.eachRow(count, float64(out.n)*0.6, func(from, to int, w *pool.Worker) {
		f(t, from, to, strips, w)
	})
	return func() error {
		t.src, t.dst = x.get(r), out.get(r)
		run()
		out.put(r, t.dst)
		return nil
	}, nil
}

// order returns the first element of a line of the given stride and the way to the next.
func (t *scan) order(stride int) (first, step int) {
	if t.reverse {
		return (t.length - 1) * stride, -stride
	}
	return 0, stride
}

// scanLines scans lines whose elements lie together: four at a time, as each addition
// waits for the one before. Sums are kept as S, floats in double precision.
func scanLines[T, S number](t *scan, from, to, _ int, _ *pool.Worker) {
	n := t.length
	first, step := t.order(1)
	line := func(i int) (d, x []T) {
		size := int(unsafe.Sizeof(T(0)))
		return slice[T](unsafe.Add(t.dst, i*n*size), n), slice[T](unsafe.Add(t.src, i*n*size), n)
	}
	for ; to-from >= 4; from += 4 {
		d0, x0 := line(from)
		d1, x1 := line(from + 1)
		d2, x2 := line(from + 2)
		d3, x3 := line(from + 3)
		var a, b, c, d S
		for i := first; uint(i) < uint(n); i += step {
			a += S(x0[i])
			b += S(x1[i])
			c += S(x2[i])
			d += S(x3[i])
			d0[i], d1[i], d2[i], d3[i] = T(a), T(b), T(c), T(d)
		}
	}
	for ; from < to; from++ {
		d, x := line(from)
		var a S
		for i := first; uint(i) < uint(n); i += step {
			a += S(x[i])
			d[i] = T(a)
		}
	}
}

// scanStrips scans strips of neighbouring lines, whose elements lie side by side, row by row.
func scanStrips[T, S number](t *scan, from, to, strips int, w *pool.Worker) {
	size := int(unsafe.Sizeof(T(0)))
	sums := slice[S](w.Scratch(8*scanColumns).Pointer(), scanColumns)
	first, step := t.order(t.stride)
	for ; from < to; from++ {
		column := from % strips * scanColumns
		at := from/strips*t.length*t.stride + column + first
		acc := sums[:min(scanColumns, t.stride-column)]
		clear(acc)
		for range t.length {
			d, x := slice[T](unsafe.Add(t.dst, at*size), len(acc)), slice[T](unsafe.Add(t.src, at*size), len(acc))
			for i, v := range x {
				acc[i] += S(v)
				d[i] = T(acc[i])
			}
			at += step
		}
	}
}
