package tensorlib

import (
	"fmt"
	"hash/fnv"
	"sync/atomic"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/threefry"
)

// Rand is a stream of random numbers: Threefry-2x32 with 20 rounds (Salmon et
// al. 2011) in counter mode. Each draw takes its stretch of the stream when the
// op is built, so that neither the order of evaluation nor the device nor a
// recomputation changes a value; a seed always gives the same numbers.
// It is safe for concurrent use.
type Rand struct {
	key     [2]uint32
	counter atomic.Uint64
}

// NewRand returns the stream of a seed.
func NewRand(seed int) *Rand {
	return &Rand{key: [2]uint32{uint32(uint64(seed) >> 32), uint32(seed)}}
}

// defaultRand is the stream of layers and draws that are given none.
var defaultRand atomic.Pointer[Rand]

func init() { Seed(0) }

// Seed restarts the default stream, which begins with seed 0.
func Seed(seed int) { defaultRand.Store(NewRand(seed)) }

// DefaultRand returns the default stream; it serves where a nil *Rand is given.
func DefaultRand() *Rand { return defaultRand.Load() }

func (r *Rand) or() *Rand {
	if r == nil {
		return DefaultRand()
	}
	return r
}

// draw takes a stretch of the stream for one tensor.
func (r *Rand) draw(name string, id ir.Op, d op.Draw) *Tensor {
	r = r.or()
	if e := op.CheckShape(d.Shape); e != nil {
		op.Raise(name, e)
	}
	d = r.next(d)
	return via(id, wrap(op.Apply(op.Random, d)))
}

// next gives d the next stretch of the stream.
func (r *Rand) next(d op.Draw) op.Draw {
	size := uint64(d.Shape.Size())
	blocks := (size + 1) / 2
	if d.Dist == op.RandintDist || d.DType == F64 {
		blocks = size
	}
	d.Key = r.key
	d.Counter = r.counter.Add(blocks) - blocks
	if tracing.Load() > 0 {
		d.Redraw = r.next
	}
	return d
}

// Normal draws f32 numbers from the standard normal distribution.
func (r *Rand) Normal(shape ...int) *Tensor {
	return r.draw("Normal", op.Normal, op.Draw{Shape: append(Shape(nil), shape...), DType: F32, Dist: op.NormalDist})
}

// Uniform draws f32 numbers from [lo, hi).
func (r *Rand) Uniform(lo, hi float64, shape ...int) *Tensor {
	u := r.draw("Uniform", op.Uniform, op.Draw{Shape: append(Shape(nil), shape...), DType: F32, Dist: op.UniformDist})
	if lo == 0 && hi == 1 {
		return u
	}
	return via(op.Uniform, u.Mul(hi-lo).Add(lo))
}

// Randint draws integers (i64) from lo … hi-1.
func (r *Rand) Randint(lo, hi int, shape ...int) *Tensor {
	if lo >= hi {
		fail("Randint", ir.CodeValue, nil, "no integers lie in [%d, %d)", lo, hi)
	}
	return r.draw("Randint", op.Randint, op.Draw{Shape: append(Shape(nil), shape...), DType: I64, Dist: op.RandintDist, Lo: int64(lo), Hi: int64(hi)})
}

// Bernoulli draws bools that are true with probability p.
func (r *Rand) Bernoulli(p float64, shape ...int) *Tensor {
	if !(p >= 0 && p <= 1) {
		fail("Bernoulli", ir.CodeValue, nil, "p = %v is not between 0 and 1", p)
	}
	return via(op.Bernoulli, r.draw("Bernoulli", op.Bernoulli, op.Draw{Shape: append(Shape(nil), shape...), DType: F32, Dist: op.UniformDist}).Lt(p))
}

// Categorical draws a class (i64) for each row of logits [… classes], with
// probability softmax(logits), by the Gumbel-max trick.
func (r *Rand) Categorical(logits *Tensor) *Tensor {
	const name = "Categorical"
	n := logits.floating(name).n(name)
	if len(n.Shape) == 0 {
		fail(name, ir.CodeShape, n, "the logits are a scalar; an axis of classes is needed")
	}
	u := r.draw(name, op.Categorical, op.Draw{Shape: n.Shape, DType: F32, Dist: op.UniformDist})
	// u + 2⁻²⁵ is never 0.
	gumbel := u.Add(0x1p-25).Log().Neg().Log().Neg()
	return via(op.Categorical, logits.Cast(F32).Add(gumbel).ArgMax(-1))
}

// Permutation returns the numbers 0 … n-1 (i64) in random order.
func (r *Rand) Permutation(n int) *Tensor {
	keys := r.draw("Permutation", op.Permutation, op.Draw{Shape: Shape{n}, DType: I64, Dist: op.RandintDist, Hi: 1 << 62})
	return via(op.Permutation, keys.ArgSort())
}

// Split returns n independent streams and advances this one.
func (r *Rand) Split(n int) []*Rand {
	if n < 0 || n > 1<<24 {
		fail("Split", ir.CodeValue, nil, "%d streams; 0 … 2^24 are possible", n)
	}
	r = r.or()
	first := r.counter.Add(uint64(n)) - uint64(n)
	out := make([]*Rand, n)
	for i := range out {
		out[i] = r.derived(first+uint64(i), 1)
	}
	return out
}

// Fold returns the stream that belongs to a name or number. It depends on the
// seed and the name only, not on what was drawn before.
func (r *Rand) Fold(name any) *Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%T:%v", name, name)
	return r.or().derived(h.Sum64(), 2)
}

// derived makes a key from a block of another stream: kind tells apart what
// draws, Split and Fold use.
func (r *Rand) derived(counter uint64, kind uint32) *Rand {
	k0, k1 := threefry.Block([2]uint32{r.key[0] ^ kind*0x9E3779B9, r.key[1] ^ kind*0x85EBCA6B}, uint32(counter), uint32(counter>>32))
	return &Rand{key: [2]uint32{k0, k1}}
}

// State returns the key and the position, which SetState restores: with them a
// run continues with the numbers it would have drawn.
func (r *Rand) State() (key [2]uint32, counter uint64) {
	r = r.or()
	return r.key, r.counter.Load()
}

// SetState restores what State returned.
func (r *Rand) SetState(key [2]uint32, counter uint64) {
	r = r.or()
	r.key = key
	r.counter.Store(counter)
}
