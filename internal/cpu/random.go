package cpu

import (
	"math"
	"math/bits"
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

func init() { register(compileRandom, op.Random) }

// compileRandom draws from a Threefry stream; key and counter come with the run.
func compileRandom(r *run, s *plan.Step) (kernel, error) {
	out := newResult(&s.Out[0])
	cost := 4 * float64(out.n)
	chunks := r.chunksFor(cost, out.n/64+1)
	var p unsafe.Pointer
	var d op.Draw
	f := func(i int, w *pool.Worker) {
		from, to := out.n/2*i/chunks*2, out.n/2*(i+1)/chunks*2
		if i == chunks-1 {
			to = out.n
		}
		draw(p, d, s.Out[0].DType, from, to, w)
	}
	return func() error {
		p, d = out.get(r), r.b.Draws[s.Draw].(op.Draw)
		r.split(chunks, cost, f)
		out.put(r, p)
		return nil
	}, nil
}

// drawnBlocks is how many blocks of random words are made at a time.
const drawnBlocks = 512

// draw writes elements from..to-1 of a draw; from is even. Floats of 32 bits are of a
// word each, and everything else of a block of two words.
func draw(p unsafe.Pointer, d op.Draw, dtype ir.DType, from, to int, w *pool.Worker) {
	scratch := w.Scratch(8 * drawnBlocks).Pointer()
	w0, w1 := slice[uint32](scratch, drawnBlocks), slice[uint32](unsafe.Add(scratch, 4*drawnBlocks), drawnBlocks)
	perBlock := 1
	if d.Dist != op.RandintDist && dtype != ir.F64 {
		perBlock = 2
	}
	for from < to {
		n := min(to-from, perBlock*drawnBlocks)
		blocks := (n + perBlock - 1) / perBlock
		w0, w1 := w0[:blocks], w1[:blocks]
		vec.Threefry(w0, w1, d.Key, d.Counter+uint64(from/perBlock))
		switch {
		case d.Dist == op.RandintDist:
			typed(dtype, integers[float32], integers[float64], integers[int32], integers[int64], integers[uint8])(p, from, w0, w1, d)
		case dtype == ir.F64:
			doubles(slice[float64](p, from+n)[from:], w0, w1, d.Dist)
		case d.Dist == op.UniformDist:
			uniforms(slice[float32](p, from+n)[from:], w0, w1)
		default:
			normals(slice[float32](p, from+n)[from:], w0, w1)
		}
		from += n
	}
}

// integers writes numbers from Lo to Hi-1: the high half of a product with a block.
func integers[T number](p unsafe.Pointer, from int, w0, w1 []uint32, d op.Draw) {
	x, span := slice[T](p, from+len(w0))[from:], uint64(d.Hi-d.Lo)
	for i := range x {
		hi, _ := bits.Mul64(uint64(w0[i])<<32|uint64(w1[i]), span)
		x[i] = T(d.Lo + int64(hi))
	}
}

func doubles(x []float64, w0, w1 []uint32, dist op.Dist) {
	for i := range x {
		w := (uint64(w0[i])<<32 | uint64(w1[i])) >> 11
		if dist == op.UniformDist {
			x[i] = float64(w) * 0x1p-53
		} else {
			x[i] = math.Sqrt2 * math.Erfinv(2*(float64(w)+0.5)*0x1p-53-1)
		}
	}
}

// uniforms writes numbers of [0, 1) from the words in turn.
func uniforms(x []float32, w0, w1 []uint32) {
	const unit = 0x1p-24
	pairs := len(x) / 2
	for i, a := range w0[:pairs] {
		y := x[2*i : 2*i+2 : 2*i+2]
		y[0], y[1] = float32(a>>8)*unit, float32(w1[i]>>8)*unit
	}
	if pairs < len(w0) {
		x[2*pairs] = float32(w0[pairs]>>8) * unit
	}
}

// normals writes normal numbers from the words in turn.
func normals(x []float32, w0, w1 []uint32) {
	words := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
	pairs := len(x) / 2
	for i, a := range w0[:pairs] {
		y := words[2*i : 2*i+2 : 2*i+2]
		y[0], y[1] = a, w1[i]
	}
	if pairs < len(w0) {
		words[2*pairs] = w0[pairs]
	}
	vec.Normals(x, words)
}
