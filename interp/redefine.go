package interp

import (
	"fmt"
	"go/types"
	"slices"
	"sort"
	"strings"

	"loris/interp/check"
	"loris/interp/native"
)

// redefined evaluates again what earlier cells declared in terms of names that
// a cell has just given another type or constant value: the methods of a type,
// the functions that use it, the callers of a function whose signature changed. It returns a note
// about what could not follow, and the variables that hold an old type.
func (s *Session) redefined(name string, cell *check.Cell) string {
	changed := map[string]bool{}
	old := map[types.Object]bool{} // the types of before
	renewed := map[string]bool{}   // types declared again
	note := func(replaced map[string]types.Object) {
		for n, before := range replaced {
			now := s.scope.Pkg.Scope().Lookup(n)
			if now == nil || now == before {
				continue
			}
			if _, isType := before.(*types.TypeName); isType {
				renewed[n], old[before] = true, true
			} else if check.TakesPlace(now, before) {
				continue // it kept its place
			}
			changed[n] = true
		}
	}
	note(cell.Replaced)
	extended := map[string]bool{}
	for _, o := range cell.Extended {
		extended[o.Name()] = true
	}
	if len(changed)+len(extended) == 0 {
		return ""
	}
	var failed []string
	done := map[string]bool{}
	for {
		d := s.nextDependent(changed, extended, renewed, done, cell)
		if d == nil {
			break
		}
		done[d.key] = true
		again, err := s.evaluateAgain(d)
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s (%s) still uses the old definition: %s", d.key, d.cell, err.Value))
			continue
		}
		note(again.Replaced)
	}
	return notes(failed, s.holdingOld(old))
}

// nextDependent picks the earliest definition that must be evaluated again.
func (s *Session) nextDependent(changed, extended, renewed, done map[string]bool, cell *check.Cell) *definition {
	var best *definition
	for _, d := range s.definitions {
		if done[d.key] || d.order == s.runs {
			continue
		}
		base, _, isMethod := strings.Cut(d.key, ".")
		depends := isMethod && renewed[base]
		for n := range d.uses {
			// A type that got methods has a new run-time type.
			depends = depends || changed[n] || extended[n] && !d.isType
		}
		if !depends || slices.ContainsFunc(d.names, func(n string) bool { return s.definitions[n] != d || slices.Contains(cell.Declared, n) }) {
			continue
		}
		if best == nil || d.order < best.order || d.order == best.order && d.line < best.line {
			best = d
		}
	}
	return best
}

// evaluateAgain compiles an earlier definition in the scope as it is now.
func (s *Session) evaluateAgain(d *definition) (*check.Cell, *CellError) {
	checked, err := s.scope.Check(d.cell, []byte(d.source))
	if err != nil {
		return nil, s.compileError(err)
	}
	if _, err := s.program.Cell(d.cell, checked, false); err != nil {
		checked.Undo()
		return nil, s.compileError(err)
	}
	order := d.order
	for _, decl := range checked.Decls {
		s.recordDecl(d.cell, decl, checked)
	}
	if now := s.definitions[d.names[0]]; now != nil {
		now.order, now.source, now.line, now.end, now.doc = order, d.source, d.line, d.end, d.doc
	}
	return checked, nil
}

// holdingOld lists variables whose type mentions a type that was replaced.
func (s *Session) holdingOld(changed map[types.Object]bool) []string {
	var names []string
	for n, o := range s.scope.Objects() {
		if v, ok := o.(*types.Var); ok && native.Mentions(v.Type(), changed) {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	return names
}

func notes(failed, holding []string) string {
	lines := failed
	if len(holding) > 0 {
		verb := "holds a value"
		if len(holding) > 1 {
			verb = "hold values"
		}
		lines = append(lines, strings.Join(holding, ", ")+" still "+verb+" of the old type: run the cell that sets it again")
	}
	if len(lines) == 0 {
		return ""
	}
	return "note: " + strings.Join(lines, "\nnote: ") + "\n"
}
