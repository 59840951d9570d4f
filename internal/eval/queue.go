package eval

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"loris/internal/ir"
)

// maxInFlight is how many evaluations may be waiting or running before Async blocks.
const maxInFlight = 10

// scheduler decides which evaluations run at the same time. One that keeps all
// cores busy runs alone; narrow ones share.
type scheduler struct {
	mu      sync.Mutex
	waiting []*job       // in order of arrival
	flying  []*job       // waiting or running, started by Async
	waits   atomic.Bool  // somebody may be waiting
	width   atomic.Int32 // cores in use by jobs the scheduler started or knows of
}

var queue scheduler

// add takes a job that Async started.
func (s *scheduler) add(j *job) {
	s.mu.Lock()
	s.flying = append(s.flying, j)
	s.mu.Unlock()
	if j.small && j.ready() { // shorter than waking another goroutine
		j.claimAndRun()
		return
	}
	s.mu.Lock()
	s.waiting = append(s.waiting, j)
	s.waits.Store(true)
	s.mu.Unlock()
	s.start()
}

// start gives waiting jobs whose inputs are there to goroutines of their own,
// as cores permit.
func (s *scheduler) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	cores := int32(runtime.GOMAXPROCS(0))
	keep := s.waiting[:0]
	for _, j := range s.waiting {
		switch {
		case j.state.Load() != queued:
		case j.ready() && (s.width.Load() == 0 || s.width.Load()+j.width <= cores):
			s.width.Add(j.width)
			go func() {
				j.claimAndRun()
				s.width.Add(-j.width)
				s.start()
			}()
		default:
			keep = append(keep, j)
		}
	}
	clear(s.waiting[len(keep):])
	s.waiting = keep
	s.waits.Store(len(keep) > 0)
}

// enter and leave count an evaluation that its caller runs.
func (s *scheduler) enter(j *job) bool {
	if j.stop.Stopped() {
		return false
	}
	s.width.Add(j.width)
	return true
}

func (s *scheduler) leave(j *job) {
	s.width.Add(-j.width)
	if s.waits.Load() {
		s.start()
	}
}

// landed takes a job that has ended off the list of those in flight.
func (s *scheduler) landed(j *job) {
	s.mu.Lock()
	for i, f := range s.flying {
		if f == j {
			last := len(s.flying) - 1
			copy(s.flying[i:], s.flying[i+1:])
			s.flying[last] = nil
			s.flying = s.flying[:last]
			break
		}
	}
	s.mu.Unlock()
	if s.waits.Load() {
		s.start()
	}
}

// throttle waits until there is room for another job. It returns an error when
// who waits is called off.
func (s *scheduler) throttle(ctx context.Context) error {
	for {
		s.mu.Lock()
		var first *job
		if len(s.flying) >= maxInFlight {
			first = s.flying[0]
		}
		s.mu.Unlock()
		if first == nil {
			return nil
		}
		if first.await(ctx) != nil && calledOff(ctx) {
			return interrupted()
		}
	}
}

// waitForSome waits for the oldest evaluation in flight, to get memory back, or until
// the running cell is interrupted.
func waitForSome() {
	queue.mu.Lock()
	var first *job
	if len(queue.flying) > 0 && queue.flying[0].state.Load() == running {
		first = queue.flying[0]
	}
	queue.mu.Unlock()
	if first == nil {
		return
	}
	var interrupted <-chan struct{}
	if h := ir.CurrentHost(); h != nil {
		interrupted = h.Done()
	}
	select {
	case <-first.done:
	case <-interrupted:
	}
}

// ready reports whether everything the job waits for has ended.
func (j *job) ready() bool { return j.unfinished() == nil }

// unfinished returns a job that this one still waits for, or nil.
func (j *job) unfinished() *job {
	for _, d := range j.waitsFor() {
		if d.state.Load() != ended {
			return d
		}
	}
	return nil
}

// claimAndRun runs the job unless another goroutine does.
func (j *job) claimAndRun() bool {
	if !j.state.CompareAndSwap(queued, running) {
		return false
	}
	j.end(j.run())
	queue.landed(j)
	return true
}

// cancel ends the job at the next chance, at once if it has not begun.
func (j *job) cancel() {
	j.stop.Stop()
	if j.state.CompareAndSwap(queued, running) {
		j.end(interrupted())
		queue.landed(j)
	}
}

func interrupted() *ir.Error {
	return &ir.Error{Code: ir.CodeInterrupted, Op: "Eval", Msg: "interrupted", Err: context.Canceled}
}

// inlineJob is the time, in nanoseconds, up to which who waits for a job runs
// it; a longer one could not be left when the wait is called off.
const inlineJob = 5e6

// await waits for the job, and runs it if nobody else has begun. It returns the
// job's error, or ctx's if that ends first.
func (j *job) await(ctx context.Context) error {
	j.help(false)
	cancelled := ctx.Done()
	var host <-chan struct{}
	if h := ir.CurrentHost(); h != nil {
		host = h.Done()
	}
	select {
	case <-j.done:
	default:
		select {
		case <-j.done:
		case <-cancelled:
			return ctx.Err()
		case <-host:
			return interrupted()
		}
	}
	if j.err != nil {
		return j.err
	}
	return nil
}

// help runs a job that has not begun, and what it needs first, on this goroutine
// if they are short. With wait it also waits for the end.
func (j *job) help(wait bool) {
	for j.state.Load() == queued {
		next := j
		for d := next.unfinished(); d != nil; d = next.unfinished() { // at most maxInFlight deep
			if d.state.Load() != running {
				next = d
				continue
			}
			if !wait {
				return
			}
			<-d.done
		}
		if next.nanos > inlineJob {
			break
		}
		next.claimAndRun()
	}
	if wait {
		<-j.done
	}
}
