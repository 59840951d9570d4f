package suites

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"loris/internal/eval"

	lt "loris/tensorlib"
)

// contestant is timed in turn with others: each round takes one sample of each.
type contestant struct {
	name   string
	sample func() (float64, error) // microseconds of one run, or GFLOP/s or GB/s of a limit
}

const (
	minSample = 8 * time.Millisecond
	// minBatch is long enough for the clock, and short enough to find a moment without
	// other programs: they disturb a batch or they do not.
	minBatch = 200 * time.Microsecond
	// warmUp is how long a contestant runs before its sample: a virtual machine's
	// core that was idle can take milliseconds to come back.
	warmUp = 10 * time.Millisecond
	// pause lets the threads of the contestant before go to sleep: they spin for a
	// while after their work, OpenBLAS's for 2²⁶ cycles.
	pause = 30 * time.Millisecond
)

// contest returns the samples of each contestant, one per round; a contestant
// that fails is reported and left out from then on.
func contest(ctx context.Context, rounds int, list []contestant, failed func(name string, err error)) ([][]float64, error) {
	samples := make([][]float64, len(list))
	out := make([]bool, len(list))
	for range rounds {
		for i, c := range list {
			if out[i] {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			v, err := c.sample()
			if err != nil {
				failed(c.name, err)
				out[i], samples[i] = true, nil
				continue
			}
			samples[i] = append(samples[i], v)
			time.Sleep(pause)
		}
	}
	return samples, nil
}

// ours times a computation of the library. Results are released within the
// time, as the peers' reference counts do.
func ours(name string, run func() *lt.Tensor) contestant {
	once := func() { run().Eval() }
	return timed(name, func() { eval.Recycle(once) })
}

// timed samples a function in this process: the time of one run in the fastest batch
// of at least minBatch within minSample, after a warm-up that wakes threads and fills
// caches, as for the peers.
func timed(name string, run func()) contestant {
	runs := 1
	return contestant{name, func() (us float64, err error) {
		err = lt.Try(func() {
			for begin := time.Now(); time.Since(begin) < warmUp; {
				run()
			}
			best := math.Inf(1)
			for first := time.Now(); ; {
				begin := time.Now()
				for range runs {
					run()
				}
				d := time.Since(begin)
				if d < minBatch {
					runs = max(runs+1, int(float64(runs)*1.2*float64(minBatch)/float64(max(d, time.Microsecond))))
					continue
				}
				best = min(best, float64(d.Nanoseconds())/1e3/float64(runs))
				if time.Since(first) >= minSample {
					us = best
					return
				}
			}
		})
		return us, err
	}}
}

// ratios divides sample by sample: both were taken in the same round.
func ratios(a, b []float64) []float64 {
	n := min(len(a), len(b))
	out := make([]float64, n)
	for i := range n {
		out[i] = a[i] / b[i]
	}
	return out
}

// share is the part of the limit that runs of a cost reach: the fastest sample
// by the highest limit, which is the highest speed seen, too. Whatever else the
// machine does in between slows both.
func share(cost float64, us, limit []float64) *float64 {
	if cost == 0 || len(limit) == 0 || len(us) == 0 {
		return nil
	}
	s := cost / slices.Min(us) / 1e3 / slices.Max(limit) // per µs / 1e3 = G per second
	return &s
}

func shareText(s *float64) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *s)
}
