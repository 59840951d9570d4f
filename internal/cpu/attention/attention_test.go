package attention

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/pool"
)

func newPool(t testing.TB, threads int) *pool.Pool {
	p := pool.New(threads, new(arena.Arena))
	t.Cleanup(p.Close)
	return p
}

// tensor makes [batch][head][row][column], or [batch][row][head][column] if mixed.
func tensor(r *rand.Rand, b, h, n, d int, mixed bool) ([]float32, Tensor) {
	x := make([]float32, b*h*n*d+1)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	if mixed {
		return x, Tensor{unsafe.Pointer(&x[0]), h * n * d, d, h * d}
	}
	return x, Tensor{unsafe.Pointer(&x[0]), h * n * d, n * d, d}
}

func (t Tensor) value(b, h, i, j int) float64 {
	return float64(*(*float32)(unsafe.Add(t.at(b, h, i), 4*j)))
}

// dense copies the rows of a head.
func (t Tensor) dense(b, h, rows, cols int) []float64 {
	d := make([]float64, rows*cols)
	for i := range rows {
		for j := range cols {
			d[i*cols+j] = t.value(b, h, i, j)
		}
	}
	return d
}

// dot is the inner loop of check, where the race detector would take most of the time.
//
//go:norace
func dot(x, y []float64, stride int) (sum float64) {
	for i, v := range x {
		sum += v * y[i*stride]
	}
	return sum
}

func check(t *testing.T, c *Call) {
	t.Helper()
	scale := float64(c.Scale)
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(c.Dim))
	}
	for b := range c.Batch {
		for h := range c.Heads {
			kv := h / (c.Heads / c.KVHeads)
			qs, ks, vs := c.Q.dense(b, h, c.Queries, c.Dim), c.K.dense(b, kv, c.Keys, c.Dim), c.V.dense(b, kv, c.Keys, c.ValueDim)
			for i := range c.Queries {
				s := make([]float64, c.Keys)
				top := math.Inf(-1)
				for j := range s {
					s[j] = scale * dot(qs[i*c.Dim:][:c.Dim], ks[j*c.Dim:], 1)
					if c.Mask.Data != nil {
						s[j] += c.Mask.value(b, h, i, j)
					}
					if c.Causal && j > i+c.Keys-c.Queries {
						s[j] = math.Inf(-1)
					}
					top = max(top, s[j])
				}
				sum := 0.0
				for j := range s {
					s[j] = math.Exp(s[j] - top)
					sum += s[j]
				}
				for k := range c.ValueDim {
					want := dot(s, vs[k:], c.ValueDim) / sum
					if math.IsInf(top, -1) {
						want = 0
					}
					if got := c.Out.value(b, h, i, k); !(math.Abs(got-want) < 1e-5) {
						t.Fatalf("q=%d k=%d causal=%v: out[%d,%d,%d,%d] = %v, want %v", c.Queries, c.Keys, c.Causal, b, h, i, k, got, want)
					}
				}
				if c.LogSumExp != nil {
					want := top + math.Log(sum)
					if math.IsInf(top, -1) {
						want = top
					}
					if got := float64(c.LogSumExp[(b*c.Heads+h)*c.Queries+i]); got != want && !(math.Abs(got-want) < 1e-4) {
						t.Fatalf("log-sum-exp %v, want %v", got, want)
					}
				}
			}
		}
	}
}

func TestAttention(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := newPool(t, 2)
	for _, s := range [][7]int{ // batch, heads, kv heads, queries, keys, dim, value dim
		{1, 1, 1, 1, 1, 1, 1}, {2, 4, 2, 5, 5, 8, 8}, {1, 2, 1, 1, 77, 64, 64}, {1, 2, 2, 3, 40, 17, 9}, {1, 1, 1, 70, 70, 64, 64},
		{1, 3, 3, 33, 65, 33, 16}, {1, 1, 1, 130, 600, 64, 32}, {1, 1, 1, 20, 5, 16, 16}, {2, 8, 1, 17, 31, 40, 40},
	} {
		for variant := range 8 {
			c := &Call{Batch: s[0], Heads: s[1], KVHeads: s[2], Queries: s[3], Keys: s[4], Dim: s[5], ValueDim: s[6], Causal: variant&1 == 1}
			mixed := variant&4 == 4
			var q, k, v, o, mask []float32
			q, c.Q = tensor(r, s[0], s[1], s[3], s[5], mixed)
			k, c.K = tensor(r, s[0], s[2], s[4], s[5], mixed)
			v, c.V = tensor(r, s[0], s[2], s[4], s[6], mixed)
			o, c.Out = tensor(r, s[0], s[1], s[3], s[6], mixed)
			if variant&2 == 2 {
				mask, c.Mask = tensor(r, 1, 1, s[3], s[4], false)
				c.Mask.Batch, c.Mask.Head = 0, 0
				for j := range s[4] {
					mask[j] = float32(math.Inf(-1)) // the first query sees nothing
				}
				c.LogSumExp = make([]float32, s[0]*s[1]*s[3])
				c.Scale = .3
			}
			for range 2 {
				if !c.Run(p, nil) {
					t.Fatal("not finished")
				}
				check(t, c)
			}
			_, _, _, _ = q, k, v, o
		}
	}
	if n := p.Arena().Stats().Blocks; n > 8 {
		t.Errorf("%d blocks left", n)
	}
}

func TestStop(t *testing.T) {
	p := newPool(t, 2)
	r := rand.New(rand.NewPCG(3, 4))
	c := &Call{Batch: 1, Heads: 2, KVHeads: 2, Queries: 50, Keys: 50, Dim: 16, ValueDim: 16}
	_, c.Q = tensor(r, 1, 2, 50, 16, false)
	c.K, c.V, c.Out = c.Q, c.Q, c.Q
	var stop atomic.Bool
	stop.Store(true)
	if c.Run(p, &stop) {
		t.Error("finished though stopped")
	}
	if n := p.Arena().Stats().Blocks; n > 4 {
		t.Errorf("%d blocks left", n)
	}
}

func TestReplayAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool allocate")
	}
	p := newPool(t, 2)
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 64} {
		c := &Call{Batch: 1, Heads: 2, KVHeads: 1, Queries: n, Keys: 64, Dim: 16, ValueDim: 16, Causal: true}
		_, c.Q = tensor(r, 1, 2, n, 16, false)
		_, c.K = tensor(r, 1, 1, 64, 16, false)
		c.V, c.Out = c.K, c.Q
		c.Run(p, nil)
		c.Run(p, nil)
		// The pools of frames may be emptied by the collector now and then.
		if a := testing.AllocsPerRun(50, func() { c.Run(p, nil) }); a > 1 {
			t.Errorf("%d queries: %v allocations", n, a)
		}
	}
}

func BenchmarkAttention(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 128, 512} {
		for _, causal := range []bool{false, true} {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("8x64/n=%d/causal=%v/threads=%d", n, causal, threads), func(b *testing.B) {
					p := newPool(b, threads)
					keys := max(n, 128)
					c := &Call{Batch: 1, Heads: 8, KVHeads: 8, Queries: n, Keys: keys, Dim: 64, ValueDim: 64, Causal: causal}
					_, c.Q = tensor(r, 1, 8, n, 64, false)
					_, c.K = tensor(r, 1, 8, keys, 64, false)
					_, c.V = tensor(r, 1, 8, keys, 64, false)
					_, c.Out = tensor(r, 1, 8, n, 64, false)
					for b.Loop() {
						c.Run(p, nil)
					}
				})
			}
		}
	}
}
