package tensorlib

import (
	"fmt"
	"strings"

	"loris/display"
	"loris/internal/ir"
	"loris/internal/op"
)

// NaNReport tells where NaN or an infinity comes from.
type NaNReport struct {
	Op      string // the call that made it: ".Log", "lt.From"
	Place   string // of that call: cell and line
	DType   DType
	Shape   Shape
	NaN     int      // elements that are NaN
	Inf     int      // elements that are infinite
	Inputs  []string // what the call was given, all of it finite
	Checked int      // tensors that were looked at
}

// OK reports whether everything is finite.
func (r *NaNReport) OK() bool { return r.NaN == 0 && r.Inf == 0 }

// FindNaN looks for the first tensor with NaN or an infinity among the given ones
// and all that they are computed from: one whose inputs are all finite. It computes
// them, without storing any. What was evaluated before and is not tracked is looked
// at as it is, not at what it was computed from.
func FindNaN(tensors ...*Tensor) *NaNReport {
	var suspects []*ir.Node
	var finite []*Tensor
	for _, n := range newDrawing(nodes("FindNaN", tensors)).order {
		if n.DType.IsFloat() && n.Op != op.Const && n.Shape.Size() > 0 {
			suspects = append(suspects, n)
			finite = append(finite, wrap(n).IsFinite().All())
		}
	}
	r := &NaNReport{Checked: len(suspects)}
	if len(suspects) == 0 {
		return r
	}
	for i, ok := range Stack(0, finite...).Bools() {
		if !ok {
			r.describe(suspects[i])
			break
		}
	}
	return r
}

// describe counts what is not finite in n, the first of its kind.
func (r *NaNReport) describe(n *ir.Node) {
	x := wrap(n)
	nan, inf := x.IsNaN().Sum(), x.IsInf().Sum()
	Eval(nan, inf)
	r.Op, r.Place, r.DType, r.Shape, r.NaN, r.Inf = op.Origin(n), placeOf(n.Pos), n.DType, n.Shape, nan.Ints()[0], inf.Ints()[0]
	if n.Value() != nil {
		return
	}
	for _, in := range n.Inputs() {
		s := fmt.Sprintf("%s%v  %s", in.DType, in.Shape, op.Origin(in))
		if y := wrap(in); in.DType.Bytes() > 0 && in.Shape.Size() > 0 {
			least, most := y.Min(), y.Max()
			Eval(least, most)
			s += fmt.Sprintf(", %.6g … %.6g", least.Item(), most.Item())
		}
		r.Inputs = append(r.Inputs, s)
	}
}

// String tells it in words.
func (r *NaNReport) String() string {
	if r.OK() {
		return fmt.Sprintf("%d tensors: all finite", r.Checked)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s gives %d NaN and %d infinities among %d elements, %s%v, %s", r.Op, r.NaN, r.Inf, r.Shape.Size(), r.DType, r.Shape, r.Place)
	for _, in := range r.Inputs {
		fmt.Fprintf(&b, "\n  of %s", in)
	}
	return b.String()
}

// MIME shows the report.
func (r *NaNReport) MIME() map[string]any {
	return display.Output{Part: display.Note(r.String()), Result: display.Result{Values: map[string]any{"ok": r.OK()}}}.MIME()
}
