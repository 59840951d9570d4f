package tensorlib

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"loris/internal/ir"
	"loris/internal/op"
)

// Text of tensors, in the style of NumPy.

const (
	longest   = 1000 // elements that are printed in full
	edgeItems = 3    // printed at each end of a longer axis
	lineWidth = 96
)

// String computes x and returns its elements, shape and dtype. It never
// panics: of a tensor that cannot be computed it is the error's text.
func (x *Tensor) String() (s string) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Error:
			s = "<" + e.Error() + ">"
		default:
			s = fmt.Sprintf("<panic: %v>", e)
		}
	}()
	if x == nil || x.node.Load() == nil {
		return "<nil tensor>"
	}
	n := x.n("String")
	v := dense(x).Floats()
	if len(n.Shape) == 0 {
		return formatter(n.DType, v)(v[0])
	}
	return printed(n.DType, n.Shape, v) + "  " + n.DType.String() + n.Shape.String()
}

// GoString describes x without computing it; %#v prints it.
func (x *Tensor) GoString() string {
	if x == nil || x.node.Load() == nil {
		return "<nil tensor>"
	}
	n := x.node.Load()
	state := "not computed"
	if n.Value() != nil {
		state = "computed"
	}
	return fmt.Sprintf("%s%v %s, %s", n.DType, n.Shape, op.Origin(n), state)
}

// printed returns nested rows, cut in the middle where there are many.
func printed(dtype DType, s Shape, v []float64) string {
	limit := math.MaxInt
	if len(v) > longest {
		limit = 2 * edgeItems
	}
	shown := visible(nil, s, v, limit)
	format := formatter(dtype, shown)
	width := 0
	for _, e := range shown {
		width = max(width, utf8.RuneCountInString(format(e)))
	}
	var b strings.Builder
	writeRows(&b, s, v, limit, 0, func(e float64) string {
		t := format(e)
		return strings.Repeat(" ", width-utf8.RuneCountInString(t)) + t
	})
	return b.String()
}

// visible appends the elements that are not cut.
func visible(dst []float64, s Shape, v []float64, limit int) []float64 {
	if len(s) == 0 {
		return append(dst, v[0])
	}
	each := s[1:].Size()
	for i := range s[0] {
		if s[0] > limit && i >= edgeItems && i < s[0]-edgeItems {
			continue
		}
		dst = visible(dst, s[1:], v[i*each:], limit)
	}
	return dst
}

func writeRows(b *strings.Builder, s Shape, v []float64, limit, indent int, format func(float64) string) {
	b.WriteByte('[')
	defer b.WriteByte(']')
	each := ir.Shape(s[1:]).Size()
	column := indent + 1
	for i := 0; i < s[0]; i++ {
		if i > 0 {
			if len(s) == 1 {
				b.WriteByte(' ')
				column++
			} else {
				b.WriteString(strings.Repeat("\n", len(s)-1) + strings.Repeat(" ", indent+1))
			}
		}
		if s[0] > limit && i == edgeItems {
			b.WriteString("…")
			i = s[0] - edgeItems - 1
			continue
		}
		if len(s) > 1 {
			writeRows(b, s[1:], v[i*each:], limit, indent+1, format)
			continue
		}
		t := format(v[i])
		if n := utf8.RuneCountInString(t); column+n > lineWidth && column > indent+1 {
			b.WriteString("\n" + strings.Repeat(" ", indent+1))
			column = indent + 1
		}
		b.WriteString(t)
		column += utf8.RuneCountInString(t)
	}
}

// formatter chooses one notation for all elements: integers, fixed point with
// as many digits as are needed up to 4, or scientific where sizes differ much.
func formatter(dtype DType, v []float64) func(float64) string {
	switch {
	case dtype == Bool:
		return func(x float64) string { return strconv.FormatBool(x != 0) }
	case !dtype.IsFloat():
		return func(x float64) string { return strconv.FormatFloat(x, 'f', 0, 64) }
	}
	low, high := math.Inf(1), 0.0
	integral := true
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			continue
		}
		if x != math.Trunc(x) {
			integral = false
		}
		if a := math.Abs(x); a > 0 {
			low, high = math.Min(low, a), math.Max(high, a)
		}
	}
	return func(x float64) string {
		switch {
		case math.IsNaN(x):
			return "NaN"
		case math.IsInf(x, 1):
			return "+Inf"
		case math.IsInf(x, -1):
			return "-Inf"
		case integral && high < 1e8:
			return strconv.FormatFloat(x, 'f', 0, 64)
		case high >= 1e6 || low < 1e-4 && high < 1e-2 || high/low > 1e8 && high > 0:
			return strconv.FormatFloat(x, 'e', 4, 64)
		case high >= 1000:
			return strconv.FormatFloat(x, 'f', 2, 64)
		}
		return strconv.FormatFloat(x, 'f', 4, 64)
	}
}
