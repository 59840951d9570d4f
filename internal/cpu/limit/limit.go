// Package limit measures what this machine can do at most: multiply-adds per
// second and bytes read per second, on any number of threads. Reports divide a
// kernel's speed by these.
package limit

//go:generate go run loris/internal/cpu/asmgen limit

import (
	"math"
	"time"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/pool"
)

// loops is what a level is measured with.
type loops struct {
	fma    func(turns int)
	chains int // multiply-adds in flight, each of the level's lanes
	read   func(p unsafe.Pointer, bytes int)
}

func loopsFor(l feature.Level) loops {
	if x, ok := levels[l]; ok {
		return x
	}
	return loops{fmaGeneric, 8, readGeneric}
}

const forever = 1e12 // a cost that wakes all workers

// FMA returns the highest speed of float32 multiply-adds seen within the given
// time, in operations (two each) per nanosecond, that is in GFLOP/s, with all
// threads of the pool at once.
func FMA(p *pool.Pool, within time.Duration) float64 {
	l := loopsFor(feature.Active())
	turns := 4000 * feature.Active().Lanes() / 16
	turns = max(turns, 500)
	chunks := p.Threads()
	job := func(int, *pool.Worker) { l.fma(turns) }
	best := fastest(p, within, chunks, job)
	return 2 * float64(chunks*turns*l.chains*feature.Active().Lanes()) / best
}

// Read returns the highest speed of reading a block of memory over and over, in
// GB/s, with all threads of the pool at once, each on its own part. Blocks that
// fit a cache give that cache's speed.
func Read(p *pool.Pool, bytes int, within time.Duration) (float64, error) {
	const unit = 512
	part := bytes / p.Threads() / unit * unit
	part = max(part, unit)
	mem, err := p.Arena().Alloc(part * p.Threads())
	if err != nil {
		return 0, err
	}
	defer p.Arena().Free(mem)
	clear(mem.Bytes())
	l := loopsFor(feature.Active())
	rounds := max(1, 200_000/part)
	job := func(chunk int, _ *pool.Worker) {
		at := unsafe.Add(mem.Pointer(), chunk*part)
		for range rounds {
			for o := 0; o < part; o += 1 << 20 { // short calls
				l.read(unsafe.Add(at, o), min(1<<20, part-o))
			}
		}
	}
	best := fastest(p, within, p.Threads(), job)
	return float64(part*rounds*p.Threads()) / best, nil
}

// fastest returns the shortest time of the job in nanoseconds.
func fastest(p *pool.Pool, within time.Duration, chunks int, job pool.Func) float64 {
	best := math.Inf(1)
	for end := time.Now().Add(within); ; {
		start := time.Now()
		p.Run(chunks, forever, nil, job)
		best = min(best, float64(time.Since(start).Nanoseconds()))
		if time.Now().After(end) {
			return max(best, 1)
		}
	}
}

func fmaGeneric(turns int) {
	var a [8]float32
	x, y := sink, sink
	for range turns {
		for i := range a {
			a[i] += x * y
		}
	}
	if a[0] != 0 {
		panic("limit: 0·0 is not 0")
	}
}

var sink float32

func readGeneric(p unsafe.Pointer, bytes int) {
	var sum uint64
	for _, v := range unsafe.Slice((*uint64)(p), bytes/8) {
		sum |= v
	}
	if sum != 0 {
		panic("limit: the block is not zero")
	}
}
