package op

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"loris/internal/ir"
)

// MaxRank is the largest number of axes of a tensor.
const MaxRank = 16

// MaxElements is the largest number of elements of a tensor.
const MaxElements = 1 << 40

// problem is what Infer returns: the part of an error that only the row knows.
func problem(code ir.Code, format string, args ...any) *ir.Error {
	return &ir.Error{Code: code, Msg: fmt.Sprintf(format, args...)}
}

func (h hinted) with(e *ir.Error) *ir.Error { e.Hint = string(h); return e }

type hinted string

// Raise panics with e, completed by the op's name, the place of the call and
// where each operand came from.
func Raise(name string, e *ir.Error, in ...*ir.Node) {
	if e.Op == "" {
		e.Op = name
	}
	if e.Pos.Line == 0 {
		e.Pos = Here()
	}
	if e.Shapes == nil {
		for i, n := range in {
			if n == nil {
				continue
			}
			e.Shapes = append(e.Shapes, n.Shape)
			e.DTypes = append(e.DTypes, n.DType)
			e.Notes = append(e.Notes, ir.Note{Pos: n.Pos, Msg: fmt.Sprintf("%s  %s%s  %s", operand(i, len(in)), n.DType, n.Shape, Origin(n))})
		}
	}
	panic(e)
}

// operand is the name of operand i in messages.
func operand(i, n int) string {
	if n <= 4 {
		return [...]string{"x", "w", "v", "u"}[i]
	}
	return fmt.Sprintf("x%d", i)
}

// Origin says which call of the API made n: "lt.Zeros", "x.MatMul".
func Origin(n *ir.Node) string {
	id := n.Op
	if n.Via != Invalid {
		id = n.Via
	} else if a, ok := n.Attrs.(Name); ok && a.Slot != nil || id == Leaf && n.Flags&ir.Tracked != 0 {
		return "a parameter"
	} else if id == Leaf {
		return "data"
	}
	row := &Table[id]
	if row.API == "" {
		return row.Name
	}
	if row.Function {
		return "lt." + row.API
	}
	if id >= Normal && id <= Permutation {
		return "Rand." + row.API
	}
	return "." + row.API
}

// Here returns the place of the call into the library: the cell's, or without
// a host that of the first caller outside of the library.
func Here() ir.Pos {
	if h := ir.CurrentHost(); h != nil {
		if p := h.Pos(); p.Line > 0 {
			return p
		}
	}
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if f.Line > 0 && !isLibrary(f) {
			return ir.Pos{Cell: filepath.Base(f.File), Line: f.Line}
		}
		if !more {
			return ir.Pos{}
		}
	}
}

// isLibrary reports whether f belongs to the library (its tests do not).
func isLibrary(f runtime.Frame) bool {
	return strings.HasPrefix(f.Function, "runtime.") ||
		(strings.HasPrefix(f.Function, "loris/tensorlib") || strings.HasPrefix(f.Function, "loris/internal/")) &&
			!strings.HasSuffix(f.File, "_test.go")
}

// CheckShape reports what is wrong with a shape that a user gave.
func CheckShape(s ir.Shape) *ir.Error {
	if len(s) > MaxRank {
		return problem(ir.CodeShape, "%d axes; at most %d are possible", len(s), MaxRank)
	}
	size := 1
	for _, d := range s {
		if d < 0 {
			return problem(ir.CodeShape, "negative size in shape %v", s)
		}
		if d > 0 && size > MaxElements/d {
			return problem(ir.CodeShape, "shape %v has more than 2^40 elements", s)
		}
		size *= d
	}
	return nil
}

// checkAxis checks an axis that is already counted from the front.
func checkAxis(axis, rank int) *ir.Error {
	if axis < 0 || axis >= rank {
		return problem(ir.CodeAxis, "axis %d is out of range for %d axes", axis, rank)
	}
	return nil
}

func checkRank(n *ir.Node, what string, least int) *ir.Error {
	if len(n.Shape) < least {
		return problem(ir.CodeShape, "%s has shape %v; at least %d axes are needed", what, n.Shape, least)
	}
	return nil
}

func checkFloat(n *ir.Node, what string) *ir.Error {
	if !n.DType.IsFloat() {
		return hinted("cast it: x.Cast(lt.F32)").with(
			problem(ir.CodeDType, "%s is %s; a floating-point dtype is needed", what, n.DType))
	}
	return nil
}

func checkIndex(n *ir.Node, what string) *ir.Error {
	if n.DType != ir.I64 && n.DType != ir.I32 {
		return hinted("cast them: idx.Cast(lt.I64)").with(
			problem(ir.CodeDType, "%s are %s; i64 or i32 is needed", what, n.DType))
	}
	return nil
}

func checkDense(in []*ir.Node) *ir.Error {
	for _, n := range in {
		if n.DType == ir.Q8 || n.DType == ir.Q4 {
			return hinted("call Dequantize first").with(
				problem(ir.CodeDType, "a quantised %s matrix can only be multiplied (x.MatMul(w.T())) or dequantised", n.DType))
		}
	}
	return nil
}

func checkSame(in []*ir.Node) *ir.Error {
	for _, n := range in[1:] {
		if n.DType != in[0].DType {
			return problem(ir.CodeDType, "dtypes differ: %s and %s", in[0].DType, n.DType)
		}
	}
	return nil
}

func firstError(errs ...*ir.Error) *ir.Error {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}
