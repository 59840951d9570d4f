package interp

import (
	"context"
	"fmt"
	"runtime/metrics"
	"slices"
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
	*s.ctx = ctx
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
	limits := s.limits
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
