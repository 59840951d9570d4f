package collector

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 1600, 4 << 20: 1600, 16 << 20: 400, 64 << 20: 100, 1 << 30: 100} {
		if got := percent(live); got != want {
			t.Errorf("percent(%d MiB) = %d, want %d", live>>20, got, want)
		}
	}
}

var sink []byte

func TestPaceCollectsSmallHeapsRarely(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	collections := func() (n uint32) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 512 { // 512 MiB of garbage
			sink = make([]byte, 1<<20)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	usual := collections()
	Pace()
	runtime.GC()
	time.Sleep(20 * time.Millisecond) // the cleanup runs after the collection
	if paced := collections(); paced == 0 || paced > 12 || usual < 2*paced {
		t.Errorf("%d collections of 512 MiB of garbage with the usual pace, %d with ours; want about 8", usual, paced)
	}
}
