package interp

import (
	"fmt"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"

	"loris/internal/ir"
	"loris/interp/lower"
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
	return h.place(th.Pos())
}

func (h host) place(pos int32) ir.Pos {
	p := h.s.position(token.Pos(pos))
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

// Protect calls f as a part of the cell that runs.
func (h host) Protect(f func()) (value any, at ir.Pos) {
	if run.Foreground() == nil {
		defer func() { value = recover() }()
		f()
		return nil, ir.Pos{}
	}
	p := run.Attached(f)
	if p == nil {
		return nil, ir.Pos{}
	}
	for _, e := range p.Trace {
		if e.Pos != 0 {
			return p.Value, h.place(e.Pos)
		}
	}
	return p.Value, ir.Pos{}
}

// Find looks for text in the cells, the newest first.
func (h host) Find(text string) (at ir.Pos, ok bool) {
	if strings.TrimSpace(text) == "" {
		return at, false
	}
	newest := -1
	h.s.sources.Range(func(name, source any) bool {
		before, _, found := strings.Cut(source.(string), text)
		if !found {
			return true
		}
		number := 0
		_, _ = fmt.Sscanf(name.(string), "cell %d", &number)
		if number > newest {
			newest, ok = number, true
			at = ir.Pos{Cell: name.(string), Line: 1 + strings.Count(before, "\n"), Col: len(before) - strings.LastIndexByte(before, '\n')}
		}
		return true
	})
	return at, ok
}

// Unwrap returns v: values of cell-defined types are ordinary Go values.
func (h host) Unwrap(v any) any { return v }

// Globals lists the variables of the session.
func (h host) Globals(yield func(name string, v any)) {
	globals := map[string]*lower.Global{}
	h.s.program.Lock()
	scope := h.s.scope.Pkg.Scope()
	for _, name := range scope.Names() {
		if v, ok := scope.Lookup(name).(*types.Var); ok {
			if g := h.s.program.Known(v); g != nil {
				globals[name] = g
			}
		}
	}
	h.s.program.Unlock()
	for _, name := range slices.Sorted(maps.Keys(globals)) {
		g := globals[name]
		yield(name, native.Any(g.Type, g.Ptr))
	}
}
