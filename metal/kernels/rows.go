package kernels

import (
	"math"
	"math/bits"
)

// rowConstants are the function constants of rows.metal, shared by its kernels.
func rowConstants(log, weight, offset, residual, gradient bool) []Constant {
	return constants(log, weight, offset, residual, gradient)
}

// Softmax returns the dispatch of softmax, or log-softmax, along rows. Arguments: x, y.
func Softmax(t Type, rows, columns int, log bool) *Launch {
	l := &Launch{Kernel: "softmax", Variant: t.String(), Source: source("rows.metal", t), Constants: rowConstants(log, false, false, false, false),
		Arguments: []Argument{in("x", t, rows*columns), out("y", t, rows*columns)}, Params: params(rows, columns, float32(0)), Flops: 5 * int64(rows) * int64(columns)}
	l.perRow(rows, columns)
	return l.account()
}

// Norm describes RMSNorm, or LayerNorm, along rows.
type Norm struct {
	Type          Type
	Rows, Columns int
	Eps           float32
	Weight        bool
	Offset        bool // LayerNorm only
	Residual      bool // normalises x + residual and writes that sum too
}

// RMS returns the dispatch of RMSNorm. Arguments: x, residual, weight, y, sum.
func (n Norm) RMS() *Launch {
	size := n.Rows * n.Columns
	l := &Launch{Kernel: "rms_norm", Variant: n.Type.String(), Source: source("rows.metal", n.Type), Constants: rowConstants(false, n.Weight, false, n.Residual, false),
		Arguments: []Argument{in("x", n.Type, size), in("residual", n.Type, sizeIf(n.Residual, size)), in("weight", n.Type, sizeIf(n.Weight, n.Columns)),
			out("y", n.Type, size), out("sum", n.Type, sizeIf(n.Residual, size))},
		Params: params(n.Rows, n.Columns, n.Eps), Flops: 4 * int64(size)}
	l.perRow(n.Rows, n.Columns)
	return l.account()
}

// Layer returns the dispatch of LayerNorm. Arguments: x, residual, weight, offset, y, sum.
func (n Norm) Layer() *Launch {
	size := n.Rows * n.Columns
	l := &Launch{Kernel: "layer_norm", Variant: n.Type.String(), Source: source("rows.metal", n.Type), Constants: rowConstants(false, n.Weight, n.Offset, n.Residual, false),
		Arguments: []Argument{in("x", n.Type, size), in("residual", n.Type, sizeIf(n.Residual, size)), in("weight", n.Type, sizeIf(n.Weight, n.Columns)),
			in("offset", n.Type, sizeIf(n.Offset, n.Columns)), out("y", n.Type, size), out("sum", n.Type, sizeIf(n.Residual, size))},
		Params: params(n.Rows, n.Columns, n.Eps), Flops: 7 * int64(size)}
	l.perRow(n.Rows, n.Columns)
	return l.account()
}

// CrossEntropy describes the loss of logits [Rows, Columns] against int32 targets.
type CrossEntropy struct {
	Type          Type
	Rows, Columns int
	Ignored       int32   // the target that does not count, -100 in PyTorch
	Smoothing     float32 // of labels, 0 to 1
	Gradient      bool
	ScalePerRow   bool // the gradient's factor is one per row, not one for all
}

// Launch returns the dispatch. Arguments: logits, targets, scale (the gradient's factor), loss (a float per
// row), gradient.
func (c CrossEntropy) Launch() *Launch {
	size, scales := c.Rows*c.Columns, 1
	if c.ScalePerRow {
		scales = c.Rows
	}
	l := &Launch{Kernel: "cross_entropy", Variant: c.Type.String(), Source: source("rows.metal", c.Type), Constants: rowConstants(false, false, false, false, c.Gradient),
		Arguments: []Argument{in("logits", c.Type, size), in("targets", I32, c.Rows), in("scale", F32, sizeIf(c.Gradient, scales)), out("loss", F32, c.Rows), out("gradient", c.Type, sizeIf(c.Gradient, size))},
		Params:    params(c.Rows, c.Columns, c.Ignored, c.Smoothing, sizeIf(c.ScalePerRow, 1)), Flops: 6 * int64(size)}
	l.perRow(c.Rows, c.Columns)
	return l.account()
}

// Rope describes rotary position embedding of x [Outer, Sequence, Heads, Size].
type Rope struct {
	Type                         Type
	Outer, Sequence, Heads, Size int
	Rotated                      int // leading elements of each head that are turned, even
	First                        int32
	Base                         float64
	Factor                       float32 // on positions, for linear scaling; 1 normally
	Interleaved                  bool    // pairs are neighbours
	Offset                       bool    // the first position is read from an int64 buffer, and added to First
	Frequencies                  bool    // the angle per position of each pair is read from a float buffer
	Gradient                     bool    // turn backwards
}

// Launch returns the dispatch. Arguments: x, offset, frequencies, y.
func (r Rope) Launch() *Launch {
	size := r.Outer * r.Sequence * r.Heads * r.Size
	direction := float32(1)
	if r.Gradient {
		direction = -1
	}
	l := &Launch{Kernel: "rope", Variant: r.Type.String(), Source: source("rope.metal", r.Type), Constants: constants(r.Interleaved, r.Offset, r.Frequencies),
		Arguments: []Argument{in("x", r.Type, size), in("offset", I64, sizeIf(r.Offset, 1)), in("frequencies", F32, sizeIf(r.Frequencies, r.Rotated/2)), out("y", r.Type, size)},
		Params:    params(r.Outer, r.Sequence, r.Heads, r.Size, r.Rotated, r.First, float32(math.Log2(r.Base)), r.Factor, direction), Flops: 8 * int64(size)}
	l.flat(r.Outer * r.Sequence * r.Heads * (r.Rotated/2 + r.Size - r.Rotated))
	return l.account()
}

// Sort describes sorting the rows of x [Rows, Columns], or taking the first Kept of each.
type Sort struct {
	Type          Type
	Rows, Columns int
	Kept          int // 0 is Columns
	Descending    bool
}

// localRow is the longest row that is sorted in threadgroup memory.
const localRow = 2048

// Launches returns one dispatch for rows up to 2048, with arguments x, values, indices. Longer rows take several,
// over scratch buffers `keys` (of the accumulator type) and `places` (uint32) that all of them share.
func (s Sort) Launches() []*Launch {
	if s.Kept == 0 {
		s.Kept = s.Columns
	}
	padded := max(2, 1<<bits.Len(uint(s.Columns-1)))
	text, flags := source("sort.metal", s.Type), constants(s.Descending)
	with := func(block, distance int) []byte {
		return params(s.Rows, s.Columns, padded, s.Kept, block, distance)
	}
	x := in("x", s.Type, s.Rows*s.Columns)
	values, indices := out("values", s.Type, s.Rows*s.Kept), out("indices", I32, s.Rows*s.Kept)
	if padded <= localRow {
		l := &Launch{Kernel: "sort_rows", Variant: s.Type.String(), Source: text, Constants: flags, Arguments: []Argument{x, values, indices}, Params: with(0, 0)}
		l.Groups, l.Threads = [3]int{s.Rows, 1, 1}, [3]int{min(512, max(32, padded/2)), 1, 1}
		return []*Launch{l.account()}
	}
	size := s.Rows * padded
	load := &Launch{Kernel: "sort_load", Variant: s.Type.String(), Source: text, Constants: flags, Arguments: []Argument{x, out("keys", s.Type.Accumulator(), size), out("places", U32, size)}, Params: with(0, 0)}
	load.flat(size)
	all := []*Launch{load.account()}
	for block := 2; block <= padded; block *= 2 {
		for distance := block / 2; distance > 0; distance /= 2 {
			step := &Launch{Kernel: "sort_step", Variant: s.Type.String(), Source: text, Constants: flags, Arguments: []Argument{out("keys", s.Type.Accumulator(), size), out("places", U32, size)}, Params: with(block, distance)}
			step.flat(size / 2)
			all = append(all, step.account())
		}
	}
	store := &Launch{Kernel: "sort_store", Variant: s.Type.String(), Source: text, Constants: flags, Arguments: []Argument{in("keys", s.Type.Accumulator(), size), in("places", U32, size), values, indices}, Params: with(0, 0)}
	store.flat(s.Rows * s.Kept)
	return append(all, store.account())
}
