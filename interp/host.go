package interp

import (
	"go/token"
	"go/types"

	"loris/internal/ir"
	"loris/interp/native"
	"loris/interp/run"
	"loris/tensorlib"
)

// host tells the tensor library about the cell that calls it.
type host struct{ s *Session }

// connect makes this session the one that the tensor library asks.
func (s *Session) connect() { tensorlib.SetHost(host{s}) }

// Pos is the running statement of the calling goroutine.
func (h host) Pos() ir.Pos {
	th := run.Current()
	if th == nil {
		return ir.Pos{}
	}
	p := h.s.position(token.Pos(th.Pos()))
	return ir.Pos{Cell: p.Filename, Line: p.Line, Col: p.Column}
}

// Done is closed when the cell that the calling goroutine belongs to is
// interrupted.
func (h host) Done() <-chan struct{} {
	if th := run.Current(); th != nil {
		return th.Task.Done()
	}
	if t := run.Foreground(); t != nil {
		return t.Done()
	}
	return nil
}

// Unwrap returns v: values of cell-defined types are ordinary Go values.
func (h host) Unwrap(v any) any { return v }

// Globals lists the variables of the session.
func (h host) Globals(yield func(name string, v any)) {
	scope := h.s.scope.Pkg.Scope()
	for _, name := range scope.Names() {
		v, ok := scope.Lookup(name).(*types.Var)
		if !ok {
			continue
		}
		if g := h.s.program.Known(v); g != nil {
			yield(name, native.Any(g.Type, g.Ptr))
		}
	}
}
