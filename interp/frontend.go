package interp

import (
	"loris/display"
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

func (s *Session) Complete(code string, cursor int) Completion {
	return Completion{Start: cursor, End: cursor}
}

func (s *Session) Inspect(code string, cursor, level int) (display.Bundle, bool) {
	return display.Bundle{}, false
}

func (s *Session) IsComplete(code string) (status, indent string) { return "unknown", "" }

func (s *Session) Variables() []Variable { return nil }
