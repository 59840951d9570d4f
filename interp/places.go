package interp

import (
	"fmt"
	"go/token"
	"reflect"
	"strings"

	"loris/interp/lower"
	"loris/interp/run"
)

// places are the functions of the standard library that look at the stack, where
// they would find the interpreter.
func (s *Session) places() map[string]lower.SpecialCall {
	return map[string]lower.SpecialCall{
		"runtime.Caller": func(th *run.Thread, args []reflect.Value) []reflect.Value {
			at, ok := s.caller(th, int(args[0].Int()))
			return []reflect.Value{reflect.ValueOf(uintptr(0)), reflect.ValueOf(at.Filename), reflect.ValueOf(at.Line), reflect.ValueOf(ok)}
		},
		"runtime/debug.Stack": func(th *run.Thread, _ []reflect.Value) []reflect.Value {
			return []reflect.Value{reflect.ValueOf([]byte(s.stack(th)))}
		},
		"runtime/debug.PrintStack": func(th *run.Thread, _ []reflect.Value) []reflect.Value {
			th.Task.Print("stderr", s.stack(th))
			return nil
		},
	}
}

// caller is where the skip'th function of a cell on the stack is, counted from
// the innermost.
func (s *Session) caller(th *run.Thread, skip int) (at token.Position, ok bool) {
	for f := range th.Frames {
		if skip == 0 {
			return s.position(token.Pos(f.Pos)), true
		}
		skip--
	}
	return at, false
}

// placeOf names the running statement as "cell 3:7".
func (s *Session) placeOf(th *run.Thread) string {
	at, _ := s.caller(th, 0)
	return fmt.Sprintf("%s:%d", at.Filename, at.Line)
}

// stack shows the functions of cells that a goroutine is in.
func (s *Session) stack(th *run.Thread) string {
	var b strings.Builder
	b.WriteString("goroutine of a cell [running]:\n")
	for f := range th.Frames {
		name := f.Code.Name
		if name == "" {
			name = "main"
		}
		at := s.position(token.Pos(f.Pos))
		fmt.Fprintf(&b, "%s(...)\n\t%s:%d\n", name, at.Filename, at.Line)
	}
	return b.String()
}
