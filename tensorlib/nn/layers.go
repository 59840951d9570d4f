package nn

import (
	"math"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// uniform draws from [-bound, bound).
func uniform(r *lt.Rand, bound float64, shape ...int) *lt.Tensor {
	return lt.Parameter(r.Uniform(-bound, bound, shape...))
}

// unmade panics for a layer that is nil or has no weight, as the fields of a model are
// until it is built.
func unmade(layer, constructor string) {
	panic(&lt.Error{Code: ir.CodeNil, Op: layer, Msg: "the layer is nil or has no weight", Hint: "make it with nn." + constructor})
}

// Linear is x·Wᵀ + B.
type Linear struct {
	W *lt.Tensor `lt:"w"` // [out in]
	B *lt.Tensor `lt:"b"` // [out], or nil
}

// NewLinear draws W and B from U(±1/√in), as PyTorch does. r may be nil.
func NewLinear(r *lt.Rand, in, out int) *Linear {
	bound := 1 / math.Sqrt(float64(max(1, in)))
	return &Linear{W: uniform(r, bound, out, in), B: uniform(r, bound, out)}
}

// Forward maps x [… in] to [… out].
func (l *Linear) Forward(x *lt.Tensor) *lt.Tensor {
	if l == nil || l.W == nil {
		unmade("Linear", "NewLinear")
	}
	y := x.MatMul(l.W.T())
	if l.B != nil {
		y = y.Add(l.B)
	}
	return y
}

// Conv1D is GPT-2's layer of that name, x·W + B: Linear with W the other way
// round. (The convolution is Conv1d.)
type Conv1D struct {
	W *lt.Tensor `lt:"w"` // [in out]
	B *lt.Tensor `lt:"b"` // [out], or nil
}

// NewConv1D draws W from N(0, 0.02²), as GPT-2 does; B is 0.
func NewConv1D(r *lt.Rand, in, out int) *Conv1D {
	return &Conv1D{W: lt.Parameter(r.Normal(in, out).Mul(0.02)), B: lt.Parameter(lt.Zeros(out))}
}

// Forward maps x [… in] to [… out].
func (l *Conv1D) Forward(x *lt.Tensor) *lt.Tensor {
	if l == nil || l.W == nil {
		unmade("Conv1D", "NewConv1D")
	}
	y := x.MatMul(l.W)
	if l.B != nil {
		y = y.Add(l.B)
	}
	return y
}

// Conv is a convolution over one or two axes, by the rank of W.
type Conv struct {
	W       *lt.Tensor     `lt:"w"` // [out in/groups k] or [out in/groups kh kw]
	B       *lt.Tensor     `lt:"b"` // [out], or nil
	Options lt.ConvOptions `lt:"-"`
}

// NewConv1d returns a convolution over one axis; W and B come from U(±1/√(in/groups·k)).
func NewConv1d(r *lt.Rand, in, out, k int, o lt.ConvOptions) *Conv {
	return newConv(r, o, out, in/max(1, o.Groups), k)
}

// NewConv2d returns a convolution over two axes, with square kernels.
func NewConv2d(r *lt.Rand, in, out, k int, o lt.ConvOptions) *Conv {
	return newConv(r, o, out, in/max(1, o.Groups), k, k)
}

func newConv(r *lt.Rand, o lt.ConvOptions, shape ...int) *Conv {
	bound := 1 / math.Sqrt(float64(max(1, lt.Shape(shape[1:]).Size())))
	return &Conv{W: uniform(r, bound, shape...), B: uniform(r, bound, shape[0]), Options: o}
}

// Forward maps x [n in length] or [n in h w] to [n out …].
func (l *Conv) Forward(x *lt.Tensor) *lt.Tensor {
	if l == nil || l.W == nil {
		unmade("Conv", "NewConv1d or nn.NewConv2d")
	}
	o := l.Options
	o.Bias = l.B
	if l.W.Rank() == 3 {
		return x.Conv1d(l.W, o)
	}
	return x.Conv2d(l.W, o)
}

// Embedding looks up rows of W.
type Embedding struct {
	W *lt.Tensor `lt:"w"` // [words width]
}

// NewEmbedding draws W from N(0, 1), as PyTorch does.
func NewEmbedding(r *lt.Rand, words, width int) *Embedding {
	return &Embedding{W: lt.Parameter(r.Normal(words, width))}
}

// Forward maps indices […] (i64 or i32) to […, width].
func (l *Embedding) Forward(x *lt.Tensor) *lt.Tensor {
	if l == nil || l.W == nil {
		unmade("Embedding", "NewEmbedding")
	}
	return l.W.Take(x, 0)
}

// RMSNorm is lt's RMSNorm with a trained weight.
type RMSNorm struct {
	W   *lt.Tensor `lt:"w"`
	Eps float64
}

// NewRMSNorm returns the norm over a last axis of the given width, with ε = 1e-6.
func NewRMSNorm(width int) *RMSNorm {
	return &RMSNorm{W: lt.Parameter(lt.Ones(width)), Eps: 1e-6}
}

// Forward normalises the last axis.
func (l *RMSNorm) Forward(x *lt.Tensor) *lt.Tensor {
	if l == nil {
		unmade("RMSNorm", "NewRMSNorm")
	}
	return x.RMSNorm(l.W, l.Eps)
}

// LayerNorm is lt's LayerNorm with trained weight and bias.
type LayerNorm struct {
	W   *lt.Tensor `lt:"w"`
	B   *lt.Tensor `lt:"b"`
	Eps float64
}

// NewLayerNorm returns the norm over a last axis of the given width, with ε = 1e-5.
func NewLayerNorm(width int) *LayerNorm {
	return &LayerNorm{W: lt.Parameter(lt.Ones(width)), B: lt.Parameter(lt.Zeros(width)), Eps: 1e-5}
}

// Forward normalises the last axis.
func (l *LayerNorm) Forward(x *lt.Tensor) *lt.Tensor {
	if l == nil {
		unmade("LayerNorm", "NewLayerNorm")
	}
	return x.LayerNorm(l.W, l.B, l.Eps)
}

// Dropout sets elements to 0 with probability P and divides the others by
// 1-P, while training; Eval makes it the identity.
type Dropout struct {
	P    float64
	Rand *lt.Rand // nil: the default stream
	eval bool
}

// NewDropout returns a layer in training mode.
func NewDropout(r *lt.Rand, p float64) *Dropout {
	if !(p >= 0 && p < 1) {
		panic(&lt.Error{Code: ir.CodeValue, Op: "Dropout", Msg: "P must be at least 0 and below 1"})
	}
	return &Dropout{P: p, Rand: r}
}

// SetTraining switches dropping on or off.
func (l *Dropout) SetTraining(on bool) { l.eval = !on }

// Forward drops elements.
func (l *Dropout) Forward(x *lt.Tensor) *lt.Tensor {
	if l == nil {
		unmade("Dropout", "NewDropout")
	}
	if l.eval || l.P == 0 {
		return x
	}
	keep := l.Rand.Bernoulli(1-l.P, x.Shape()...)
	return lt.Where(keep, x.Mul(1/(1-l.P)), 0)
}

// Seq applies modules one after another.
type Seq struct {
	Modules []Module `lt:""`
}

// NewSeq returns the composition of modules.
func NewSeq(modules []Module) *Seq { return &Seq{Modules: modules} }

// Add appends a module and returns s.
func (s *Seq) Add(m Module) *Seq {
	s.Modules = append(s.Modules, m)
	return s
}

// Forward applies the modules in order.
func (s *Seq) Forward(x *lt.Tensor) *lt.Tensor {
	for _, m := range s.Modules {
		x = m.Forward(x)
	}
	return x
}

// Func is a function as a Module: nn.Func{(*lt.Tensor).Relu} in compiled code,
// nn.Func{func(x *lt.Tensor) *lt.Tensor { return x.Relu() }} in a cell.
type Func struct {
	F func(x *lt.Tensor) *lt.Tensor
}

// Forward calls the function.
func (f Func) Forward(x *lt.Tensor) *lt.Tensor { return f.F(x) }
