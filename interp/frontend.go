package interp

import (
	"go/types"
	"sort"
	"strings"

	"loris/display"
	"loris/interp/assist"
	"loris/interp/native"
	"loris/interp/run"
	"loris/interp/symbols"
)

// CurrentCell is the ID of the cell that the calling goroutine belongs to, or
// of the cell that runs or ran last if no cell started the goroutine.
func CurrentCell() string {
	if th := run.Current(); th != nil {
		return th.Task.Cell
	}
	if t := run.Foreground(); t != nil {
		return t.Cell
	}
	return ""
}

// Item is one completion.
type Item struct{ Text, Type, Signature string }

// Completion lists what may replace the code points Start to End.
type Completion struct {
	Start, End int
	Items      []Item
}

// Variable is a variable of the session.
type Variable struct {
	Name, Type, Summary string
	Bytes               int64
	Cell                string
}

// Complete lists what may stand at the cursor, which counts code points.
func (s *Session) Complete(code string, cursor int) Completion {
	s.program.Lock() // go/types is not made for being read while a cell is checked
	c := assist.Complete(s.view(), code, cursor)
	s.program.Unlock()
	out := Completion{Start: c.Start, End: c.End}
	for _, i := range c.Items {
		out.Items = append(out.Items, Item(i))
	}
	return out
}

// Inspect describes what is at the cursor; level 1 adds its source.
func (s *Session) Inspect(code string, cursor, level int) (display.Bundle, bool) {
	s.program.Lock()
	defer s.program.Unlock()
	return assist.Inspect(s.view(), code, cursor, level)
}

// IsComplete says whether code is ready to run: complete, incomplete, invalid
// or unknown, and the indentation of the next line.
func (s *Session) IsComplete(code string) (status, indent string) { return assist.IsComplete(code) }

// Variables lists the variables of the session by name. While a cell runs, their
// values are not looked at: half of a slice or a string may be written.
func (s *Session) Variables() []Variable {
	s.program.Lock()
	defer s.program.Unlock()
	s.state.Lock()
	defer s.state.Unlock()
	var list []Variable
	idle := s.active.idle()
	for name, o := range s.objects {
		v, ok := o.(*types.Var)
		if !ok || s.declaredIn[name] == preludeCell {
			continue
		}
		row := Variable{Name: name, Type: s.typeText(v.Type()), Cell: s.declaredIn[name]}
		if g := s.program.Known(v); g != nil && idle {
			row.Summary, row.Bytes = summary(native.Value(g.Type, g.Ptr))
		}
		list = append(list, row)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}

// typeText spells a type as cells do.
func (s *Session) typeText(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == s.scope.Pkg {
			return ""
		}
		return symbols.ShortName(p.Path(), p.Name())
	})
}

// view is the session as completion and inspection see it.
func (s *Session) view() assist.View {
	s.state.Lock()
	defer s.state.Unlock()
	v := assist.View{Package: s.scope.Pkg, Imports: s.imported, Definition: s.definitionOf, Value: s.valueOf}
	for _, o := range s.objects {
		v.Objects = append(v.Objects, o)
	}
	return v
}

func (s *Session) definitionOf(o types.Object) (assist.Definition, bool) {
	s.state.Lock()
	defer s.state.Unlock()
	key := o.Name()
	if f, ok := o.(*types.Func); ok && f.Signature().Recv() != nil {
		t := f.Signature().Recv().Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if n, ok := types.Unalias(t).(*types.Named); ok {
			key = n.Obj().Name() + "." + key
		}
	}
	if d := s.definitions[key]; d != nil {
		return assist.Definition{Cell: d.cell, Line: d.line, Source: strings.TrimLeft(d.source, " \n"), Doc: d.doc}, true
	}
	if pos := s.position(o.Pos()); pos.IsValid() {
		return assist.Definition{Cell: pos.Filename, Line: pos.Line}, true
	}
	return assist.Definition{}, false
}

// valueOf shows the value of a variable, unless a cell runs; see Variables.
func (s *Session) valueOf(name string) (string, bool) {
	if !s.active.idle() {
		return "", false
	}
	s.state.Lock()
	defer s.state.Unlock()
	v, ok := s.objects[name].(*types.Var)
	if !ok {
		return "", false
	}
	g := s.program.Known(v)
	if g == nil {
		return "", false
	}
	text, _ := summary(native.Value(g.Type, g.Ptr))
	return text, true
}
