package limit

import (
	"fmt"
	"testing"
	"time"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/pool"
)

func TestLimitsArePlausible(t *testing.T) {
	for _, threads := range []int{1, 2} {
		p := pool.New(threads, new(arena.Arena))
		if f := FMA(p, 20*time.Millisecond); f < .05 || f > 1e5 {
			t.Errorf("%d threads: %v GFLOP/s", threads, f)
		}
		for _, size := range []int{1, 100 << 10, 8 << 20} {
			r, err := Read(p, size, 20*time.Millisecond)
			if err != nil || r < .05 || r > 1e5 {
				t.Errorf("%d threads, %d bytes: %v GB/s, %v", threads, size, r, err)
			}
		}
		if b := p.Arena().Stats().Blocks; b != 0 {
			t.Errorf("%d blocks left", b)
		}
		p.Close()
	}
}

func TestReadReportsNoMemory(t *testing.T) {
	a := new(arena.Arena)
	a.SetLimit(1000)
	p := pool.New(1, a)
	defer p.Close()
	if _, err := Read(p, 1<<20, time.Millisecond); err == nil {
		t.Error("no error")
	}
}

func BenchmarkLimits(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprint(threads, " threads"), func(b *testing.B) {
			p := pool.New(threads, new(arena.Arena))
			defer p.Close()
			for b.Loop() {
				b.ReportMetric(FMA(p, 200*time.Millisecond), "GFLOP/s")
				for name, bytes := range map[string]int{"L1": threads * 16 << 10, "L2": threads * 512 << 10, "L3": 16 << 20, "memory": 256 << 20} {
					speed, err := Read(p, bytes, 300*time.Millisecond)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(speed, name+"-GB/s")
				}
			}
		})
	}
}
