// Package collector sets the pace of the garbage collector. Go collects a heap of
// 4 MB each time it doubles; beside computations that leave a few kilobytes of
// graph each 10 µs that is a hundred times a second, and every time the
// collector's threads take cores from kernels.
package collector

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// growth is how much a heap may grow between collections, if that is more than
// its own size.
const growth = 64 << 20

var started atomic.Bool

// Pace lets the heap grow by growth or by its own size, whichever is more,
// before it is collected. GOGC in the environment overrides it, as does a
// memory limit (GOMEMLIMIT) when it comes near. It is for programs, not libraries.
func Pace() {
	if os.Getenv("GOGC") == "" && started.CompareAndSwap(false, true) {
		follow(nil)
	}
}

// sentinel is garbage as soon as it is made: its cleanup tells of a collection.
type sentinel struct{ _ *int }

// follow sets the percentage for the heap that is live now, and again after the next collection.
func follow(*int) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(percent(live[0].Value.Uint64()))
	runtime.AddCleanup(&sentinel{}, follow, nil)
}

// percent is the GC percentage with which a heap of live bytes grows by growth.
func percent(live uint64) int {
	return int(math.Ceil(max(100, 100*growth/max(float64(live), 4<<20))))
}
