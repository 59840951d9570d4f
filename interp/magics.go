package interp

import (
	"context"
	"errors"
	"fmt"
	"go/token"
	"runtime"
	"slices"

	"loris/display"
	"loris/interp/assist"
	"loris/interp/magic"
	"loris/interp/report"
	"loris/interp/run"
)

// cellHost is what magics act on: the session, for one run of a cell.
type cellHost struct {
	s       *Session
	ctx     context.Context
	cell    Cell
	name    string
	payload []map[string]any
}

func (h *cellHost) Write(stream, text string) { h.s.options.Sink.Stream(h.cell.ID, stream, text) }

func (h *cellHost) Show(b display.Bundle) { display.CurrentOutlet().Display(b, "") }

func (h *cellHost) Page(b display.Bundle) {
	h.payload = append(h.payload, map[string]any{"source": "page", "data": b.Data, "start": 0})
}

func (h *cellHost) SetNextInput(text string, replace bool) {
	h.payload = append(h.payload, map[string]any{"source": "set_next_input", "text": text, "replace": replace})
}

func (h *cellHost) Run(ctx context.Context, code string) error {
	o := h.s.runCode(ctx, h.cell, h.name, code)
	if o.Err != nil {
		return o.Err
	}
	if o.Value != nil && !h.cell.Silent {
		h.Show(*o.Value)
	}
	return nil
}

// Repeat compiles code once; each call of run executes it n times as one task.
func (h *cellHost) Repeat(src string) (func(ctx context.Context, n int) error, error) {
	code, cellErr := h.s.compile(h.cell, h.name, src)
	if cellErr != nil {
		return nil, cellErr
	}
	return func(ctx context.Context, n int) error {
		task := run.NewTask(h.cell.ID)
		task.Output = func(name, text string) { h.Write(name, text) }
		stop := context.AfterFunc(ctx, task.Interrupt)
		defer stop()
		defer h.s.active.enter(ctx)()
		p := task.Run(func(th *run.Thread) {
			for range n {
				f := th.NewFrame(code.Code)
				f.Invoke()
				th.Release(f)
			}
		})
		task.Flush()
		if p != nil {
			if e := h.s.panicError(p); e != nil {
				return e
			}
		}
		return nil
	}, nil
}

func (h *cellHost) Inspect(name string, level int) (display.Bundle, bool) {
	h.s.program.Lock()
	defer h.s.program.Unlock()
	return assist.InspectName(h.s.view(), name, level)
}

func (h *cellHost) Variables() []magic.Variable {
	var list []magic.Variable
	for _, v := range h.s.Variables() {
		list = append(list, magic.Variable{Name: v.Name, Type: v.Type, Summary: v.Summary, Cell: v.Cell, Bytes: v.Bytes})
	}
	return list
}

func (h *cellHost) Reset(names []string) error { return h.s.reset(names) }

// reset forgets names; none means all but the prelude.
func (s *Session) reset(names []string) error {
	s.program.Lock()
	s.state.Lock()
	for _, n := range names {
		if s.objects[n] == nil {
			s.state.Unlock()
			s.program.Unlock()
			return &magic.Error{Msg: "nothing is called " + n, Hint: "%who lists the variables"}
		}
	}
	s.scope.Forget(names)
	for n := range s.definitions {
		if len(names) == 0 || slices.Contains(names, n) {
			delete(s.definitions, n)
		}
	}
	s.objects, s.imported = s.scope.Objects(), s.scope.Imports()
	s.state.Unlock()
	s.program.Unlock()
	if len(names) == 0 {
		return s.runPrelude()
	}
	return nil
}

func (h *cellHost) Stale() []magic.Stale {
	h.s.state.Lock()
	defer h.s.state.Unlock()
	var list []magic.Stale
	for _, c := range h.s.stale() {
		list = append(list, magic.Stale{Cell: c.name, Why: c.why})
	}
	return list
}

func (h *cellHost) Limits() magic.Limits {
	h.s.state.Lock()
	defer h.s.state.Unlock()
	return h.s.limits
}

func (h *cellHost) SetLimits(l magic.Limits) error {
	h.s.setLimits(l)
	return nil
}

func (h *cellHost) Version() string {
	return fmt.Sprintf("Loris, Go cells by yaegi and typed closures\n%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// magicError renders the error of a magic; that of a cell's own code is one
// already.
func (s *Session) magicError(cell string, err error) *CellError {
	var own *CellError
	if errors.As(err, &own) {
		return own
	}
	d := report.Diagnostic{Msg: err.Error()}
	var m *magic.Error
	if errors.As(err, &m) {
		d.Msg, d.Hint = m.Msg, m.Hint
		if m.Line > 0 {
			d.Pos = token.Position{Filename: cell, Line: m.Line, Column: max(m.Col, 1)}
		}
	}
	r := report.Compile(s.source, []report.Diagnostic{d})
	return &CellError{Name: "MagicError", Value: r.Value, Traceback: r.Traceback, HTML: r.HTML, Refused: true}
}
