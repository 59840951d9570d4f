// Package magic knows what in a cell is not Go: line magics (%time f(x)), cell
// magics (%%bash), shell lines (!ls) and questions (fmt.Println?). The text of
// a cell comes in; steps come out, Go code and calls of magics in the order of
// the cell. What a magic does it does through a [Host].
//
// Recognition is strict. A line is a magic only where a Go statement could
// start and not inside brackets, strings or comments; there no Go statement
// begins with % or ends in ?, so Go is never mistaken for a magic. One case
// needs a rule: a line that starts with ! is a shell line, so a negated value
// to be shown is written (!ok).
package magic

import (
	"context"
	"fmt"
	"strings"

	"loris/display"
	"loris/interp/symbols/nearest"
)

// A Magic is one row of the table.
type Magic struct {
	Name    string // with its prefix: "%time", "%%bash", "!", "?"
	Args    string // how the arguments are written: "[-n N] CODE"
	Summary string // one line
	Doc     string // what else there is to know; may be empty
	// Code says that the arguments of a line magic, or the body of a cell
	// magic, are Go: completion and inspection work in them.
	Code bool

	run func(ctx context.Context, h Host, c Call) error
}

// Call is one use of a magic in a cell.
type Call struct {
	Name string // as in Magic.Name
	Args string // the rest of the line, trimmed
	Body string // of a cell magic: all lines below
	Line int    // 1-based
	Col  int    // of the magic, 1-based, in bytes
	// Go is the part that is Go code, preceded by as many line breaks and
	// spaces as it has before it in the cell, so that positions are those of
	// the cell. It is "" if Magic.Code is false.
	Go string
}

// Error is a magic written wrongly, or one that failed.
type Error struct {
	Line, Col int // 1-based; 0 if it failed while running
	Msg, Hint string
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Msg + " (" + e.Hint + ")"
	}
	return e.Msg
}

// Run carries out a call.
func Run(ctx context.Context, h Host, c Call) error {
	m, err := find(c.Name, c.Line, c.Col)
	if err != nil {
		return err
	}
	return m.run(ctx, h, c)
}

// Table lists all magics in the order of %help.
func Table() []Magic { return table }

// Names lists the names of all magics that are written as a word.
func Names() (names []string) {
	for _, m := range table {
		if strings.HasPrefix(m.Name, "%") {
			names = append(names, m.Name)
		}
	}
	return names
}

// Find returns the magic of that name ("%time"), and whether there is one.
func Find(name string) (Magic, bool) {
	for _, m := range table {
		if m.Name == name {
			return m, true
		}
	}
	return Magic{}, false
}

func find(name string, line, col int) (Magic, error) {
	if m, ok := Find(name); ok {
		return m, nil
	}
	e := &Error{Line: line, Col: col, Msg: "unknown magic " + name, Hint: "%help lists all magics"}
	bare := strings.TrimLeft(name, "%")
	other := "%" + bare
	if strings.HasPrefix(name, "%") && !strings.HasPrefix(name, "%%") {
		other = "%%" + bare
	}
	if _, ok := Find(other); ok {
		e.Hint = "there is " + other
		if strings.HasPrefix(other, "%%") {
			e.Hint += ", which must be the first line of the cell and takes all of it"
		}
	} else if why, ok := elsewhere[bare]; ok {
		e.Hint = why
	} else if near := nearest.One(name, Names()); near != "" {
		e.Hint = "did you mean " + near + "?"
	}
	return Magic{}, e
}

// elsewhere answers magics that people know from other kernels.
var elsewhere = map[string]string{
	"autoreload":  "packages are part of the kernel and do not change while it runs",
	"conda":       "packages cannot be installed: the standard library and Loris's own packages are built in",
	"debug":       "there is no debugger; a panic shows the lines of all its frames",
	"load_ext":    "there are no extensions; %help lists what is built in",
	"matplotlib":  "charts need no setup: call display.Show with a chart",
	"pip":         "packages cannot be installed: the standard library and Loris's own packages are built in",
	"prun":        "lt.Prof times tensor work step by step; %timeit times any code",
	"reload_ext":  "there are no extensions; %help lists what is built in",
	"get":         "packages cannot be installed: the standard library and Loris's own packages are built in",
	"goflags":     "cells are interpreted: there is no go command to give flags to",
	"test":        "write the test as a function and call it",
	"xmode":       "panics always show the lines of all frames",
	"javascript":  "scripts are not shown: outputs must work without a network and after export",
	"history":     "the front end has the history: press the up arrow in a console",
	"notebook":    "save the notebook with the front end",
	"colors":      "colours follow the theme of the front end",
	"pylab":       "charts need no setup: call display.Show with a chart",
	"sql":         "use package database/sql",
	"env_restore": "set variables with %env NAME=VALUE",
}

// Host is what the session does for magics. Code is Go source laid out as in
// the cell.
type Host interface {
	// Write emits text on "stdout" or "stderr" of the cell.
	Write(stream, text string)
	// Show displays a bundle.
	Show(b display.Bundle)
	// Page shows a bundle in the pager of the front end.
	Page(b display.Bundle)
	// SetNextInput puts text into a new cell, or replaces the running one.
	SetNextInput(text string, replace bool)
	// Run runs code as part of the cell, with the value of a last expression
	// displayed.
	Run(ctx context.Context, code string) error
	// Repeat compiles code once and returns a function that runs it n times
	// without displaying anything, as fast as the session can.
	Repeat(code string) (run func(ctx context.Context, n int) error, err error)
	// Inspect describes the name or expression; level 1 adds its source.
	Inspect(name string, level int) (display.Bundle, bool)
	// Variables lists the variables of the session, sorted by name.
	Variables() []Variable
	// Reset forgets variables, functions and types by name, or all if names is
	// empty. Unknown names are an error and nothing is forgotten.
	Reset(names []string) error
	// Stale lists cells whose inputs changed since they ran.
	Stale() []Stale
	// Limits returns the limits in force, SetLimits replaces them.
	Limits() Limits
	SetLimits(Limits) error
	// Version describes the kernel in a few lines.
	Version() string
}

// Variable is a row of %whos.
type Variable struct {
	Name, Type, Summary, Cell string
	Bytes                     int64 // 0 if unknown
}

// Stale is a cell that ran before something that it uses was changed.
type Stale struct {
	Cell string // "cell 3"
	Why  string // "x changed in cell 5"
}

func fail(format string, args ...any) error { return &Error{Msg: fmt.Sprintf(format, args...)} }
