package interp

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/mem"

	"loris/interp/magic"
)

// limited applies the session's limits to a context. why says, after the cell
// was interrupted, whether a limit did it.
func (s *Session) limited(ctx context.Context) (limited context.Context, why func() *CellError, done func()) {
	s.state.Lock()
	limits := s.limits
	s.state.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var reason atomic.Pointer[string]
	stop := func(text string) {
		reason.CompareAndSwap(nil, &text)
		cancel()
	}
	var timer *time.Timer
	if limits.Time > 0 {
		timer = time.AfterFunc(limits.Time, func() { stop("the cell ran for longer than the limit of " + limits.Time.String()) })
	}
	if limits.Memory > 0 {
		go watchMemory(ctx, limits.Memory, func() { stop("the session uses more memory than the limit: " + limits.String()) })
	}
	why = func() *CellError {
		if text := reason.Load(); text != nil {
			return &CellError{Name: "LimitExceeded", Value: *text, Traceback: []string{*text, "%limit shows and changes limits; variables keep their values"}}
		}
		return nil
	}
	return ctx, why, func() {
		if timer != nil {
			timer.Stop()
		}
		cancel()
	}
}

// watchMemory calls exceeded when what is alive on the heap grows beyond limit.
func watchMemory(ctx context.Context, limit int64, exceeded func()) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if heapObjects() <= limit {
			continue
		}
		if runtime.GC(); heapObjects() > limit { // it was not garbage
			exceeded()
			return
		}
	}
}

// heapObjects is how much memory the objects on the heap take, garbage included.
func heapObjects() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// Limits returns the limits in force as Options take them, "" if there are none.
func (s *Session) Limits() string {
	s.state.Lock()
	defer s.state.Unlock()
	if s.limits == (magic.Limits{}) {
		return ""
	}
	return s.limits.Args()
}

// setLimits changes the limits of cells. What a limit of memory cannot stop in
// time, a single call of compiled code, the system does: it ends the process,
// if that is the session's own.
func (s *Session) setLimits(l magic.Limits) {
	s.state.Lock()
	defer s.state.Unlock()
	if l.Memory != s.limits.Memory {
		if l.Memory > 0 {
			debug.SetMemoryLimit(l.Memory)
		} else {
			debug.SetMemoryLimit(math.MaxInt64)
		}
		if s.options.OwnProcess {
			limitData(l.Memory)
		}
	}
	s.limits = l
}

// limitData bounds the process's writable memory to what it has apart from the
// heap and three times the limit and more, so that watchMemory comes first: it
// keeps the variables. Zero lifts the bound. Systems without /proc have none.
func limitData(limit int64) {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_DATA, &r) != nil {
		return
	}
	r.Cur = r.Max
	if now := dataSize(); limit > 0 && now > 0 {
		r.Cur = min(r.Max, uint64(max(now-heapObjects(), 0)+3*limit+(512<<20)))
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_DATA, &r)
}

// dataSize is the private writable memory of the process, or 0.
func dataSize() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "\nVmData:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kb, _ := strconv.ParseInt(fields[0], 10, 64)
	return kb << 10
}

// roomFor says why n more bytes are not to be had, before Go's allocator finds
// out and ends the process.
func (s *Session) roomFor(n uint64) error {
	s.state.Lock()
	limit := s.limits.Memory
	s.state.Unlock()
	full := func() bool { return limit > 0 && uint64(heapObjects())+n > uint64(limit) }
	if full() {
		runtime.GC()
	}
	if full() {
		return &memoryError{n, uint64(limit), "the limit of this session"}
	}
	if total := machineMemory(); total > 0 && n > total {
		return &memoryError{n, total, "the memory of this machine"}
	}
	return nil
}

var machineMemory = sync.OnceValue(func() uint64 {
	m, err := mem.VirtualMemory()
	if err != nil {
		return 0
	}
	return m.Total
})

// memoryError is the panic of an allocation that cannot succeed.
type memoryError struct {
	wanted, bound uint64
	what          string
}

func (e *memoryError) Error() string {
	return fmt.Sprintf("out of memory: %.1f GiB wanted, %s is %.1f GiB", gib(e.wanted), e.what, gib(e.bound))
}

func (*memoryError) RuntimeError() {}

func gib(n uint64) float64 { return float64(n) / (1 << 30) }
