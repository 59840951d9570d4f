package kernels

import (
	"encoding/binary"
	"fmt"
)

// Reduction is what a reduction computes.
type Reduction uint32

const (
	Sum Reduction = iota
	Mean
	Max
	Min
	Product
)

func (r Reduction) String() string { return [...]string{"sum", "mean", "max", "min", "product"}[r] }

// reducing is a reduction of x [outer, length, inner] over length, or of `splits` parts of it.
type reducing struct {
	t                            Type // whose accumulator is reduced in
	in, out                      Type
	outer, length, inner, splits int
	kind                         Reduction
}

func (r reducing) launch(kernel string, outputs int) *Launch {
	definitions := []string{"IN " + r.in.MSL(), "OUT " + r.out.MSL()}
	if r.t.Accumulator() == I64 {
		definitions = append(definitions, "WIDE")
	}
	l := &Launch{Kernel: kernel, Variant: fmt.Sprintf("%v %v", r.t, r.kind), Source: source("reduce.metal", r.t, definitions...), Constants: constants(uint32(r.kind)),
		Arguments: []Argument{in("x", r.in, r.outer*r.length*r.inner), out("y", r.out, outputs)},
		Params:    params(r.outer, r.length, r.inner, r.splits, ceil(r.length, r.splits)), Flops: int64(r.outer) * int64(r.length) * int64(r.inner)}
	return l.account()
}

// reduce takes a threadgroup per part of a row, or else a thread per part of an output.
func (r reducing) reduce() *Launch {
	parts := r.outer * r.inner * r.splits
	if r.inner == 1 {
		l := r.launch("reduce_rows", parts)
		l.perRow(parts, ceil(r.length, r.splits))
		return l
	}
	l := r.launch("reduce_columns", parts)
	l.flat(parts)
	return l
}

// reductionSplits is how many parts a reduction is made in, so that few long sums occupy the whole GPU.
func reductionSplits(outputs, length, inner int) int {
	const threads, rowPart, columnPart = 16384, 8192, 32 // wanted at once; the least elements of a part
	if inner == 1 {
		if outputs >= 16 || length < 4*rowPart {
			return 1
		}
		return min(ceil(256, outputs), length/rowPart)
	}
	if outputs >= threads/4 || length < 8*columnPart {
		return 1
	}
	return min(threads/outputs, length/columnPart)
}

// Reduce returns the dispatches that reduce x [outer, length, inner] over length, in the type's accumulator. One has
// the arguments x and y, of one type; of two, the first writes and the second reads scratch memory of the accumulator's
// type. For Bool, Max is any and Min is all.
func Reduce(t Type, outer, length, inner int, r Reduction) []*Launch {
	whole := reducing{t, t, t, outer, length, inner, 1, r}
	splits := reductionSplits(outer*inner, length, inner)
	if splits <= 1 || r == Mean || length == 0 {
		return []*Launch{whole.reduce()}
	}
	splits = ceil(length, ceil(length, splits)) // without empty parts
	first, second := whole, whole
	first.splits, first.out = splits, t.Accumulator()
	second.in, second.outer, second.inner, second.length = t.Accumulator(), outer*inner, 1, splits
	return []*Launch{first.reduce(), second.reduce()}
}

// ArgReduce returns the dispatch of arg max (r = Max) or arg min; y is int32.
func ArgReduce(t Type, outer, length, inner int, r Reduction) *Launch {
	l := reducing{t, t, I32, outer, length, inner, 1, r}.launch("arg_reduce", outer*inner)
	l.perRow(outer*inner, length)
	return l
}

// CumulativeSum returns the dispatch of running sums along length.
func CumulativeSum(t Type, outer, length, inner int) *Launch {
	l := reducing{t, t, t, outer, length, inner, 1, Sum}.launch("cumulative_sum", outer*length*inner)
	l.Groups, l.Threads = [3]int{outer * inner, 1, 1}, [3]int{32, 1, 1}
	return l
}

// Index describes gathering from or scattering into a tensor [Outer, Axis, Inner] with Count int32 indices; Along has
// an index per element, [Outer, Count, Inner]. The last argument, `status`, is one uint32 that must be 0 before: a
// bad index leaves its place + 1 there.
type Index struct {
	Type                      Type
	Outer, Axis, Count, Inner int
	Along                     bool
	Add                       bool // scatter adds instead of setting
}

func (x Index) launch(kernel string, a, b Argument, threads int) *Launch {
	indices := x.Count
	if x.Along {
		kernel += "_along"
		indices *= x.Outer * x.Inner
	}
	l := &Launch{Kernel: kernel, Variant: x.Type.String(), Source: source("index.metal", x.Type), Constants: constants(x.Add),
		Arguments: []Argument{a, in("index", I32, indices), b, out("status", U32, 1)}, Params: params(x.Outer, x.Axis, x.Count, x.Inner)}
	l.flat(threads)
	return l.account()
}

// Gather returns the dispatch of y[o,j,i] = x[o, index, i]. Arguments: x, index, y, status.
func (x Index) Gather() *Launch {
	moved := x.Outer * x.Count * x.Inner
	return x.launch("gather", in("x", x.Type, x.Outer*x.Axis*x.Inner), out("y", x.Type, moved), moved)
}

// Scatter returns the dispatch that writes source elements to their places in x, which holds the old values.
// Arguments: source, index, x, status.
func (x Index) Scatter() *Launch {
	return x.launch("scatter", in("source", x.Type, x.Outer*x.Count*x.Inner), out("x", x.Type, x.Outer*x.Axis*x.Inner), x.Outer*x.Inner)
}

// Random describes a draw from Threefry-2x32, see random.metal. Key and counter stand in Params, which may be written
// anew for each run: see SetDraw.
type Random struct {
	Type      Type
	Size      int
	Key       [2]uint32
	Counter   uint64
	Low, Span int64 // of Integers: [Low, Low+Span)
}

func (r Random) launch(kernel string, t Type, perThread int, fields ...any) *Launch {
	l := &Launch{Kernel: kernel, Variant: t.String(), Source: source("random.metal", t), Arguments: []Argument{out("out", t, r.Size)},
		Params: params(append([]any{r.Size, r.Key[0], r.Key[1], uint32(r.Counter), uint32(r.Counter >> 32)}, fields...)...)}
	l.flat(ceil(r.Size, perThread))
	return l.account()
}

// Bits, Uniform in [0, 1), Normal (mean 0, deviation 1) and Integers return the dispatches. Argument: out.
func (r Random) Bits() *Launch    { return r.launch("random_bits", U32, 2) }
func (r Random) Uniform() *Launch { return r.launch("random_uniform", r.Type, 2) }
func (r Random) Normal() *Launch  { return r.launch("random_normal", r.Type, 2) }
func (r Random) Integers() *Launch {
	return r.launch("random_integers", r.Type, 1, uint32(r.Span), uint32(r.Span>>32), uint32(r.Low), uint32(r.Low>>32))
}

// SetDraw writes another key and counter into the parameters of a random launch.
func SetDraw(p []byte, key [2]uint32, counter uint64) {
	for i, w := range [4]uint32{key[0], key[1], uint32(counter), uint32(counter >> 32)} {
		binary.LittleEndian.PutUint32(p[4+4*i:], w)
	}
}

// Copy describes to[…] = from[…] over Shape, with strides in elements, of up to 8 axes.
type Copy struct {
	From, To               Type
	Shape                  []int
	FromStrides, ToStrides []int
	FromOffset, ToOffset   int
	FromSize, ToSize       int // elements of the two tensors' storage
}

// conversion is the expression that turns element x of one type into the other.
func conversion(from, to Type) string {
	switch {
	case from == to:
		return "(x)"
	case to == Bool:
		if from == BF16 {
			return "(float(x) != 0.0f)"
		}
		return "((x) != 0)"
	case from == Bool && to.Float():
		return fmt.Sprintf("%s((x) ? 1.0f : 0.0f)", to.MSL())
	case from.Float() && !to.Float():
		return fmt.Sprintf("to_%s(float(x))", to.MSL())
	case from == BF16 || to == BF16:
		return fmt.Sprintf("%s(float(x))", to.MSL())
	}
	return fmt.Sprintf("%s(x)", to.MSL())
}

func copySource(from, to Type) string {
	return source("copy.metal", F32, "FROM "+from.MSL(), "TO "+to.MSL(), "CONVERT(x) "+conversion(from, to))
}

// Launch returns the dispatch. Arguments: from, to.
func (c Copy) Launch() *Launch {
	size := 1
	for _, n := range c.Shape {
		size *= n
	}
	fields := []any{size, len(c.Shape), c.FromOffset, c.ToOffset}
	column := func(values []int, signed bool) {
		for i := range 8 {
			v := 0
			if i < len(values) {
				v = values[i]
			}
			if signed {
				fields = append(fields, int32(v))
			} else {
				fields = append(fields, v)
			}
		}
	}
	column(c.Shape, false)
	column(c.FromStrides, true)
	column(c.ToStrides, true)
	l := &Launch{Kernel: "copy_strided", Variant: fmt.Sprintf("%v→%v", c.From, c.To), Source: copySource(c.From, c.To), Constants: constants(false),
		Arguments: []Argument{in("from", c.From, c.FromSize), out("to", c.To, c.ToSize)}, Params: params(fields...)}
	l.flat(size)
	return l.account()
}

// Cast returns the dispatch of to[i] = from[i], or of to[i] = from[0] if fill. Arguments: from, to.
func Cast(from, to Type, size int, fill bool) *Launch {
	fields := []any{size, 1, 0, 0}
	for range 24 {
		fields = append(fields, 0)
	}
	length := size
	if fill {
		length = 1
	}
	l := &Launch{Kernel: "copy_contiguous", Variant: fmt.Sprintf("%v→%v", from, to), Source: copySource(from, to), Constants: constants(fill),
		Arguments: []Argument{in("from", from, length), out("to", to, size)}, Params: params(fields...)}
	l.flat(size)
	return l.account()
}
