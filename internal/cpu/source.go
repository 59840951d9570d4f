package cpu

import (
	"unsafe"

	"loris/internal/op"
	"loris/internal/plan"
)

func init() {
	register(compileIota, op.Iota)
}

// compileIota writes start + i·step along an axis.
func compileIota(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Range)
	out := newResult(&s.Out[0])
	inner := s.Out[0].Shape[a.Axis+1:].Size()
	size := s.Out[0].Shape[a.Axis]
	f := typed(s.Out[0].DType, iota1[float32], iota1[float64], iota1[int32], iota1[int64], iota1[uint8])
	return func() error {
		p := out.get(r)
		f(p, out.n, inner, size, a)
		out.put(r, p)
		return nil
	}, nil
}

func iota1[T number](p unsafe.Pointer, n, inner, size int, a op.Range) {
	d := slice[T](p, n)
	for i := range d {
		d[i] = convert[T](a.Start + float64(i/inner%size)*a.Step)
	}
}

// convert rounds a float64 to T as Cast does.
func convert[T number](v float64) T {
	switch any(T(0)).(type) {
	case int32:
		return T(toInt[int32](v))
	case int64:
		return T(toInt[int64](v))
	case uint8:
		return T(toInt[uint8](v))
	}
	return T(v)
}
