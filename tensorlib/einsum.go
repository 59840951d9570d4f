package tensorlib

import (
	"slices"
	"strings"

	"loris/internal/ir"
	"loris/internal/op"
)

// Einsum sums products over repeated axes, as numpy.einsum: each operand's axes
// are named by letters, "ij,jk->ik" is a matrix product. Without "->" the
// result has the letters that occur once, in alphabetical order. A letter
// twice in one operand takes the diagonal. "..." stands for leading axes, which
// broadcast. Operands are contracted from left to right.
func Einsum(spec string, tensors ...*Tensor) *Tensor {
	const name = "Einsum"
	e := parseEinsum(name, spec, tensors)
	acc, labels := e.single(0)
	for i := 1; i < len(tensors); i++ {
		next, nextLabels := e.single(i)
		acc, labels = e.contract(acc, labels, next, nextLabels, i)
	}
	var gone []int
	var kept []rune
	for i, l := range labels {
		if slices.Contains(e.out, l) {
			kept = append(kept, l)
		} else {
			gone = append(gone, i)
		}
	}
	if len(gone) > 0 {
		acc = acc.Sum(gone...)
	}
	perm := make([]int, len(e.out))
	identity := true
	for i, l := range e.out {
		perm[i] = slices.Index(kept, l)
		identity = identity && perm[i] == i
	}
	if !identity {
		acc = acc.Transpose(perm...)
	}
	return via(op.Einsum, acc, tensors...)
}

// einsum is a parsed specification; the axes of "..." are labelled by runes
// that no letter is, counted from the right.
type einsum struct {
	name    string
	in      [][]rune
	out     []rune
	tensors []*Tensor
	sizes   map[rune]int
}

const ellipsisLabel = 0x10000

func parseEinsum(name, spec string, tensors []*Tensor) *einsum {
	spec = strings.ReplaceAll(spec, " ", "")
	left, right, explicit := strings.Cut(spec, "->")
	parts := strings.Split(left, ",")
	if len(parts) != len(tensors) || len(tensors) == 0 {
		fail(name, ir.CodeValue, nil, "%q names %d operands; %d are given", spec, len(parts), len(tensors))
	}
	e := &einsum{name: name, tensors: tensors, sizes: map[rune]int{}}
	longest := 0
	for i, p := range parts {
		n := tensors[i].n(name)
		labels := e.labels(spec, p, len(n.Shape), n)
		if len(labels) != len(n.Shape) {
			fail(name, ir.CodeShape, n, "%q names %d axes of operand %d, which has shape %v", p, len(labels), i, n.Shape)
		}
		for a, l := range labels {
			if l >= ellipsisLabel {
				longest = max(longest, int(l-ellipsisLabel)+1)
			}
			if old, ok := e.sizes[l]; ok && old != n.Shape[a] && old != 1 && n.Shape[a] != 1 {
				fail(name, ir.CodeShape, n, "axis %q is %d long in operand %d and %d before", string(l), n.Shape[a], i, old)
			} else if !ok || old == 1 {
				e.sizes[l] = n.Shape[a]
			}
		}
		e.in = append(e.in, labels)
	}
	if explicit {
		e.out = e.labels(spec, right, len(strings.Replace(right, "...", "", 1))+longest, nil)
	} else {
		for i := longest - 1; i >= 0; i-- {
			e.out = append(e.out, ellipsisLabel+rune(i))
		}
		var letters []rune
		for l := range e.sizes {
			if l < ellipsisLabel && strings.Count(left, string(l)) == 1 {
				letters = append(letters, l)
			}
		}
		slices.Sort(letters)
		e.out = append(e.out, letters...)
	}
	for i, l := range e.out {
		if _, ok := e.sizes[l]; !ok {
			fail(name, ir.CodeValue, nil, "%q: the result's axis %q is in no operand", spec, string(l))
		}
		if slices.Contains(e.out[:i], l) {
			fail(name, ir.CodeValue, nil, "%q: axis %q stands twice in the result", spec, string(l))
		}
	}
	return e
}

// labels reads the letters of one operand of the given rank.
func (e *einsum) labels(spec, part string, rank int, n *ir.Node) []rune {
	before, after, dots := strings.Cut(part, "...")
	for _, l := range before + after {
		if (l < 'a' || l > 'z') && (l < 'A' || l > 'Z') {
			fail(e.name, ir.CodeValue, n, "%q: %q is no letter", spec, string(l))
		}
	}
	out := []rune(before)
	if dots {
		for i := rank - len(before) - len(after) - 1; i >= 0; i-- {
			out = append(out, ellipsisLabel+rune(i))
		}
	}
	return append(out, []rune(after)...)
}

// single returns operand i with diagonals taken, and its labels.
func (e *einsum) single(i int) (*Tensor, []rune) {
	x, labels := e.tensors[i], slices.Clone(e.in[i])
	for a := 0; a < len(labels); a++ {
		b := slices.Index(labels[a+1:], labels[a])
		if b < 0 {
			continue
		}
		b += a + 1
		x = x.diagonal(e.name, a, b)
		labels = slices.Delete(labels, b, b+1)
		a--
	}
	return x, labels
}

// diagonal keeps axis a where it equals axis b, which disappears.
func (x *Tensor) diagonal(name string, a, b int) *Tensor {
	n := x.n(name)
	if n.Shape[a] != n.Shape[b] {
		fail(name, ir.CodeShape, n, "the diagonal of axes %d and %d of shape %v", a, b, n.Shape)
	}
	s := make(Shape, len(n.Shape))
	for i := range s {
		s[i] = 1
	}
	s[b] = n.Shape[b]
	s[a] = n.Shape[a]
	hit := wrap(op.Binary(op.Eq, counter(s, a, I64), counter(s, b, I64)))
	return Where(hit, x, Full(0.0).Cast(n.DType)).Sum(b)
}

// contract multiplies two operands and sums over the letters that nothing
// later needs, by one batched matrix product.
func (e *einsum) contract(x *Tensor, xl []rune, y *Tensor, yl []rune, i int) (*Tensor, []rune) {
	needed := func(l rune) bool {
		if slices.Contains(e.out, l) {
			return true
		}
		for _, later := range e.in[i+1:] {
			if slices.Contains(later, l) {
				return true
			}
		}
		return false
	}
	drop := func(t *Tensor, labels, other []rune) (*Tensor, []rune) {
		var gone []int
		var kept []rune
		for a, l := range labels {
			if needed(l) || slices.Contains(other, l) {
				kept = append(kept, l)
			} else {
				gone = append(gone, a)
			}
		}
		if len(gone) > 0 {
			t = t.Sum(gone...)
		}
		return t, kept
	}
	x, xl = drop(x, xl, yl)
	y, yl = drop(y, yl, xl)
	var batch, rows, inner, cols []rune
	for _, l := range xl {
		switch {
		case !slices.Contains(yl, l):
			rows = append(rows, l)
		case needed(l):
			batch = append(batch, l)
		default:
			inner = append(inner, l)
		}
	}
	for _, l := range yl {
		if !slices.Contains(xl, l) {
			cols = append(cols, l)
		}
	}
	a := e.arrange(x, xl, batch, rows, inner)
	b := e.arrange(y, yl, batch, inner, cols)
	out := slices.Concat(batch, rows, cols)
	shape := make([]int, len(out))
	for i, l := range out {
		shape[i] = e.sizes[l]
	}
	if d := ir.Promote(a.DType(), b.DType()); !d.IsFloat() {
		// Integers have no matrix product: multiply and add.
		return wrap(matmul(a.Cast(I64).n(e.name), b.Cast(I64).n(e.name))).Reshape(shape...), out
	}
	return a.MatMul(b).Reshape(shape...), out
}

// arrange returns t as [batch p q], each the product of its letters' sizes.
func (e *einsum) arrange(t *Tensor, labels []rune, groups ...[]rune) *Tensor {
	order := slices.Concat(groups...)
	perm, full := make([]int, len(order)), make([]int, len(order))
	for i, l := range order {
		perm[i], full[i] = slices.Index(labels, l), e.sizes[l]
	}
	shape := make([]int, len(groups))
	for i, g := range groups {
		shape[i] = 1
		for _, l := range g {
			shape[i] *= e.sizes[l]
		}
	}
	return t.Transpose(perm...).Expand(full...).Reshape(shape...)
}
