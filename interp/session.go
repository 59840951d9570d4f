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
	"go/types"
	"maps"
	"sync"

	"loris/display"
	"loris/interp/check"
	"loris/interp/lower"
	"loris/interp/magic"
	"loris/interp/symbols"
)

// Options configure a session.
type Options struct {
	// Sink receives what cells print. It must not be nil.
	Sink Sink
	// OwnProcess is set if the process exists for this session: limits may then
	// end it.
	OwnProcess bool
	// Limits are those of the first cells, as %limit takes them; "" for none.
	Limits string
}

// Sink receives what a cell emits, in order. It is used by many goroutines.
type Sink interface {
	// Stream takes text for stdout or stderr of the cell whose goroutine wrote
	// it.
	Stream(cell, name, text string)
	// ReadInput asks the user for a line; its error is what the cell reads.
	ReadInput(cell, prompt string, password bool) (string, error)
}

// Cell is the source to run.
type Cell struct {
	ID              string
	Count           int
	Code            string
	Silent          bool
	UserExpressions map[string]string
	// Beside is set for a cell that may run while others run.
	Beside bool
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

// Session is a scope in which cells run: one after the other, and beside them
// those that say so.
type Session struct {
	turn    sync.Mutex // held while a cell runs that is not beside others
	options Options
	fset    *token.FileSet
	scope   *check.Session // guarded by program.Lock, as the program
	program *lower.Program
	sources sync.Map // name of a cell -> its text
	active  active

	state       sync.Mutex // guards what follows, which completion reads beside a running cell
	order       []string   // ids of the cells run
	serial      int
	limits      magic.Limits
	objects     map[string]types.Object
	imported    map[string]string
	definitions map[string]*definition
	declaredIn  map[string]string // name -> cell
	changes     map[string]change
	lastRun     map[string]*cellRun // by the cell's id
	runs        int
}

// New starts a session.
func New(o Options) (*Session, error) {
	s, err := quietSession(o)
	if err != nil {
		return nil, err
	}
	catchLog()
	s.connect()
	return s, nil
}

// quietSession is New for a session that the tensor library need not know.
func quietSession(o Options) (*Session, error) {
	fset := token.NewFileSet()
	s := &Session{
		options: o, fset: fset, scope: check.New(fset, symbols.Importer(), resolve),
		definitions: map[string]*definition{}, declaredIn: map[string]string{},
		changes: map[string]change{}, lastRun: map[string]*cellRun{},
	}
	s.program = lower.New(packages{}, fset)
	s.program.UseContext(s.scope.Context)
	s.program.RoomFor = s.roomFor
	for _, calls := range []map[string]lower.SpecialCall{specials, s.loggers(), s.places()} {
		maps.Copy(s.program.Special, calls)
	}
	s.replaceInput()
	if err := s.runPrelude(); err != nil {
		return nil, err
	}
	limits, err := magic.ParseLimits(magic.Limits{}, o.Limits)
	if err != nil {
		return nil, err
	}
	s.setLimits(limits)
	return s, nil
}

// cellName is how errors call a cell.
func (s *Session) cellName(c Cell) string {
	if c.Count > 0 {
		return fmt.Sprintf("cell %d", c.Count)
	}
	s.state.Lock()
	defer s.state.Unlock()
	s.serial++
	return fmt.Sprintf("cell %d", s.serial)
}

// Run checks and runs a cell. It returns when the cell's own statements have
// ended, or soon after ctx is done; goroutines of the cell may go on. Calls wait
// for each other, except for cells beside others.
func (s *Session) Run(ctx context.Context, c Cell) Outcome {
	if !c.Beside {
		s.turn.Lock()
		defer s.turn.Unlock()
	}
	name := s.cellName(c)
	s.sources.Store(name, c.Code)
	s.state.Lock()
	s.order = append(s.order, c.ID)
	s.state.Unlock()
	steps, err := magic.Parse(c.Code)
	if err != nil {
		return Outcome{Err: s.magicError(name, err)}
	}
	h := &cellHost{s: s, ctx: ctx, cell: c, name: name}
	var o Outcome
	for i, step := range steps {
		last := i == len(steps)-1
		switch {
		case step.Call != nil:
			if err := magic.Run(ctx, h, *step.Call); err != nil {
				o.Err = s.magicError(name, err)
			}
		case last:
			o = s.runCode(ctx, c, name, step.Code)
		default:
			if err := h.Run(ctx, step.Code); err != nil {
				o.Err = s.magicError(name, err)
			}
		}
		if o.Err != nil {
			break
		}
	}
	o.Payload = h.payload
	if o.Err == nil && len(c.UserExpressions) > 0 {
		o.UserExpressions = s.userExpressions(ctx, c)
	}
	return o
}

// runCode runs Go code as (a part of) a cell.
func (s *Session) runCode(ctx context.Context, c Cell, name, src string) Outcome {
	code, cellErr := s.compile(c, name, src)
	if cellErr != nil {
		return Outcome{Err: cellErr}
	}
	return s.execute(ctx, c, code)
}

// compile checks and lowers code, and makes what it declares known.
func (s *Session) compile(c Cell, name, src string) (*lower.Cell, *CellError) {
	code, note, err := s.compileLocked(c, name, src)
	if note != "" {
		s.options.Sink.Stream(c.ID, "stderr", note)
	}
	return code, err
}

// compileLocked is compile; note is to be told to the user.
func (s *Session) compileLocked(c Cell, name, src string) (code *lower.Cell, note string, _ *CellError) {
	s.program.Lock()
	defer s.program.Unlock()
	checked, err := s.scope.Check(name, []byte(src))
	if err != nil {
		return nil, "", s.compileError(err)
	}
	code, err = s.program.Cell(name, checked, !c.Beside)
	if err != nil {
		checked.Undo()
		return nil, "", s.compileError(err)
	}
	s.state.Lock()
	defer s.state.Unlock()
	s.record(name, c.ID, checked)
	note = s.redefined(name, checked)
	s.objects, s.imported = s.scope.Objects(), s.scope.Imports()
	return code, note, nil
}

// userExpressions evaluates the expressions that a front end sent along.
func (s *Session) userExpressions(ctx context.Context, c Cell) map[string]any {
	out := map[string]any{}
	for key, expr := range c.UserExpressions {
		o := s.runCode(ctx, Cell{ID: c.ID, Silent: true, Beside: c.Beside}, "user expression", expr)
		switch {
		case o.Err != nil:
			out[key] = map[string]any{"status": "error", "ename": o.Err.Name, "evalue": o.Err.Value, "traceback": o.Err.Traceback}
		case o.Value != nil:
			out[key] = map[string]any{"status": "ok", "data": o.Value.Data, "metadata": o.Value.Metadata}
		default:
			out[key] = map[string]any{"status": "ok", "data": map[string]any{}, "metadata": map[string]any{}}
		}
	}
	return out
}

// Cells returns the ids of the cells run so far.
func (s *Session) Cells() []string {
	s.state.Lock()
	defer s.state.Unlock()
	return append([]string(nil), s.order...)
}
