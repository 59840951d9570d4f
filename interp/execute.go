package interp

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

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
				task.Interrupt() // as the program would end
				return
			default:
			}
		}
		task.Print("stderr", report.Plain(s.panicReport(p).Traceback)+"\n")
	}
	task.Recovered = func(p *run.Panicking) {
		task.Print("stderr", "recovered by the server that called this function:\n"+report.Plain(s.panicReport(p).Traceback)+"\n")
	}
	ctx, why, done := s.limited(ctx)
	defer done()
	defer s.active.enter(ctx)()
	stop := context.AfterFunc(ctx, task.Interrupt)
	var value *display.Bundle
	p := task.Run(func(th *run.Thread) {
		f := th.NewFrame(code.Code)
		f.Invoke()
		value = show(code.Results) // here, for it calls methods of the cell's types
		f.Check()                  // package fmt recovers even an interrupt
	})
	stop()
	ended.Store(true)
	task.Flush()
	select {
	case crash := <-crashed:
		if p == nil || interrupted(p) {
			p = crash
		}
	default:
	}
	if p != nil {
		if e := why(); e != nil {
			return Outcome{Err: e}
		}
		if ctx.Err() != nil { // whatever the interrupt made of it
			p = &run.Panicking{Value: run.Interrupted{}}
		}
		if e := s.panicError(p); e != nil {
			return Outcome{Err: e}
		}
		return Outcome{}
	}
	return Outcome{Value: value}
}

func interrupted(p *run.Panicking) bool {
	_, ok := p.Value.(run.Interrupted)
	return ok
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
