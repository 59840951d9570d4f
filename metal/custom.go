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
		x := kernels.Tensor{Name: nameOf(k.Inputs, "in", i, len(l.s.In)), Size: l.s.In[i].Shape.Size()}
		if l.chain != nil && i == l.chained {
			c := l.chain
			x.Chain, args = c.group, append(args, c.args[:len(c.args)-1]...)
		} else {
			p, t, err := l.dense(&l.s.In[i])
			if err != nil {
				return err
			}
			x.Type, args = t, append(args, p)
		}
		u.Inputs = append(u.Inputs, x)
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
	c := l.add(launch, args...)
	if l.chain != nil {
		for n, p := range l.chain.patches {
			p.at = u.ChainParam(launch, l.chained, n)
			c.patches = append(c.patches, p)
		}
	}
	return nil
}

// readByKernel joins step i, an elementwise chain, with step j, a user's kernel
// that alone reads what it makes: elements are computed as they are read.
func (g *joiner) readByKernel(l *lowering, i, j int) bool {
	first, s := &g.p.Steps[i], &g.p.Steps[j]
	if first.Kind != plan.FusedStep || len(first.Out) != 1 || s.Kind != plan.OpStep || s.Op != op.Custom || !g.onlyReader(i, j) {
		return false
	}
	input, y := -1, &first.Out[0]
	for k := range s.In {
		if s.In[k].Buffer != y.Buffer {
			continue
		}
		if input >= 0 || !s.In[k].IsDense() || s.In[k].Offset != y.Offset || s.In[k].Shape.Size() != y.Shape.Size() {
			return false
		}
		input = k
	}
	if k := s.Attrs.(*op.Kernel); input < 0 || !readsOnce(k, nameOf(k.Inputs, "in", input, len(s.In))) {
		return false
	}
	producer := &lowering{p: g.p, s: first, chip: g.chip}
	if producer.program(nil) != nil || len(producer.commands) != 1 || producer.scratch > 0 || producer.commands[0].launch.Kernel != "elementwise" {
		return false
	}
	l.chain, l.chained = &producer.commands[0], input
	if l.custom() != nil || l.verify() != nil {
		*l = lowering{p: l.p, s: s, chip: l.chip}
		return false
	}
	return true
}

var loops = regexp.MustCompile(`\b(for|while|do)\b`)

// readsOnce reports whether each thread reads one element of an array and takes no
// address: it is then as well computed where it is read.
func readsOnce(k *op.Kernel, name string) bool {
	count := func(pattern string) int {
		return len(regexp.MustCompile(fmt.Sprintf(pattern, regexp.QuoteMeta(name))).FindAllString(k.Metal, -1))
	}
	uses, reads, own := count(`\b%s\b`), count(`\b%s\s*\[`), count(`\b%s\s*\[\s*i\s*\]`)
	return reads > 0 && uses == reads && (reads == 1 || reads == own) && count(`&\s*%s\b`) == 0 && !loops.MatchString(k.Metal) &&
		!regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`\b`).MatchString(k.Header)
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
