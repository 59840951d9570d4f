package cpu

import (
	"math"
	"sync"
	"time"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/limit"
	"loris/internal/cpu/pool"
	"loris/internal/plan"
)

// roof is what this machine can do, measured once.
type roof struct {
	flops float64    // per nanosecond
	reads [3]float64 // bytes per nanosecond out of second and third level caches and memory
}

var measuredRoof = sync.OnceValue(func() roof {
	p, within := pool.Default(), 4*time.Millisecond
	c := feature.Cache()
	r := roof{flops: limit.FMA(p, within)}
	for i, bytes := range [3]int{c.L2 / 2 * p.Threads(), c.L3 / 2, 2 * max(c.L3, 16<<20)} {
		speed, err := limit.Read(p, max(bytes, 64<<10), within)
		if err != nil {
			speed = math.Inf(1)
		}
		r.reads[i] = speed
	}
	return r
})

// LeastNanos implements plan.Limiter, with the speed of the smallest cache that holds
// all that a step touches. Pairs of bfloat16 are multiplied in the time of one float32.
func (d *Device) LeastNanos(flops, bytes int64, p plan.Precision) float64 {
	r, c := measuredRoof(), feature.Cache()
	read := r.reads[2]
	switch {
	case bytes <= int64(c.L2*d.pool.Threads()):
		read = r.reads[0]
	case bytes <= int64(c.L3):
		read = r.reads[1]
	}
	if _, fast := feature.BFloat16(); fast && p == plan.Medium {
		flops /= 2
	}
	return max(float64(flops)/r.flops, float64(bytes)/read)
}
