package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"loris/internal/cpu/limit"
)

// BenchmarkShares reports, for each shape, the best time of many runs, interleaved
// with the others, as a share of the multiply-add limit measured in the same rounds.
// Run it with -benchtime 1x; the metrics are in the log.
func BenchmarkShares(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) { benchmarkShares(b, threads) })
	}
}

func benchmarkShares(b *testing.B, threads int) {
	type work struct {
		name string
		flop float64
		run  func()
		best float64
	}
	r := rand.New(rand.NewPCG(1, 1))
	p := newPool(b, threads)
	var all []*work
	mul := func(name string, m, n, k int, packed bool, ta, tb bool) {
		x, w, y := random(r, m*k), random(r, k*n), make([]float32, m*n)
		a, bm := Slice(x, k), Slice(w, n)
		if ta {
			a = Slice(x, m).T()
		}
		if tb {
			bm = Slice(w, k).T()
		}
		c := &Call{M: m, N: n, C: Slice(y, n), Terms: []Term{{A: a, B: bm, K: k}}, BFloat16: name == "medium"}
		switch {
		case packed && c.Rounds():
			c.Terms[0].Packed = new(PackedB)
			if err := c.Terms[0].Packed.LoadRounded(p.Arena(), bm, k, n); err != nil {
				b.Fatal(err)
			}
		case packed:
			c.Terms[0].Packed, _ = Pack(p, bm, k, n)
		}
		all = append(all, &work{name: fmt.Sprintf("%s %dx%dx%d", name, m, n, k), flop: 2 * float64(m*n*k), run: func() { c.Run(p, nil) }})
	}
	lora := func(m, n, k, rank int) {
		x, w, a, bb, y, xa := random(r, m*k), random(r, k*n), random(r, k*rank), random(r, rank*n), make([]float32, m*n), make([]float32, m*rank)
		first := &Call{M: m, N: rank, C: Slice(xa, rank), Terms: []Term{{A: Slice(x, k), B: Slice(a, k).T(), K: k, Alpha: 1}}}
		second := &Call{M: m, N: n, C: Slice(y, n), Terms: []Term{{A: Slice(x, k), K: k}, {A: Slice(xa, rank), B: Slice(bb, n), K: rank}}}
		second.Terms[0].Packed, _ = Pack(p, Slice(w, n), k, n)
		all = append(all, &work{name: fmt.Sprintf("lora %dx%dx%d r%d", m, n, k, rank), flop: 2*float64(m*n*k) + 2*float64(m*rank*(n+k)), run: func() {
			first.Run(p, nil)
			second.Run(p, nil)
		}})
	}
	lora(64, 512, 512, 8)
	lora(63, 500, 510, 5)
	lora(256, 2048, 2048, 16)
	mul("packed", 64, 512, 512, true, false, false)
	mul("packed", 1024, 1024, 1024, true, false, false)
	mul("packed", 256, 2048, 2048, true, false, false)
	mul("medium", 64, 512, 512, true, false, false)
	mul("medium", 1024, 1024, 1024, true, false, false)
	mul("plain", 64, 512, 512, false, false, false)
	mul("plain", 63, 511, 513, false, false, false)
	mul("plain", 1024, 1024, 1024, false, false, false)
	mul("plain", 4096, 64, 512, false, false, false)
	mul("plain", 16, 4096, 512, false, false, false)
	mul("plain", 100, 300, 70, false, false, false)
	mul("plain", 37, 37, 37, false, false, false)
	mul("B transposed", 64, 512, 512, false, false, true)
	mul("B transposed", 1024, 1024, 1024, false, false, true)
	mul("A transposed", 512, 512, 64, false, true, false)
	mul("A transposed", 1024, 1024, 1024, false, true, false)
	mul("A transposed", 8, 512, 64, false, true, false)
	mul("thin", 64, 8, 512, false, false, true)
	mul("thin", 64, 8, 512, false, false, false)
	mul("thin", 512, 3, 512, false, false, true)
	mul("row", 1, 2048, 2048, false, false, false)
	mul("row", 1, 2048, 2048, false, false, true)
	mul("row packed", 1, 2048, 2048, true, false, false)
	for _, w := range all {
		w.best = math.Inf(1)
		w.run()
	}
	peak := 0.0
	for b.Loop() {
		for range 12 {
			peak = max(peak, limit.FMA(p, 10*time.Millisecond))
			for _, w := range all {
				for end := time.Now().Add(8 * time.Millisecond); ; {
					start := time.Now()
					w.run()
					w.best = min(w.best, float64(time.Since(start).Nanoseconds()))
					if time.Now().After(end) {
						break
					}
				}
			}
		}
	}
	b.Logf("%d threads, %s, limit %.1f GFLOP/s", threads, KernelName(), peak)
	for _, w := range all {
		fmt.Printf("%d %-28s %9.2f us %7.1f GFLOP/s  share %.3f\n", threads, w.name, w.best/1e3, w.flop/w.best, w.flop/w.best/peak)
	}
}
