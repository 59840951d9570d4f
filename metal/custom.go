package metal

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
	"loris/metal/mtl"
)

type operands = []plan.Operand

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// custom runs the body of a user's kernel; one without a body runs on the CPU.
func (l *lowering) custom() error {
	k := l.s.Attrs.(*op.Kernel)
	if strings.TrimSpace(k.Metal) == "" {
		return errNoKernel
	}
	u := kernels.User{Name: "kernel_" + notInNames.ReplaceAllString(k.Name, "_"), Body: k.Metal, Header: k.Header, Grid: k.Grid}
	var args []place
	for i := range l.s.In {
		p, t, err := l.dense(&l.s.In[i])
		if err != nil {
			return err
		}
		u.Inputs = append(u.Inputs, kernels.Tensor{Name: nameOf(k.Inputs, "in", i, len(l.s.In)), Type: t, Size: l.s.In[i].Shape.Size()})
		args = append(args, p)
	}
	for i := range l.s.Out {
		o := &l.s.Out[i]
		t, err := typeOf(o)
		if err != nil {
			return err
		}
		u.Outputs = append(u.Outputs, kernels.Tensor{Name: nameOf(k.Outputs, "out", i, len(l.s.Out)), Type: t, Size: o.Shape.Size()})
		args = append(args, at(o))
	}
	launch, err := u.Launch()
	if err != nil {
		return &ir.Error{Code: ir.CodeUser, Op: k.Name, Msg: strings.TrimPrefix(err.Error(), "kernel "+u.Name+": ")}
	}
	for i := range l.s.Out {
		if o := &l.s.Out[i]; o.Shape.Size() > k.Grid[0]*k.Grid[1]*k.Grid[2] {
			if err := l.fill(o, 0); err != nil { // elements that the body may leave out
				return err
			}
		}
	}
	l.add(launch, args...)
	return nil
}

// nameOf is the name of an array in the body.
func nameOf(names []string, kind string, i, n int) string {
	switch {
	case i < len(names):
		return names[i]
	case n == 1:
		return kind
	}
	return fmt.Sprintf("%s%d", kind, i)
}

// userError tells what the compiler says about a user's kernel by the lines of
// its source, and of the cell that holds it.
func userError(s *plan.Step, err error) error {
	k, isUser := s.Attrs.(*op.Kernel)
	var failed *mtl.CompileError
	if !isUser || !errors.As(err, &failed) {
		return err
	}
	e := &ir.Error{Code: ir.CodeUser, Op: k.Name, Msg: "the Metal kernel does not compile: " + failed.Text}
	first := true
	for _, d := range failed.Diagnostics {
		if d.Severity != "error" {
			continue
		}
		source := "" // of what is put around the body: a brace too few or too many shows there
		switch d.File {
		case kernels.UserFile:
			source = k.Metal
		case kernels.HeaderFile:
			source = k.Header
		}
		at := placeInCell(source, d)
		text := fmt.Sprintf("%s, line %d: %s", d.File, d.Line, d.Message)
		if first {
			e.Msg, e.Pos = "the Metal kernel does not compile: "+text, at
			if source == "" {
				e.Hint = "are all braces and brackets of the body closed, and none twice?"
			} else {
				e.Notes = append(e.Notes, ir.Note{Msg: strings.TrimPrefix(excerpt(source, d), "\n  ")})
			}
		} else {
			e.Notes = append(e.Notes, ir.Note{Msg: text + excerpt(source, d), Pos: at})
		}
		first = false
	}
	return e
}

// placeInCell is where in a cell a diagnostic points to, if its source stands there word for word.
func placeInCell(source string, d mtl.Diagnostic) ir.Pos {
	at, ok := ir.Find(source)
	if !ok {
		return ir.Pos{}
	}
	if d.Line == 1 {
		at.Col += d.Column - 1
	} else {
		at.Col = d.Column
	}
	at.Line += d.Line - 1
	return at
}

// excerpt is the line that a diagnostic is of, with a mark under the place.
func excerpt(source string, d mtl.Diagnostic) string {
	lines := strings.Split(source, "\n")
	if source == "" || d.Line < 1 || d.Line > len(lines) {
		return ""
	}
	line := lines[d.Line-1]
	before := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, line[:min(max(d.Column-1, 0), len(line))])
	return fmt.Sprintf("\n    %s\n    %s^", line, before)
}
