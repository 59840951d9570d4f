// Package interp runs Go cells: the source of a cell goes in, values, outputs
// and errors come out. Cells share one scope for as long as the session lives.
//
// A cell is checked by go/types (package check), lowered to code over real
// run-time types (packages lower and native) and executed (package run).
package interp

import (
	"context"
	"fmt"
	"go/token"
	"sync"

	"loris/display"
	"loris/interp/check"
	"loris/interp/lower"
	"loris/interp/native"
	"loris/interp/report"
	"loris/interp/run"
	"loris/interp/symbols"
)

// Options configure a session.
type Options struct {
	// Sink receives what cells print. It must not be nil.
	Sink Sink
}

// Sink receives what a cell emits, in order. It is used by many goroutines.
type Sink interface {
	// Stream takes text for stdout or stderr of the cell whose goroutine wrote
	// it.
	Stream(cell, name, text string)
	// ReadInput asks the user for a line.
	ReadInput(cell, prompt string, password bool) (string, error)
}

// Cell is the source to run.
type Cell struct {
	ID              string
	Count           int
	Code            string
	Silent          bool
	UserExpressions map[string]string
}

// Outcome is what a cell came to.
type Outcome struct {
	Value           *display.Bundle // of the last expression
	Err             *CellError
	UserExpressions map[string]any
	Payload         []map[string]any
}

// CellError is why a cell failed, as front ends show it.
type CellError struct {
	Name, Value string
	Traceback   []string // ANSI, a line each
	HTML        string
	// Refused is set if the cell was not run at all.
	Refused bool
	// ExitCode is set if the cell called os.Exit.
	ExitCode *int
	// Panic is the value of a panic that ended the cell.
	Panic any
}

func (e *CellError) Error() string { return e.Name + ": " + e.Value }

// Session is a scope in which cells run, one after the other.
type Session struct {
	mu      sync.Mutex
	options Options
	fset    *token.FileSet
	scope   *check.Session
	program *lower.Program
	sources sync.Map // name of a cell -> its text
	order   []string // ids of the cells run
	serial  int
	ctx     *context.Context // the prelude's variable
}

// New starts a session.
func New(o Options) (*Session, error) {
	fset := token.NewFileSet()
	s := &Session{options: o, fset: fset, scope: check.New(fset, symbols.Importer(), resolve)}
	s.program = lower.New(packages{}, fset)
	for name, call := range specials {
		s.program.Special[name] = call
	}
	if err := s.runPrelude(); err != nil {
		return nil, err
	}
	s.connect()
	return s, nil
}

// cellName is how errors call a cell.
func (s *Session) cellName(c Cell) string {
	if c.Count > 0 {
		return fmt.Sprintf("cell %d", c.Count)
	}
	s.serial++
	return fmt.Sprintf("cell %d", s.serial)
}

// Run checks and runs a cell. It returns when the cell's own statements have
// ended, or soon after ctx is done; goroutines of the cell may go on.
func (s *Session) Run(ctx context.Context, c Cell) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := s.cellName(c)
	s.sources.Store(name, c.Code)
	s.order = append(s.order, c.ID)
	code, cellErr := s.compile(name, c.Code)
	if cellErr != nil {
		return Outcome{Err: cellErr}
	}
	return s.execute(ctx, c, code)
}

func (s *Session) compile(name, src string) (*lower.Cell, *CellError) {
	checked, err := s.scope.Check(name, []byte(src))
	if err != nil {
		return nil, s.compileError(err)
	}
	code, err := s.program.Cell(name, checked)
	if err != nil {
		checked.Undo()
		return nil, s.compileError(err)
	}
	return code, nil
}

func (s *Session) execute(ctx context.Context, c Cell, code *lower.Cell) Outcome {
	task := run.NewTask(c.ID)
	task.Output = func(name, text string) { s.options.Sink.Stream(c.ID, name, text) }
	crashed := make(chan *run.Panicking, 1)
	task.Crashed = func(p *run.Panicking) {
		select {
		case crashed <- p:
		default:
		}
		text := s.panicReport(p, true)
		task.Print("stderr", report.Plain(text.Traceback)+"\n")
	}
	*s.ctx = ctx
	stop := context.AfterFunc(ctx, task.Interrupt)
	p := task.Run(func(th *run.Thread) {
		f := th.NewFrame(code.Code)
		f.Invoke()
	})
	stop()
	task.Flush()
	if p == nil {
		select {
		case p = <-crashed:
		default:
		}
	}
	if p != nil {
		if e := s.panicError(p); e != nil {
			return Outcome{Err: e}
		}
		return Outcome{}
	}
	return Outcome{Value: show(code.Results)}
}

// show renders the values of the last expression.
func show(results []lower.Result) *display.Bundle {
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

// Cells returns the ids of the cells run so far.
func (s *Session) Cells() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.order...)
}
