package op

import (
	"encoding/binary"
	"math"

	"loris/internal/ir"
)

// Fill is the target shape of Const, Reshape, Expand and DynamicSlice.
type Fill struct{ Shape ir.Shape }

// Range is element i of Iota along Axis: Start + i·Step.
type Range struct {
	Shape       ir.Shape
	DType       ir.DType
	Axis        int
	Start, Step float64
}

// Dist is a distribution that devices draw from.
type Dist uint8

// The distributions of Random. With w the 32-bit words and W = w0<<32 | w1 the
// 64-bit words of the stream (see Draw):
const (
	UniformDist Dist = iota // [0, 1): (w>>8)·2⁻²⁴; f64: (W>>11)·2⁻⁵³
	NormalDist              // √2·erfinv(2u−1) with u = ((w>>8)+½)·2⁻²⁴; f64: ((W>>11)+½)·2⁻⁵³
	RandintDist             // i64: Lo + high 64 bits of W·(Hi−Lo), unsigned
)

// Draw is a stretch of a Threefry-2x32 stream (20 rounds, as in Random123).
// Block b is threefry(Key, [low 32 bits of b, high 32 bits of b]) = [w0, w1].
// Element i (row-major) of a draw of 32-bit words is word i&1 of block
// Counter + i/2; of a draw of 64-bit words (f64, Randint) it is block
// Counter + i. f16 and bf16 round the f32 value.
type Draw struct {
	Shape   ir.Shape
	DType   ir.DType
	Dist    Dist
	Key     [2]uint32
	Counter uint64
	Lo, Hi  int64 // Randint: [Lo, Hi)
	// Redraw returns the draw that the same call makes the next time, for graphs
	// that are built once and run often; it is no part of the key.
	Redraw func(Draw) Draw
}

// Perm is the axis order of Transpose: output axis i is input axis Axes[i].
type Perm struct{ Axes []int }

// Window is a strided box: output index i along axis a is input index
// Start[a] + i·Step[a], 0 ≤ i < Size[a]. Every index is in range.
type Window struct{ Start, Size, Step []int }

// Name labels a node in graph views. Slot is the parameter whose value the node
// (Named or Leaf) is, if it is one; it is no part of the key.
type Name struct {
	Name string
	Slot any
}

// To is the dtype of Cast and Dequantize. Float to integer truncates towards
// zero and saturates, NaN gives 0; to bool is x ≠ 0.
type To struct{ DType ir.DType }

// Margins are the counts of elements that Pad adds on each side of each axis.
type Margins struct {
	Before, After []int
	Value         float64
}

// Derivative is the derivative of CustomVJP: the gradients of its arguments, nil for
// zero, given these, the result and its gradient.
type Derivative struct {
	VJP func(in []*ir.Node, out, g *ir.Node) []*ir.Node
}

// Axis is one axis, counted from the front.
type Axis struct{ Axis int }

// Reduce lists the axes that go, ascending, counted from the front.
type Reduce struct {
	Axes []int
	Keep bool // keep them with size 1
}

// Scan is a running sum along Axis, from the end if Reverse.
type Scan struct {
	Axis    int
	Reverse bool
}

// Order is the direction of Sort along Axis.
type Order struct {
	Axis       int
	Descending bool
}

// Top is the number of largest (or smallest) elements along Axis.
type Top struct {
	Axis, K  int
	Smallest bool
}

// Conv holds the parameters of a convolution: [height, width] each.
type Conv struct {
	Stride, Pad, Dilation [2]int
	Groups                int
	Shape                 ir.Shape // gradients only: shape of the result
}

// Attend holds the parameters of Attention. Causal hides key j from query i
// when j > i + (keys − queries). Mask is the position of the mask among the
// inputs, 0 if there is none: bool (true = look) or float (added), broadcast
// to [b h t s]. A query that may look at nothing gives zeros.
type Attend struct {
	Scale  float64
	Causal bool
	Mask   int
}

// ScatterMode says what Scatter does with an update.
type ScatterMode uint8

// The modes of Scatter.
const (
	ScatterSet ScatterMode = iota // the last of several updates of one element wins
	ScatterAdd
)

// Scattering says where Scatter's updates go: with Along, update u at index
// position p goes to x[p with indices[p] on Axis] (updates have the shape of
// the indices, as in TakeAlong); without, whole slices go to x's slice number
// indices[p] along Axis (updates have the shape of Take(x, indices)).
type Scattering struct {
	Axis  int
	Along bool
	Mode  ScatterMode
}

// Norm is the constant under the root of RMSNorm and LayerNorm. Bias says that
// the last input is a bias, Weight that input 1 is a weight.
type Norm struct {
	Eps          float64
	Weight, Bias bool
}

// Rotary are the parameters of RoPE on the first Dims of the last axis.
// Element pair p of position t turns by (t + offset)·Scale·f(p), where
// f(p) = Base^(−2p/Dims) or the given frequencies. Pairs are (p, p+Dims/2), or
// (2p, 2p+1) if Interleaved. Inverse turns back.
type Rotary struct {
	Dims        int
	Base, Scale float64
	Interleaved bool
	Inverse     bool
}

// Targets are the parameters of CrossEntropy: loss = (1−Smoothing)·(−log p[t]) +
// Smoothing·mean(−log p), 0 where the target is Ignore. With Index targets are
// indices as TakeAlong takes them: negative ones count from the end, none is ignored.
type Targets struct {
	Ignore    int64
	Smoothing float64
	Index     bool
}

// Quant is affine group-wise quantisation along the last axis with 8 or 4 bits.
type Quant struct {
	DType ir.DType // Q8 or Q4
	Group int
}

// AdamWStep are the constants of one AdamW update; input h holds
// {learning rate, 1/(1−β1ᵗ), 1/(1−β2ᵗ)}:
// m = β1·m + (1−β1)·g, v = β2·v + (1−β2)·g²,
// p = p − lr·λ·p − lr·(m·h1)/(√(v·h2) + ε).
type AdamWStep struct{ Beta1, Beta2, Eps, Decay float64 }

// Kernel is a user's kernel; ID tells kernels apart.
type Kernel struct {
	ID     uint64
	Name   string
	Grid   [3]int
	Shapes []ir.Shape // of the outputs
	DTypes []ir.DType // of the outputs
	// CPU does the work of threads lo…hi-1 of the grid (all arrays are f32).
	CPU             func(in, out [][]float32, lo, hi int)
	Metal, Header   string   // body in the Metal Shading Language, and what stands before it
	Inputs, Outputs []string // names of the arrays in Metal; none means in0, in1, …, out0, …, or in and out
	// VJP returns the gradient of each input, given inputs, outputs and the
	// gradient of each output; nil if there is none.
	VJP func(in, out, g []*ir.Node) []*ir.Node
}

// AppendKey implements ir.Attrs, as do the methods below.
func (a Fill) AppendKey(b []byte) []byte { return keyInts(b, a.Shape) }

// AppendKey implements ir.Attrs.
func (a Range) AppendKey(b []byte) []byte {
	return keyFloats(keyInt(append(keyInts(b, a.Shape), byte(a.DType)), int64(a.Axis)), a.Start, a.Step)
}

// AppendKey implements ir.Attrs. Key and Counter are part of it: a plan that
// treats them as data leaves them out (see KeyWithoutStream).
func (a Draw) AppendKey(b []byte) []byte {
	b = a.KeyWithoutStream(b)
	b = binary.LittleEndian.AppendUint32(b, a.Key[0])
	b = binary.LittleEndian.AppendUint32(b, a.Key[1])
	return binary.LittleEndian.AppendUint64(b, a.Counter)
}

// KeyWithoutStream is the key of what does not change from step to step.
func (a Draw) KeyWithoutStream(b []byte) []byte {
	b = append(keyInts(b, a.Shape), byte(a.DType), byte(a.Dist))
	return keyInt(keyInt(b, a.Lo), a.Hi)
}

// AppendKey implements ir.Attrs.
func (a Perm) AppendKey(b []byte) []byte { return keyInts(b, a.Axes) }

// AppendKey implements ir.Attrs.
func (a Window) AppendKey(b []byte) []byte {
	return keyInts(keyInts(keyInts(b, a.Start), a.Size), a.Step)
}

// AppendKey implements ir.Attrs.
func (a Name) AppendKey(b []byte) []byte { return keyString(b, a.Name) }

// AppendKey implements ir.Attrs.
func (a To) AppendKey(b []byte) []byte { return append(b, byte(a.DType)) }

// AppendKey implements ir.Attrs.
func (a Margins) AppendKey(b []byte) []byte {
	return keyFloats(keyInts(keyInts(b, a.Before), a.After), a.Value)
}

// AppendKey implements ir.Attrs.
func (a Axis) AppendKey(b []byte) []byte { return keyInt(b, int64(a.Axis)) }

// AppendKey implements ir.Attrs.
func (a Reduce) AppendKey(b []byte) []byte { return keyBools(keyInts(b, a.Axes), a.Keep) }

// AppendKey implements ir.Attrs.
func (a Scan) AppendKey(b []byte) []byte { return keyBools(keyInt(b, int64(a.Axis)), a.Reverse) }

// AppendKey implements ir.Attrs.
func (a Order) AppendKey(b []byte) []byte { return keyBools(keyInt(b, int64(a.Axis)), a.Descending) }

// AppendKey implements ir.Attrs.
func (a Top) AppendKey(b []byte) []byte {
	return keyBools(keyInt(keyInt(b, int64(a.Axis)), int64(a.K)), a.Smallest)
}

// AppendKey implements ir.Attrs.
func (a Conv) AppendKey(b []byte) []byte {
	for _, v := range [...][2]int{a.Stride, a.Pad, a.Dilation} {
		b = keyInt(keyInt(b, int64(v[0])), int64(v[1]))
	}
	return keyInts(keyInt(b, int64(a.Groups)), a.Shape)
}

// AppendKey implements ir.Attrs: what is computed does not depend on the derivative.
func (*Derivative) AppendKey(b []byte) []byte { return b }

// AppendKey implements ir.Attrs.
func (a Attend) AppendKey(b []byte) []byte {
	return keyInt(keyBools(keyFloats(b, a.Scale), a.Causal), int64(a.Mask))
}

// AppendKey implements ir.Attrs.
func (a Scattering) AppendKey(b []byte) []byte {
	return append(keyBools(keyInt(b, int64(a.Axis)), a.Along), byte(a.Mode))
}

// AppendKey implements ir.Attrs.
func (a Norm) AppendKey(b []byte) []byte { return keyBools(keyFloats(b, a.Eps), a.Weight, a.Bias) }

// AppendKey implements ir.Attrs.
func (a Rotary) AppendKey(b []byte) []byte {
	return keyBools(keyFloats(keyInt(b, int64(a.Dims)), a.Base, a.Scale), a.Interleaved, a.Inverse)
}

// AppendKey implements ir.Attrs.
func (a Targets) AppendKey(b []byte) []byte {
	return keyBools(keyFloats(keyInt(b, a.Ignore), a.Smoothing), a.Index)
}

// AppendKey implements ir.Attrs.
func (a Quant) AppendKey(b []byte) []byte { return keyInt(append(b, byte(a.DType)), int64(a.Group)) }

// AppendKey implements ir.Attrs.
func (a AdamWStep) AppendKey(b []byte) []byte {
	return keyFloats(b, a.Beta1, a.Beta2, a.Eps, a.Decay)
}

// AppendKey implements ir.Attrs.
func (a *Kernel) AppendKey(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, a.ID)
	for _, g := range a.Grid {
		b = keyInt(b, int64(g))
	}
	for i, s := range a.Shapes {
		b = append(keyInts(b, s), byte(a.DTypes[i]))
	}
	return b
}

// The key of a list starts with its length, so that no two lists of values
// have the same bytes.

func keyInt(b []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(v)) }

func keyInts(b []byte, v []int) []byte {
	b = append(b, byte(len(v)))
	for _, x := range v {
		b = keyInt(b, int64(x))
	}
	return b
}

func keyFloats(b []byte, v ...float64) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

func keyBools(b []byte, v ...bool) []byte {
	for _, x := range v {
		if x {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

func keyString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}
