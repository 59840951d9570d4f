package limit

import (
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
		p := pool.New(threads, new(arena.Arena))
		var fma, l1, l2, l3, mem float64
		for b.Loop() {
			fma = FMA(p, 200*time.Millisecond)
			l1, _ = Read(p, threads*16<<10, 200*time.Millisecond)
			l2, _ = Read(p, threads*512<<10, 200*time.Millisecond)
			l3, _ = Read(p, 16<<20, 200*time.Millisecond)
			mem, _ = Read(p, 512<<20, time.Second)
		}
		b.Logf("%d threads: FMA %.1f GFLOP/s; read L1 %.0f, L2 %.0f, L3 %.0f, memory %.0f GB/s", threads, fma, l1, l2, l3, mem)
		p.Close()
	}
}
