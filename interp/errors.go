package interp

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"

	"loris/interp/check"
	"loris/interp/lower"
	"loris/interp/report"
	"loris/interp/run"
)

func (s *Session) source(name string) (string, bool) {
	text, ok := s.sources.Load(name)
	if !ok {
		return "", false
	}
	return text.(string), true
}

// compileError renders why a cell was not run.
func (s *Session) compileError(err error) *CellError {
	var ds []report.Diagnostic
	var checkErr *check.Error
	var unsupported *lower.Unsupported
	switch {
	case errors.As(err, &checkErr):
		if len(checkErr.Syntax) > 0 {
			ds = report.FromError(s.fset, checkErr.Syntax)
		}
		ds = append(ds, report.Hinted(checkErr.Types, s.suggestions(checkErr))...)
	case errors.As(err, &unsupported):
		ds = []report.Diagnostic{{Pos: s.position(unsupported.Pos), Msg: unsupported.Msg}}
	default:
		ds = []report.Diagnostic{{Msg: err.Error()}}
	}
	r := report.Compile(s.source, ds)
	return &CellError{Name: r.Name, Value: r.Value, Traceback: r.Traceback, HTML: r.HTML, Refused: true}
}

// suggestions is where an unknown name is looked for.
func (s *Session) suggestions(e *check.Error) report.Scope {
	in := report.Scope{Package: s.scope.Pkg, Info: e.Info, Names: func() []string { return e.Declared }}
	if e.File != nil {
		in.Files = []*ast.File{e.File}
	}
	return in
}

func (s *Session) position(p token.Pos) token.Position {
	if !p.IsValid() {
		return token.Position{}
	}
	return s.fset.Position(p)
}

// panicError renders why a cell ended, or returns nil if it ended well.
func (s *Session) panicError(p *run.Panicking) *CellError {
	switch v := p.Value.(type) {
	case run.Interrupted:
		return &CellError{Name: "Interrupted", Value: "the cell was interrupted", Traceback: []string{"interrupted: variables keep their values"}}
	case run.Exit:
		if v.Code == 0 {
			return nil
		}
		code := v.Code
		text := fmt.Sprintf("os.Exit(%d)", v.Code)
		return &CellError{Name: "Exit", Value: text, Traceback: []string{text + " ended the cell; variables keep their values"}, ExitCode: &code}
	}
	r := s.panicReport(p)
	return &CellError{Name: r.Name, Value: r.Value, Traceback: r.Traceback, HTML: r.HTML, Panic: p.Value}
}

func (s *Session) panicReport(p *run.Panicking) report.Report {
	pn := report.Panic{Value: p.Value, Started: s.position(token.Pos(p.Started))}
	pn.More = p.Dropped
	for _, e := range p.Trace {
		if e.Pos == 0 {
			continue // of the cell as a whole
		}
		pn.Frames = append(pn.Frames, report.Frame{Func: e.Func, Pos: s.position(token.Pos(e.Pos)), Repeated: e.Frames - 1})
	}
	// Rendering calls methods of the value, which may panic as well.
	var r report.Report
	if again := run.Attached(func() { r = report.Render(s.source, pn) }); again != nil {
		pn.Value = fmt.Sprintf("a %T, of which a method panics too", p.Value)
		r = report.Render(s.source, pn)
	}
	return r
}
