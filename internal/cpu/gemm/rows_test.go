package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"loris/internal/cpu/limit"
)

// BenchmarkFewRows reports products of few rows, which read each weight once or a few
// times, as shares of what reading the weights alone takes: the best time of many runs,
// interleaved. Run it with -benchtime 1x.
func BenchmarkFewRows(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) { benchmarkFewRows(b, threads) })
	}
}

func benchmarkFewRows(b *testing.B, threads int) {
	type work struct {
		name  string
		bytes int
		run   func()
		best  float64
	}
	var all []*work
	r := rand.New(rand.NewPCG(1, 1))
	p := newPool(b, threads)
	for _, s := range [][2]int{{64, 64}, {512, 512}, {512, 2000}, {2048, 2048}, {2048, 8192}} {
		k, n := s[0], s[1]
		w, err := p.Arena().Alloc(4 * k * n) // huge pages, as the weights of a model have
		if err != nil {
			b.Fatal(err)
		}
		copy(w.Float32s(), random(r, k*n))
		panels, err := Pack(p, Slice(w.Float32s(), n), k, n)
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range []int{1, 2, 3, 4, 6, 8, 15} {
			for _, term := range []struct {
				name string
				Term
			}{
				{"by input", Term{B: Slice(w.Float32s(), n)}},
				{"by output", Term{B: Slice(w.Float32s(), k).T()}},
				{"packed", Term{B: Slice(w.Float32s(), n), Packed: panels}},
			} {
				term.A, term.K = Slice(random(r, m*k), k), k
				c := &Call{M: m, N: n, C: Slice(make([]float32, m*n), n), Terms: []Term{term.Term}}
				all = append(all, &work{fmt.Sprintf("%dx%dx%d %s", m, n, k, term.name), w.Size(), func() { c.Run(p, nil) }, math.Inf(1)})
			}
		}
	}
	limits := map[int]float64{}
	for b.Loop() {
		for range 12 {
			for i, w := range all {
				if i%7 == 0 || all[i-1].bytes != w.bytes {
					speed, err := limit.Read(p, w.bytes, 8*time.Millisecond)
					if err != nil {
						b.Fatal(err)
					}
					limits[w.bytes] = max(limits[w.bytes], speed)
				}
				for end := time.Now().Add(6 * time.Millisecond); ; {
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
	for _, w := range all {
		least := float64(w.bytes) / limits[w.bytes]
		fmt.Printf("%d %-26s %9.1f us, of %9.1f us to read: share %.2f\n", threads, w.name, w.best/1e3, least/1e3, least/w.best)
	}
}
