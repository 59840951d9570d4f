package interp

import (
	"fmt"
	"go/types"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"loris/display"
	"loris/interp/assist"
	"loris/interp/native"
	"loris/interp/run"
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
		row := Variable{Name: name, Type: types.TypeString(v.Type(), types.RelativeTo(s.scope.Pkg)), Cell: s.declaredIn[name]}
		if g := s.program.Known(v); g != nil && idle {
			row.Summary, row.Bytes = summary(native.Value(g.Type, g.Ptr))
		}
		list = append(list, row)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
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

// summary describes a value in one line, and says how much memory it and what
// it holds directly take. It calls no methods: they may compute for long.
func summary(v reflect.Value) (text string, bytes int64) {
	bytes = int64(v.Type().Size())
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return "nil", bytes
		}
		t, n := summary(v.Elem())
		return t, bytes + n
	case reflect.Slice:
		bytes += int64(v.Cap()) * int64(v.Type().Elem().Size())
		return fmt.Sprintf("len %d", v.Len()) + elements(v), bytes
	case reflect.Array:
		return fmt.Sprintf("len %d", v.Len()) + elements(v), bytes
	case reflect.Map:
		bytes += int64(v.Len()) * int64(v.Type().Key().Size()+v.Type().Elem().Size())
		return fmt.Sprintf("len %d", v.Len()), bytes
	case reflect.String:
		return shortened(strconv.Quote(firstOf(v.String(), 80))), bytes + int64(v.Len())
	case reflect.Pointer, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		if v.IsNil() {
			return "nil", bytes
		}
		if v.Kind() == reflect.Pointer {
			bytes += int64(v.Type().Elem().Size())
			return "&" + v.Type().Elem().Name(), bytes
		}
		return v.Kind().String(), bytes
	case reflect.Struct:
		return fmt.Sprintf("%d fields", v.NumField()), bytes
	}
	return shortened(plainText(v)), bytes
}

func plainText(v reflect.Value) string {
	switch {
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case v.CanComplex():
		return fmt.Sprint(v.Complex())
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return v.Kind().String()
}

// elements shows the first few elements of basic types.
func elements(v reflect.Value) string {
	var parts []string
	for i := range min(v.Len(), 5) {
		e := v.Index(i)
		if k := e.Kind(); k > reflect.Complex128 && k != reflect.String {
			return ""
		}
		text, _ := summary(e)
		parts = append(parts, text)
	}
	if v.Len() > len(parts) {
		parts = append(parts, "…")
	}
	return shortened(": " + strings.Join(parts, " "))
}

func firstOf(s string, n int) string { return s[:min(len(s), n)] }

func shortened(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}
