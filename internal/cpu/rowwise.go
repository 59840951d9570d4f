package cpu

import (
	"fmt"
	"math"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

func init() {
	register(compileSoftmax, op.Softmax, op.LogSoftmax)
	register(compileNorm, op.RMSNorm, op.LayerNorm)
	register(compileRoPE, op.RoPE)
	register(compileCrossEntropy, op.CrossEntropy)
	register(compileCrossEntropyGrad, op.CrossEntropyGrad)
}

// What an element costs on one thread with vectors, in nanoseconds.
const (
	softmaxNanos = 0.15
	normNanos    = 0.1
)

// rowCost is the time of n elements that take so many nanoseconds with vectors of float32.
func rowCost(d ir.DType, n int, nanos float64) float64 {
	if computed(d) != ir.F32 || feature.Active() == feature.Generic {
		nanos *= 20
	}
	return nanos * float64(n)
}

// eachRow runs f on ranges of rows over the pool.
func (r *run) eachRow(rows int, cost float64, f func(from, to int, w *pool.Worker)) func() {
	chunks := r.chunksFor(cost, max(1, rows))
	job := func(c int, w *pool.Worker) { f(rows*c/chunks, rows*(c+1)/chunks, w) }
	return func() { r.split(chunks, cost, job) }
}

func compileSoftmax(r *run, s *plan.Step) (kernel, error) {
	axis := s.Attrs.(op.Axis).Axis
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	if out.n == 0 {
		return func() error { return nil }, nil
	}
	l := linesOf(s.In[0].Shape, axis)
	f := softmaxLines[float32]
	if s.In[0].DType == ir.F64 {
		f = softmaxLines[float64]
	}
	var src, dst unsafe.Pointer
	run := r.eachRow(l.count, rowCost(s.In[0].DType, out.n, softmaxNanos), func(from, to int, w *pool.Worker) {
		f(dst, src, w, l, from, to, s.Op == op.LogSoftmax)
	})
	return func() error {
		src, dst = x.get(r), out.get(r)
		run()
		out.put(r, dst)
		return nil
	}, nil
}

// softmaxLines works on lines from..to-1; lines that do not lie together are
// gathered first.
func softmaxLines[T floating](dst, src unsafe.Pointer, w *pool.Worker, l lines, from, to int, log bool) {
	size := int(unsafe.Sizeof(T(0)))
	if l.stride == 1 && size == 4 {
		y, x := vec.Rows{Data: unsafe.Add(dst, 4*from*l.length), Stride: l.length}, vec.Rows{Data: unsafe.Add(src, 4*from*l.length), Stride: l.length}
		if log {
			vec.LogSoftmax(y, x, to-from, l.length)
		} else {
			vec.Softmax(y, x, to-from, l.length)
		}
		return
	}
	f := softmaxRow[T]
	if log {
		f = logSoftmaxRow[T]
	}
	for i := from; i < to; i++ {
		at := l.start(i)
		if l.stride == 1 {
			f(slice[T](unsafe.Add(dst, at*size), l.length), slice[T](unsafe.Add(src, at*size), l.length))
			continue
		}
		row := slice[T](w.Scratch(l.length*size).Pointer(), l.length)
		for k := range row {
			row[k] = element[T](src, at+k*l.stride)
		}
		f(row, row)
		for k, v := range row {
			*(*T)(unsafe.Add(dst, (at+k*l.stride)*size)) = v
		}
	}
}

func compileNorm(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Norm)
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	if out.n == 0 {
		return func() error { return nil }, nil
	}
	var weight, bias *arg
	if a.Weight {
		weight = newArg(&s.In[1])
	}
	if a.Bias {
		bias = newArg(&s.In[len(s.In)-1])
	}
	cols := s.In[0].Shape[len(s.In[0].Shape)-1]
	f := normRows[float32]
	if s.In[0].DType == ir.F64 {
		f = normRows[float64]
	}
	var src, dst, w, b unsafe.Pointer
	fast := normOp(a, s.Op == op.LayerNorm, cols)
	run := r.eachRow(out.n/cols, rowCost(s.In[0].DType, out.n, normNanos), func(from, to int, _ *pool.Worker) {
		if computed(s.In[0].DType) == ir.F32 {
			p, q := w, b
			if a.Bias && !a.Weight { // row ops take them in the order of the inputs
				p, q = b, nil
			}
			fast(unsafe.Add(dst, 4*from*cols), unsafe.Add(src, 4*from*cols), p, q, to-from, cols)
			return
		}
		f(dst, src, w, b, from, to, cols, a.Eps, s.Op == op.LayerNorm)
	})
	return func() error {
		src, dst = x.get(r), out.get(r)
		if weight != nil {
			w = weight.get(r)
		}
		if bias != nil {
			b = bias.get(r)
		}
		run()
		out.put(r, dst)
		return nil
	}, nil
}

func normRows[T floating](dst, src, w, b unsafe.Pointer, from, to, cols int, eps float64, layer bool) {
	size := int(unsafe.Sizeof(T(0)))
	for i := from; i < to; i++ {
		normRow(slice[T](unsafe.Add(dst, i*cols*size), cols), slice[T](unsafe.Add(src, i*cols*size), cols),
			optional[T](w, cols), optional[T](b, cols), T(eps), layer)
	}
}

// compileRoPE turns pairs of the last axis by angles that grow with the position.
func compileRoPE(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Rotary)
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	if out.n == 0 {
		return func() error { return nil }, nil
	}
	shape := s.In[0].Shape
	t, d := shape[len(shape)-2], shape[len(shape)-1]
	half := a.Dims / 2
	var freq *arg
	if len(s.In) > 2 {
		freq = newArg(&s.In[2])
	}
	f := rotate[float32]
	if s.In[0].DType == ir.F64 {
		f = rotate[float64]
	}
	var src, dst, table unsafe.Pointer
	run := r.eachRow(out.n/d, float64(out.n)*0.7, func(from, to int, _ *pool.Worker) {
		f(dst, src, slice[float64](table, 2*t*half), from, to, t, d, a)
	})
	return func() error {
		src, dst = x.get(r), out.get(r)
		table = r.mustTemp(16 * t * half)
		angles(slice[float64](table, 2*t*half), float64(readIndex(r.at(&s.In[1]), s.In[1].DType, 0)), t, a, func(p int) float64 {
			if freq == nil {
				return math.Pow(a.Base, -2*float64(p)/float64(a.Dims))
			}
			if s.In[2].DType == ir.F64 {
				return element[float64](freq.get(r), p)
			}
			return float64(element[float32](freq.get(r), p))
		})
		run()
		out.put(r, dst)
		return nil
	}, nil
}

// angles writes the sine and cosine of each position and pair.
func angles(table []float64, offset float64, t int, a op.Rotary, freq func(p int) float64) {
	half := a.Dims / 2
	for p := range half {
		f := freq(p)
		for i := range t {
			sin, cos := math.Sincos((float64(i) + offset) * a.Scale * f)
			if a.Inverse {
				sin = -sin
			}
			table[2*(i*half+p)], table[2*(i*half+p)+1] = sin, cos
		}
	}
}

func rotate[T floating](dst, src unsafe.Pointer, table []float64, from, to, t, d int, a op.Rotary) {
	half := a.Dims / 2
	for row := from; row < to; row++ {
		x, y := slice[T](src, (row+1)*d)[row*d:], slice[T](dst, (row+1)*d)[row*d:]
		copy(y, x)
		angle := table[2*(row%t)*half:]
		for p := range half {
			i, j := p, p+half
			if a.Interleaved {
				i, j = 2*p, 2*p+1
			}
			sin, cos := T(angle[2*p]), T(angle[2*p+1])
			u, v := x[i], x[j]
			y[i], y[j] = u*cos-v*sin, u*sin+v*cos
		}
	}
}

// loss is what the cross-entropy kernels share.
type loss struct {
	r       *run
	s       *plan.Step
	a       op.Targets
	logits  *arg
	targets loader
	rows    int
	classes int
}

func newLoss(r *run, s *plan.Step) *loss {
	shape := s.In[0].Shape
	classes := shape[len(shape)-1]
	return &loss{r: r, s: s, a: s.Attrs.(op.Targets), logits: newArg(&s.In[0]), targets: newLoader(&s.In[1], 1),
		rows: s.In[1].Shape.Size(), classes: classes}
}

// target returns the class of a row; skip is true for rows that are ignored.
func (l *loss) target(p unsafe.Pointer, row int) (k int, skip bool, err error) {
	v := readIndex(p, l.targets.dtype, l.targets.offset(row))
	switch {
	case l.a.Index && (v < -int64(l.classes) || v >= int64(l.classes)):
		return 0, false, indexError(v, l.classes)
	case l.a.Index && v < 0:
		v += int64(l.classes)
	case l.a.Index:
	case v == l.a.Ignore:
		return 0, true, nil
	}
	if v < 0 || v >= int64(l.classes) {
		return 0, false, &ir.Error{Code: ir.CodeIndex, Msg: fmt.Sprintf("target %d of row %d is none of the %d classes", v, row, l.classes),
			Hint: "targets that do not count are -100, or named in options.Ignore"}
	}
	return int(v), false, nil
}

// check finds the first target out of range.
func (l *loss) check() error {
	p := l.r.at(&l.s.In[1])
	for i := range l.rows {
		if _, _, err := l.target(p, i); err != nil {
			return err
		}
	}
	return nil
}

func compileCrossEntropy(r *run, s *plan.Step) (kernel, error) {
	l, out := newLoss(r, s), newResult(&s.Out[0])
	f := lossRow[float32]
	if s.In[0].DType == ir.F64 {
		f = lossRow[float64]
	}
	var src, dst unsafe.Pointer
	run := r.eachRow(l.rows, float64(l.rows*l.classes)*8, func(from, to int, _ *pool.Worker) {
		p := r.at(&s.In[1])
		for i := from; i < to; i++ {
			k, skip, _ := l.target(p, i)
			f(dst, src, i, l.classes, k, skip, l.a.Smoothing)
		}
	})
	return func() error {
		if err := l.check(); err != nil {
			return err
		}
		src, dst = l.logits.get(r), out.get(r)
		run()
		out.put(r, dst)
		return nil
	}, nil
}

func lossRow[T floating](dst, src unsafe.Pointer, row, classes, k int, skip bool, smoothing float64) {
	to := (*T)(unsafe.Add(dst, row*int(unsafe.Sizeof(T(0)))))
	if skip {
		*to = 0
		return
	}
	x := slice[T](src, (row+1)*classes)[row*classes:]
	log := logSumExpOf(x, to)
	v := (1 - smoothing) * (log - float64(x[k]))
	if smoothing != 0 {
		sum := 0.0
		for _, y := range x {
			sum += log - float64(y)
		}
		v += smoothing * sum / float64(classes)
	}
	*to = T(v)
}

func compileCrossEntropyGrad(r *run, s *plan.Step) (kernel, error) {
	l, g, out := newLoss(r, s), newArg(&s.In[2]), newResult(&s.Out[0])
	f := lossGradRow[float32]
	if s.In[0].DType == ir.F64 {
		f = lossGradRow[float64]
	}
	var src, dst, up unsafe.Pointer
	run := r.eachRow(l.rows, float64(l.rows*l.classes)*8, func(from, to int, _ *pool.Worker) {
		p := r.at(&s.In[1])
		for i := from; i < to; i++ {
			k, skip, _ := l.target(p, i)
			f(dst, src, up, i, l.classes, k, skip, l.a.Smoothing)
		}
	})
	return func() error {
		if err := l.check(); err != nil {
			return err
		}
		src, dst, up = l.logits.get(r), out.get(r), g.get(r)
		run()
		out.put(r, dst)
		return nil
	}, nil
}

func lossGradRow[T floating](dst, src, up unsafe.Pointer, row, classes, k int, skip bool, smoothing float64) {
	d, x := slice[T](dst, (row+1)*classes)[row*classes:], slice[T](src, (row+1)*classes)[row*classes:]
	if skip {
		clear(d)
		return
	}
	g := element[T](up, row)
	if d, ok := any(d).([]float32); ok && smoothing == 0 {
		var loss [1]float32
		label := [1]int64{int64(k)}
		vec.CrossEntropy(loss[:], vec.RowsOf(d, classes), vec.RowsOf(any(x).([]float32), classes), label[:], -1, float32(g), 1, classes)
		return
	}
	softmaxOf(d, x)
	even := T(smoothing / float64(classes))
	for i := range d {
		d[i] = (d[i] - even) * g
	}
	d[k] -= T(1-smoothing) * g
}

// logSumExpOf and softmaxOf take the assembly of float32 where they can; out is
// a place that the result may pass through.
func logSumExpOf[T floating](x []T, out *T) float64 {
	if f, ok := any(x).([]float32); ok {
		vec.LogSumExp(slice[float32](unsafe.Pointer(out), 1), vec.RowsOf(f, len(f)), 1, len(f))
		return float64(*out)
	}
	return logSumExp(x)
}

func softmaxOf[T floating](dst, x []T) {
	if f, ok := any(dst).([]float32); ok {
		vec.Softmax(vec.RowsOf(f, len(f)), vec.RowsOf(any(x).([]float32), len(x)), 1, len(x))
		return
	}
	softmaxRow(dst, x)
}
