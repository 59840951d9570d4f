package cpu

import (
	"math"
	"math/bits"
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

func init() {
	register(compileIota, op.Iota)
	register(compileRandom, op.Random)
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

// compileRandom draws from a Threefry stream; key and counter come with the run.
func compileRandom(r *run, s *plan.Step) (kernel, error) {
	out := newResult(&s.Out[0])
	cost := 8 * float64(out.n)
	chunks := r.chunksFor(cost, out.n/64+1)
	var p unsafe.Pointer
	var d op.Draw
	f := func(i int, _ *pool.Worker) {
		from, to := out.n/2*i/chunks*2, out.n/2*(i+1)/chunks*2
		if i == chunks-1 {
			to = out.n
		}
		draw(p, d, s.Out[0].DType, from, to)
	}
	return func() error {
		p, d = out.get(r), r.b.Draws[s.Draw].(op.Draw)
		r.split(chunks, cost, f)
		out.put(r, p)
		return nil
	}, nil
}

// draw writes elements from..to-1 of a draw; from is even.
func draw(p unsafe.Pointer, d op.Draw, dtype ir.DType, from, to int) {
	block := func(b uint64) uint64 {
		w0, w1 := op.Threefry(d.Key, uint32(b), uint32(b>>32))
		return uint64(w0)<<32 | uint64(w1)
	}
	switch {
	case d.Dist == op.RandintDist:
		span := uint64(d.Hi - d.Lo)
		store := typed(dtype, put[float32], put[float64], put[int32], put[int64], put[uint8])
		for i := from; i < to; i++ {
			hi, _ := bits.Mul64(block(d.Counter+uint64(i)), span)
			store(p, i, d.Lo+int64(hi))
		}
	case dtype == ir.F64:
		x := slice[float64](p, to)
		for i := from; i < to; i++ {
			w := block(d.Counter+uint64(i)) >> 11
			if d.Dist == op.UniformDist {
				x[i] = float64(w) * 0x1p-53
			} else {
				x[i] = math.Sqrt2 * math.Erfinv(2*(float64(w)+0.5)*0x1p-53-1)
			}
		}
	default:
		x := slice[float32](p, to)
		for i := from; i < to; i += 2 {
			w := block(d.Counter + uint64(i/2))
			for k, u := range [2]uint32{uint32(w >> 32), uint32(w)} {
				if i+k >= to {
					break
				}
				if d.Dist == op.UniformDist {
					x[i+k] = float32(u>>8) * 0x1p-24
				} else {
					x[i+k] = float32(math.Sqrt2 * math.Erfinv(2*(float64(u>>8)+0.5)*0x1p-24-1))
				}
			}
		}
	}
}

func put[T number](p unsafe.Pointer, i int, v int64) {
	*(*T)(unsafe.Add(p, i*int(unsafe.Sizeof(T(0))))) = T(v)
}
