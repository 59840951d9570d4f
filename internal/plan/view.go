package plan

import (
	"slices"

	"loris/internal/ir"
)

// View is how elements lie in a buffer; Strides and Offset count elements.
type View struct {
	Shape   ir.Shape
	Strides []int
	Offset  int
}

// Dense returns the row-major view of a shape.
func Dense(s ir.Shape) View { return View{Shape: s, Strides: s.Strides()} }

// IsDense reports whether the elements lie row-major without gaps (the offset
// may be anything). Strides of dimensions of size 1 do not matter.
func (v View) IsDense() bool {
	n := 1
	for i := len(v.Shape) - 1; i >= 0; i-- {
		if v.Shape[i] != 1 && v.Strides[i] != n {
			return v.Shape.Size() == 0
		}
		n *= v.Shape[i]
	}
	return true
}

// IsScalar reports whether every element of the view is the same one.
func (v View) IsScalar() bool {
	for i, d := range v.Shape {
		if d != 1 && v.Strides[i] != 0 {
			return false
		}
	}
	return true
}

// Permute returns the view with dimension i taken from dimension perm[i].
func (v View) Permute(perm []int) View {
	s, st := make(ir.Shape, len(perm)), make([]int, len(perm))
	for i, p := range perm {
		s[i], st[i] = v.Shape[p], v.Strides[p]
	}
	return View{s, st, v.Offset}
}

// Expand broadcasts the view to a shape of at least as many dimensions.
func (v View) Expand(to ir.Shape) View {
	st := make([]int, len(to))
	off := len(to) - len(v.Shape)
	for i := range v.Shape {
		if v.Shape[i] == to[off+i] && v.Shape[i] != 1 {
			st[off+i] = v.Strides[i]
		}
	}
	return View{to, st, v.Offset}
}

// Slice takes elements start, start+step … of each dimension; shape is the result's.
func (v View) Slice(start, step []int, shape ir.Shape) View {
	st := slices.Clone(v.Strides)
	off := v.Offset
	for i := range shape {
		if shape[i] > 0 {
			off += start[i] * v.Strides[i]
		}
		st[i] *= step[i]
	}
	return View{shape, st, off}
}

// Reshape returns the same elements in row-major order under another shape, or
// ok = false where no strides can express it.
func (v View) Reshape(to ir.Shape) (w View, ok bool) {
	st := make([]int, len(to))
	if to.Size() == 0 {
		return View{to, to.Strides(), v.Offset}, true
	}
	type run struct{ size, stride int }
	var runs [16]run
	n := 0
	for i, d := range v.Shape { // merge dimensions that lie behind each other
		switch {
		case d == 1:
		case n > 0 && runs[n-1].stride == d*v.Strides[i]:
			runs[n-1] = run{runs[n-1].size * d, v.Strides[i]}
		default:
			if n == len(runs) {
				return View{}, false
			}
			runs[n] = run{d, v.Strides[i]}
			n++
		}
	}
	k, left := n-1, 1
	if n > 0 {
		left = runs[n-1].size
	}
	inner := 1 // elements of run k already handed out
	for i := len(to) - 1; i >= 0; i-- {
		d := to[i]
		if d == 1 {
			continue
		}
		if left == 1 {
			k--
			if k < 0 {
				return View{}, false
			}
			left, inner = runs[k].size, 1
		}
		if left%d != 0 {
			return View{}, false
		}
		st[i] = runs[k].stride * inner
		inner *= d
		left /= d
	}
	return View{to, st, v.Offset}, true
}

// Span returns the least and the greatest element offset that the view touches;
// an empty view has lo > hi.
func (v View) Span() (lo, hi int) {
	lo, hi = v.Offset, v.Offset
	for i, d := range v.Shape {
		if d == 0 {
			return 0, -1
		}
		if s := (d - 1) * v.Strides[i]; s < 0 {
			lo += s
		} else {
			hi += s
		}
	}
	return lo, hi
}

// Collapse returns an equal view with as few dimensions as possible: sizes of 1
// are dropped and dimensions that lie behind each other merged. A scalar gives
// one dimension of size 1 and stride 0.
func (v View) Collapse() View {
	s, st := make(ir.Shape, 0, len(v.Shape)), make([]int, 0, len(v.Shape))
	for i, d := range v.Shape {
		if d == 1 {
			continue
		}
		if n := len(s); n > 0 && st[n-1] == d*v.Strides[i] {
			s[n-1] *= d
			st[n-1] = v.Strides[i]
			continue
		}
		s, st = append(s, d), append(st, v.Strides[i])
	}
	if len(s) == 0 {
		return View{ir.Shape{1}, []int{0}, v.Offset}
	}
	return View{s, st, v.Offset}
}
