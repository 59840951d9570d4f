// Package pool takes a job cut into chunks and runs the chunks on the caller
// and on worker threads that spin between jobs, so that splitting pays from a
// few microseconds of work on.
//
// Chunk i prefers one worker, always the same, so that its data stays in that
// core's cache; whoever is free claims chunks nobody has begun, so a worker
// that the system has descheduled costs only the chunk it holds. Workers that
// found nothing to do for about a millisecond sleep. A job too short to be worth
// waking them runs without them, but a stream of such jobs wakes them.
//
// Replaying a job allocates nothing if its function value is kept.
package pool

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/feature"
)

const (
	spinTurns  = 12000      // turns a worker looks for a job before it sleeps
	yieldEvery = 1024       // turns between calls of the Go scheduler
	waitTurns  = 1000       // turns the caller spins for the last chunks before it naps
	wakeCost   = 150 * 1000 // nanoseconds of work, in one job or several, from which waking sleepers pays
	splitCost  = 2 * 1000   // nanoseconds of work from which splitting pays
	nap        = 20 * time.Microsecond
	maxChunks  = 1<<16 - 1 // chunks of one worker in one job
)

// Func does one chunk. It must not call Run of the same pool with work that
// waits for other chunks; nested jobs run on the calling worker alone.
type Func = func(chunk int, w *Worker)

// Pool is a set of workers. The goroutine that calls Run works too.
type Pool struct {
	busy    sync.Mutex // held by the job in progress
	job     uint32     // number of the newest job, kept by the holder of busy
	missed  float64    // nanoseconds of work done since sleepers were woken, kept by the holder of busy
	fn      Func
	group   int // chunks that are claimed at once
	chunks  int
	stop    *atomic.Bool
	failure atomic.Pointer[Panic]
	slots   []slot
	workers []*Worker
	closed  atomic.Bool
	started bool // the workers run, or sleep; kept by the holder of busy

	done paddedCounter

	spareMu sync.Mutex
	spare   []*Worker // for callers that find the pool busy
	mem     *arena.Arena
}

// slot holds one worker's share of the job: job<<32 | end<<16 | next.
type slot struct {
	claim atomic.Uint64
	_     [56]byte
	bed   bed
	_     [64 - unsafe.Sizeof(bed{})%64]byte
}

type paddedCounter struct {
	_ [64]byte
	n atomic.Int64
	_ [56]byte
}

// Worker is what one thread of a job may keep for itself.
type Worker struct {
	ID      int // 0 is the caller
	mem     *arena.Arena
	scratch arena.Block
}

// Scratch returns at least n bytes that are this worker's until the chunk ends,
// aligned to 64. It panics with the arena's error when memory has run out.
func (w *Worker) Scratch(n int) arena.Block {
	if w.scratch.Size() < n {
		w.mem.Free(w.scratch)
		w.scratch = arena.Block{}
		b, err := w.mem.Alloc(n)
		if err != nil {
			panic(err)
		}
		w.scratch = b
	}
	return w.scratch
}

// Arena returns where the worker's scratch memory comes from.
func (w *Worker) Arena() *arena.Arena { return w.mem }

// Panic is what Run panics with when a chunk panicked: the value and the
// stack of the worker that met it.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Unwrap returns the value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// New returns a pool of the given number of threads, the caller included, whose
// scratch memory comes from mem.
func New(threads int, mem *arena.Arena) *Pool {
	threads = max(threads, 1)
	p := &Pool{slots: make([]slot, threads), mem: mem}
	for i := range threads {
		p.slots[i].bed.make()
		p.workers = append(p.workers, &Worker{ID: i, mem: mem})
	}
	return p
}

// Default returns the process's pool, with a thread for each core and its own arena.
var Default = sync.OnceValue(func() *Pool { return New(feature.Cores(), new(arena.Arena)) })

// Threads returns the number of threads, the caller included.
func (p *Pool) Threads() int { return len(p.workers) }

// Arena returns the arena of the pool's scratch memory.
func (p *Pool) Arena() *arena.Arena { return p.mem }

// Close ends the workers once they are idle. The pool goes on working on its caller alone.
func (p *Pool) Close() {
	p.busy.Lock()
	defer p.busy.Unlock()
	p.closed.Store(true)
	for i := 1; i < len(p.slots); i++ {
		p.slots[i].bed.wake()
	}
}

// Run does fn for the chunks 0..n-1 and returns when all are done. cost is the
// job's estimated time on one thread in nanoseconds: short jobs stay on the
// caller. If stop is not nil and becomes true, chunks not yet begun are skipped
// and Run returns false. A panic in a chunk becomes a panic of Run with *Panic.
//
// Several goroutines may call Run: while one's job is in progress, another's
// runs on its caller alone.
func (p *Pool) Run(n int, cost float64, stop *atomic.Bool, fn Func) bool {
	if n > 1 && len(p.workers) > 1 && cost >= splitCost && p.busy.TryLock() {
		return p.split(n, cost, stop, fn)
	}
	return p.alone(n, stop, fn)
}

// WholeRounds makes few chunks a multiple of the threads, so that none waits for
// another's last.
func WholeRounds(chunks, threads int) int {
	if chunks > threads && chunks < 4*threads {
		chunks -= chunks % threads
	}
	return max(1, chunks)
}

// alone runs all chunks on the caller.
func (p *Pool) alone(n int, stop *atomic.Bool, fn Func) bool {
	w := p.borrow()
	defer func() {
		p.giveBack(w)
		if v := recover(); v != nil {
			panic(asPanic(v))
		}
	}()
	for i := range n {
		if stop != nil && stop.Load() {
			return false
		}
		fn(i, w)
	}
	return true
}

func (p *Pool) borrow() *Worker {
	p.spareMu.Lock()
	defer p.spareMu.Unlock()
	if l := len(p.spare); l > 0 {
		w := p.spare[l-1]
		p.spare = p.spare[:l-1]
		return w
	}
	return &Worker{mem: p.mem}
}

func (p *Pool) giveBack(w *Worker) {
	p.spareMu.Lock()
	p.spare = append(p.spare, w)
	p.spareMu.Unlock()
}

// split hands the job out, works on it and waits for the rest; it holds busy.
func (p *Pool) split(n int, cost float64, stop *atomic.Bool, fn Func) bool {
	defer p.busy.Unlock()
	p.fn, p.stop, p.chunks = fn, stop, n
	p.group = (n + maxChunks - 1) / maxChunks
	groups := (n + p.group - 1) / p.group
	p.failure.Store(nil)
	p.done.n.Store(0)
	p.job++
	// Workers that would get no chunk do not hear of the job: telling them, and their
	// search for something to steal, would move a cache line for each.
	job, threads := uint64(p.job)<<32, min(len(p.slots), groups)
	if p.closed.Load() {
		threads = 1
	}
	for i := threads - 1; i >= 0; i-- {
		lo, hi := groups*i/threads, groups*(i+1)/threads
		p.slots[i].claim.Store(job | uint64(hi)<<16 | uint64(lo))
	}
	if p.missed += cost; p.missed >= wakeCost {
		p.missed = 0
		if p.started {
			p.wakeFor(threads)
		} else if p.started = true; !p.closed.Load() {
			go p.serve(1)
		}
	}
	p.work(0, p.job)
	for i := 1; p.done.n.Load() != int64(groups); i++ {
		p.await(i)
	}
	p.fn = nil
	if f := p.failure.Load(); f != nil {
		panic(f)
	}
	return stop == nil || !stop.Load()
}

// await spins for the chunks that workers still hold. After a while it naps:
// that frees this core for a worker that another process has pushed off its own.
func (p *Pool) await(turn int) {
	if turn < waitTurns {
		pause(4)
	} else {
		time.Sleep(nap)
	}
}

// wakeFor wakes sleepers among the first workers, each through the one it
// hangs on in a binary tree: waking is a system call, and the caller has work to do.
func (p *Pool) wakeFor(workers int) {
	for i := workers - 1; i > 0; i-- {
		if parent := i / 2; parent == 0 || !p.slots[parent].bed.sleeps() {
			p.slots[i].bed.wake()
		}
	}
}

// work claims and does chunks of a job: first the worker's own, then others'.
func (p *Pool) work(id int, job uint32) {
	w := p.workers[id]
	for {
		c := p.claim(id, job, true)
		for i := 1; c < 0 && i < len(p.slots); i++ {
			c = p.claim((id+i)%len(p.slots), job, false)
		}
		if c < 0 {
			return
		}
		p.do(c, w)
		p.done.n.Add(1)
	}
}

// claim takes the next chunk of a worker's share, or from its end when stolen; -1 if none is left.
func (p *Pool) claim(id int, job uint32, own bool) int {
	s := &p.slots[id].claim
	for {
		v := s.Load()
		next, end := int(v&0xffff), int(v>>16&0xffff)
		if uint32(v>>32) != job || next >= end {
			return -1
		}
		if own {
			if s.CompareAndSwap(v, v+1) {
				return next
			}
		} else if s.CompareAndSwap(v, v-1<<16) {
			return end - 1
		}
	}
}

// do runs one group of chunks. The job's fields are read after a claim, when they cannot change.
func (p *Pool) do(group int, w *Worker) {
	defer p.recover()
	for i := group * p.group; i < min(p.chunks, (group+1)*p.group); i++ {
		if p.stop != nil && p.stop.Load() || p.failure.Load() != nil {
			return
		}
		p.fn(i, w)
	}
}

func (p *Pool) recover() {
	if v := recover(); v != nil {
		p.failure.CompareAndSwap(nil, asPanic(v))
	}
}

// asPanic adds the stack, unless a nested Run has done so.
func asPanic(v any) *Panic {
	if f, ok := v.(*Panic); ok {
		return f
	}
	return &Panic{v, debug.Stack()}
}

// serve is a worker's loop. It begins with the first job that is worth it, as most
// processes that have a pool never use it, and starts the next workers of the tree.
func (p *Pool) serve(id int) {
	for i := 2 * id; i <= 2*id+1 && i < len(p.slots); i++ {
		go p.serve(i)
	}
	debug.SetPanicOnFault(true) // of mapped files: a chunk's panic is an error of its job
	s := &p.slots[id]
	seen := uint32(0)
	tired := func() bool { return uint32(s.claim.Load()>>32) == seen && !p.closed.Load() }
	for turn := 0; ; turn++ {
		if job := uint32(s.claim.Load() >> 32); job != seen {
			seen, turn = job, 0
			p.work(id, job)
			continue
		}
		if p.closed.Load() {
			return
		}
		if turn < spinTurns {
			pause(4)
			if turn%yieldEvery == 0 {
				runtime.Gosched()
			}
			continue
		}
		s.bed.sleep(tired)
		for i := 2 * id; i <= 2*id+1 && i < len(p.slots) && !p.closed.Load(); i++ {
			p.slots[i].bed.wake()
		}
		turn = 0
	}
}
