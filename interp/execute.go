package interp

import (
	"context"
	"fmt"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"loris/display"
	"loris/interp/lower"
	"loris/interp/native"
	"loris/interp/report"
	"loris/interp/run"
)

// execute runs compiled code as the cell c.
func (s *Session) execute(ctx context.Context, c Cell, code *lower.Cell) Outcome {
	task := run.NewTask(c.ID)
	task.Output = func(name, text string) { s.options.Sink.Stream(c.ID, name, text) }
	// The panic of a goroutine is the error of its cell while that runs; later
	// ones can only be printed.
	crashed := make(chan *run.Panicking, 1)
	var ended atomic.Bool
	task.Crashed = func(p *run.Panicking) {
		if !ended.Load() {
			select {
			case crashed <- p:
				return
			default:
			}
		}
		task.Print("stderr", report.Plain(s.panicReport(p).Traceback)+"\n")
	}
	ctx, why, done := s.limited(ctx)
	defer done()
	defer s.active.enter(ctx)()
	stop := context.AfterFunc(ctx, task.Interrupt)
	p := task.Run(func(th *run.Thread) {
		f := th.NewFrame(code.Code)
		f.Invoke()
	})
	stop()
	ended.Store(true)
	task.Flush()
	if p == nil {
		select {
		case p = <-crashed:
		default:
		}
	}
	if p != nil {
		if e := why(); e != nil {
			return Outcome{Err: e}
		}
		if e := s.panicError(p); e != nil {
			return Outcome{Err: e}
		}
		return Outcome{}
	}
	return Outcome{Value: show(code.Results)}
}

// show renders the values of the last expression.
func show(results []lower.Result) *display.Bundle {
	results = slices.DeleteFunc(slices.Clone(results), func(r lower.Result) bool {
		return r.Status && native.Any(r.RT, r.Ptr) == nil
	})
	if len(results) == 0 {
		return nil
	}
	if len(results) == 1 {
		r := results[0]
		b := display.Of(native.Any(r.RT, r.Ptr))
		return &b
	}
	text := ""
	for i, r := range results {
		if i > 0 {
			text += "\n"
		}
		text += fmt.Sprint(native.Any(r.RT, r.Ptr))
	}
	return &display.Bundle{Data: map[string]any{"text/plain": text}}
}

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

// active keeps the prelude's variable ctx. Cells that run at the same time share
// one context: they are interrupted together.
type active struct {
	mu     sync.Mutex
	ctx    *context.Context // the variable
	cells  int              // that run
	cancel context.CancelFunc
}

// variable sets where ctx is.
func (a *active) variable(p *context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ctx != nil { // a cell has asked for a new one
		*p = *a.ctx
	}
	a.ctx = p
}

// enter begins the run of a cell whose end or interrupt is that of ctx. The
// function it returns ends the run.
func (a *active) enter(ctx context.Context) (leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cells == 0 {
		*a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	}
	a.cells++
	stop := context.AfterFunc(ctx, a.cancel)
	return func() {
		stop()
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.cells--; a.cells == 0 {
			a.cancel()
		}
	}
}

// idle reports whether no cell runs.
func (a *active) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cells == 0
}

// watchMemory calls exceeded when the heap grows beyond limit.
func watchMemory(ctx context.Context, limit int64, exceeded func()) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(sample)
		if int64(sample[0].Value.Uint64()) > limit {
			exceeded()
			return
		}
	}
}
