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
	u := kernels.User{Name: "kernel_" + notInNames.ReplaceAllString(k.Name, "_"), Body: k.Metal, Grid: k.Grid}
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
		return &ir.Error{Code: ir.CodeUser, Op: k.Name, Msg: err.Error()}
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

// userError tells what the compiler says about a user's kernel by the lines of its body.
func userError(s *plan.Step, err error) error {
	k, isUser := s.Attrs.(*op.Kernel)
	var failed *mtl.CompileError
	if !isUser || !errors.As(err, &failed) {
		return err
	}
	var text []string
	for _, d := range failed.Diagnostics {
		if d.Severity == "error" {
			text = append(text, fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Column, d.Message))
		}
	}
	if len(text) == 0 {
		text = []string{failed.Text}
	}
	return &ir.Error{Code: ir.CodeUser, Op: k.Name, Msg: "the Metal kernel does not compile:\n" + strings.Join(text, "\n")}
}
