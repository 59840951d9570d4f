package pool

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loris/internal/cpu/arena"
)

const long = 1e9 // a cost that wakes everybody

func newPool(t testing.TB, threads int) *Pool {
	p := New(threads, new(arena.Arena))
	t.Cleanup(p.Close)
	return p
}

func TestEachChunkOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		p := newPool(t, threads)
		for _, n := range []int{0, 1, 2, 7, 1000, 200000} {
			seen := make([]atomic.Int32, n)
			jobs := 20
			if n > 10000 {
				jobs = 2
			}
			for range jobs {
				if !p.Run(n, long, nil, func(i int, w *Worker) { seen[i].Add(1) }) {
					t.Fatal("not finished")
				}
			}
			for i := range seen {
				if c := seen[i].Load(); c != int32(jobs) {
					t.Fatalf("%d threads, %d chunks: chunk %d ran %d times", threads, n, i, c)
				}
			}
		}
	}
}

func TestManySmallJobs(t *testing.T) {
	p := newPool(t, 4)
	var sum atomic.Int64
	fn := func(i int, w *Worker) { sum.Add(int64(i)) }
	for range 20000 {
		p.Run(5, long, nil, fn)
	}
	if sum.Load() != 20000*10 {
		t.Errorf("sum %d", sum.Load())
	}
}

func TestWorkersHelpAfterSleep(t *testing.T) {
	p := newPool(t, 2)
	time.Sleep(20 * time.Millisecond)
	var other atomic.Bool
	for range 50 {
		p.Run(2, long, nil, func(i int, w *Worker) {
			other.Store(other.Load() || w.ID == 1)
			time.Sleep(time.Millisecond)
		})
	}
	if !other.Load() {
		t.Error("the worker never woke")
	}
}

func TestStop(t *testing.T) {
	for _, threads := range []int{1, 2} {
		p := newPool(t, threads)
		var stop atomic.Bool
		var ran atomic.Int32
		ok := p.Run(1000, long, &stop, func(i int, w *Worker) {
			if ran.Add(1) == 10 {
				stop.Store(true)
			}
		})
		if ok || ran.Load() > 10+int32(threads) {
			t.Errorf("ok %v after %d chunks", ok, ran.Load())
		}
	}
}

func TestPanicReachesCaller(t *testing.T) {
	p := newPool(t, 2)
	cause := errors.New("boom")
	for try := range 100 {
		func() {
			defer func() {
				if err, ok := recover().(*Panic); !ok || !errors.Is(err, cause) {
					t.Fatalf("recovered %v", err)
				}
			}()
			p.Run(8, float64(try%2)*long, nil, func(i int, w *Worker) {
				if i == 6 {
					panic(cause)
				}
			})
		}()
	}
	if !p.Run(4, long, nil, func(int, *Worker) {}) {
		t.Error("pool is broken after a panic")
	}
}

func TestConcurrentCallersAndNesting(t *testing.T) {
	p := newPool(t, 3)
	var wg sync.WaitGroup
	var total atomic.Int64
	for range 6 {
		wg.Go(func() {
			for range 200 {
				p.Run(6, long, nil, func(i int, w *Worker) {
					p.Run(3, long, nil, func(int, *Worker) { total.Add(1) })
				})
			}
		})
	}
	wg.Wait()
	if total.Load() != 6*200*18 {
		t.Errorf("total %d", total.Load())
	}
}

func TestReplayAllocatesNothing(t *testing.T) {
	p := newPool(t, 2)
	var x [64]int
	fn := func(i int, w *Worker) { w.Scratch(1000); x[i]++ }
	p.Run(64, long, nil, fn)
	if n := testing.AllocsPerRun(1000, func() { p.Run(64, long, nil, fn) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestScratchGrows(t *testing.T) {
	p := newPool(t, 1)
	p.Run(3, 0, nil, func(i int, w *Worker) {
		if b := w.Scratch(100 << (8 * i)); len(b.Bytes()) < 100<<(8*i) {
			t.Error("too small")
		}
	})
	if s := p.Arena().Stats(); s.Blocks != 1 {
		t.Errorf("%+v", s)
	}
}

func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	p := New(4, new(arena.Arena))
	p.Run(8, long, nil, func(int, *Worker) {})
	p.Close()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(end) {
			t.Fatal("workers live on")
		}
		time.Sleep(time.Millisecond)
	}
	if !p.Run(8, long, nil, func(int, *Worker) {}) {
		t.Error("a closed pool does not run")
	}
}

// BenchmarkHandOff splits spinning in two; ideal is half of the serial time.
func BenchmarkHandOff(b *testing.B) {
	for _, turns := range []int{12, 250} {
		work := func(int, *Worker) {
			for range turns {
				pause(10)
			}
		}
		for _, c := range []struct {
			name string
			cost float64
		}{{"serial", 0}, {"split", long}} {
			b.Run(fmt.Sprintf("%s/%d", c.name, turns), func(b *testing.B) {
				p := New(2, new(arena.Arena))
				defer p.Close()
				for b.Loop() {
					p.Run(2, c.cost, nil, work)
				}
			})
		}
	}
}

// BenchmarkAfterIdle times a job of two chunks of some 100 µs once the worker sleeps:
// ideal is one chunk.
func BenchmarkAfterIdle(b *testing.B) {
	p := New(2, new(arena.Arena))
	defer p.Close()
	work := func(int, *Worker) {
		for end := time.Now().Add(100 * time.Microsecond); time.Now().Before(end); {
			pause(10)
		}
	}
	var times []float64
	for b.Loop() {
		b.StopTimer()
		time.Sleep(5 * time.Millisecond)
		b.StartTimer()
		start := time.Now()
		p.Run(2, long, nil, work)
		times = append(times, float64(time.Since(start).Nanoseconds())/1e3)
	}
	slices.Sort(times)
	b.ReportMetric(times[len(times)/2], "median-µs")
	b.ReportMetric(times[len(times)*9/10], "p90-µs")
}
