package ir

import (
	"fmt"
	"strings"
)

// Code classifies an Error; each is documented with an example in codes.go.
type Code string

// Note points to something that explains an error, such as where an operand was made.
type Note struct {
	Pos Pos
	Msg string // "x  f32[8 32]  lt.Zeros"
}

// Error is the one error type of the library. Ops panic with it while a graph
// is built; input, output and long runs return it.
type Error struct {
	Code   Code
	Op     string // API name of the op: "MatMul"
	Msg    string
	Hint   string
	Shapes []Shape
	DTypes []DType
	Pos    Pos
	Notes  []Note
	Err    error // cause, if any
}

// Error returns the message in one line.
func (e *Error) Error() string {
	s := e.Msg
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Detail returns the message with position, operands and hint, over several lines.
func (e *Error) Detail() string {
	var b strings.Builder
	b.WriteString(e.Error())
	if e.Pos.Line > 0 {
		fmt.Fprintf(&b, "\n  %s, line %d", e.Pos.Cell, e.Pos.Line)
	}
	for _, n := range e.Notes {
		b.WriteString("\n  " + n.Msg)
		if n.Pos.Line > 0 {
			fmt.Fprintf(&b, "  %s, line %d", n.Pos.Cell, n.Pos.Line)
		}
	}
	if e.Hint != "" {
		b.WriteString("\n  hint: " + e.Hint)
	}
	return b.String()
}
