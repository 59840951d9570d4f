// Package lora adapts linear layers with low-rank matrices (LoRA, Hu et al.
// 2021; DoRA, Liu et al. 2024): a frozen weight goes in, a layer with few
// trainable parameters comes out.
//
// Layout and meaning are those of PEFT: A is [r in], B is [out r], and
//
//	y = x·Wᵀ + s·(dropout(x)·Aᵀ)·Bᵀ,  s = alpha/r, or alpha/√r with RsLoRA.
package lora

import (
	"fmt"
	"math"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// Config describes an adapter.
type Config struct {
	R       int     // rank; 8 if 0
	Alpha   float64 // 2·R if 0
	Dropout float64 // 0…1, on the input of A, while training
	RsLoRA  bool    // scale by alpha/√r (Kalajdzievski 2023)
	DoRA    bool    // a trained magnitude for each row of W + s·B·A
	// Init is the start of A: "default" (Kaiming uniform: U(±1/√in)) or
	// "gaussian" (N(0, 1/r)); B starts at 0. "pissa" takes A and B from the
	// largest singular values of W, and their product away from W; "olora"
	// from its QR decomposition.
	Init string
}

func (c Config) filled() Config {
	if c.R == 0 {
		c.R = 8
	}
	if c.Alpha == 0 {
		c.Alpha = 2 * float64(c.R)
	}
	if c.Init == "" {
		c.Init = "default"
	}
	return c
}

// Validate returns an error that says what does not fit a weight [out in].
func (c Config) Validate(out, in int) error {
	c = c.filled()
	bad := func(format string, args ...any) error {
		return &lt.Error{Code: ir.CodeValue, Op: "lora.Config", Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.R < 1 || c.R > min(out, in):
		return bad("R = %d; 1 … %d is possible for a weight [%d %d]", c.R, min(out, in), out, in)
	case !(c.Alpha > 0) || math.IsInf(c.Alpha, 0):
		return bad("Alpha = %v must be positive", c.Alpha)
	case !(c.Dropout >= 0 && c.Dropout < 1):
		return bad("Dropout = %v must be at least 0 and below 1", c.Dropout)
	}
	switch c.Init {
	case "default", "gaussian", "pissa", "olora":
		return nil
	}
	return bad("unknown Init %q; default, gaussian, pissa and olora are possible", c.Init)
}

// Scaling returns s.
func (c Config) Scaling() float64 {
	c = c.filled()
	if c.RsLoRA {
		return c.Alpha / math.Sqrt(float64(c.R))
	}
	return c.Alpha / float64(c.R)
}

// Layer is a frozen linear layer with an adapter.
type Layer struct {
	Base *lt.Tensor `lt:"-"`      // W [out in], frozen; it may be quantised
	Bias *lt.Tensor `lt:"-"`      // [out], frozen, or nil
	A    *lt.Tensor `lt:"lora_a"` // [r in]
	B    *lt.Tensor `lt:"lora_b"` // [out r]
	M    *lt.Tensor `lt:"lora_m"` // [out], the magnitude of DoRA, or nil

	config  Config
	scaling float64
	rand    *lt.Rand
	eval    bool // no dropout
	off     bool // base only
}

// NewLayer adapts the weight base [out in], which is not trained itself. r (nil:
// the default stream) draws A, and dropout. It panics if the configuration does
// not fit; see Config.Validate.
func NewLayer(r *lt.Rand, base *lt.Tensor, c Config) *Layer {
	if base == nil {
		panic(&lt.Error{Code: ir.CodeNil, Op: "lora.NewLayer", Msg: "the weight is nil"})
	}
	if base.Rank() != 2 {
		panic(&lt.Error{Code: ir.CodeShape, Op: "lora.NewLayer", Msg: fmt.Sprintf("the weight has shape %v; [out in] is needed", base.Shape())})
	}
	out, in := base.Dim(0), base.Dim(1)
	if err := c.Validate(out, in); err != nil {
		panic(err)
	}
	c = c.filled()
	if r == nil {
		r = lt.DefaultRand()
	}
	l := &Layer{Base: base, config: c, scaling: c.Scaling()}
	l.init(r, in, out)
	l.rand = r.Split(1)[0]
	if c.DoRA {
		l.M = lt.Parameter(rowNorms(l.plainMerged()))
	}
	return l
}

func (l *Layer) init(r *lt.Rand, in, out int) {
	n := l.config.R
	switch l.config.Init {
	case "default":
		bound := 1 / math.Sqrt(float64(in))
		l.A, l.B = r.Uniform(-bound, bound, n, in), lt.Zeros(out, n)
	case "gaussian":
		l.A, l.B = r.Normal(n, in).Div(float64(n)), lt.Zeros(out, n)
	case "pissa":
		// Meng et al. 2024: W = U·S·Vᵀ, B = U√(S/s), A = √(S/s)·Vᵀ.
		u, s, vh := l.dense().SVD()
		root := s.At(lt.R(0, n)).Div(l.scaling).Sqrt()
		l.A, l.B = vh.At(lt.R(0, n)).Mul(root.Unsqueeze(-1)), u.At(lt.All, lt.R(0, n)).Mul(root)
		l.subtract()
	case "olora":
		// Büyükakyüz 2024: W = Q·R, B and A from the first columns and rows.
		q, rr := l.dense().QR()
		l.A, l.B = rr.At(lt.R(0, n)), q.At(lt.All, lt.R(0, n))
		l.subtract()
	}
	l.A, l.B = lt.Parameter(l.A), lt.Parameter(l.B)
}

// subtract takes the start of the adapter away from the weight, so that the
// layer begins as it was.
func (l *Layer) subtract() {
	lt.Eval(l.A, l.B)
	l.Base = l.dense().Sub(l.B.MatMul(l.A).Mul(l.scaling)).Detach().Eval()
}

// dense returns the weight in floating point.
func (l *Layer) dense() *lt.Tensor {
	if d := l.Base.DType(); d == lt.Q8 || d == lt.Q4 {
		return l.Base.Dequantize()
	}
	return l.Base
}

func rowNorms(w *lt.Tensor) *lt.Tensor { return w.Norm(-1).Detach() }

// Forward maps x [… in] to [… out].
func (l *Layer) Forward(x *lt.Tensor) *lt.Tensor {
	if l == nil {
		panic(&lt.Error{Code: ir.CodeNil, Op: "lora.Layer", Msg: "the layer is nil", Hint: "make it with lora.NewLayer"})
	}
	y := x.MatMul(l.Base.T())
	if l.off {
		return l.biased(y)
	}
	if l.M == nil {
		return l.biased(y.Add(l.low(l.dropped(x), y.DType())))
	}
	// DoRA: y = m/|W+sBA|·(x·Wᵀ + low(x)), the norm of each row as a constant.
	scale := l.M.Div(rowNorms(l.plainMerged()))
	if d := l.dropped(x); d != x {
		// Dropout acts on the adapter's input only; the base sees x.
		return l.biased(y.Add(d.MatMul(l.Base.T()).Mul(scale.Sub(1))).Add(l.low(d, y.DType()).Mul(scale)))
	}
	return l.biased(y.Add(l.low(x, y.DType())).Mul(scale))
}

func (l *Layer) biased(y *lt.Tensor) *lt.Tensor {
	if l.Bias == nil {
		return y
	}
	return y.Add(l.Bias)
}

// low is s·(x·Aᵀ)·Bᵀ, computed in the dtype of A.
func (l *Layer) low(x *lt.Tensor, dtype lt.DType) *lt.Tensor {
	return x.Cast(l.A.DType()).MatMul(l.A.T()).MatMul(l.B.T()).Mul(l.scaling).Cast(dtype)
}

// dropped is x with elements dropped while training.
func (l *Layer) dropped(x *lt.Tensor) *lt.Tensor {
	p := l.config.Dropout
	if p == 0 || l.eval {
		return x
	}
	return lt.Where(l.rand.Bernoulli(1-p, x.Shape()...), x.Mul(1/(1-p)), 0)
}

// Delta returns what the adapter adds to the weight, s·B·A [out in].
func (l *Layer) Delta() *lt.Tensor { return l.B.MatMul(l.A).Mul(l.scaling) }

// plainMerged returns W + s·B·A, without the magnitude of DoRA.
func (l *Layer) plainMerged() *lt.Tensor {
	w := l.dense()
	return w.Add(l.Delta().Cast(w.DType()))
}

// Merged returns the weight [out in] of the plain linear layer that computes
// the same without dropout. The base is kept, so that nothing has to be undone.
func (l *Layer) Merged() *lt.Tensor {
	w := l.plainMerged()
	if l.M == nil {
		return w
	}
	return w.Mul(l.M.Div(rowNorms(w)).Unsqueeze(-1))
}

// SetTraining switches dropout on (the state of a new layer) or off.
func (l *Layer) SetTraining(on bool) { l.eval = !on }

// Training reports whether dropout is on.
func (l *Layer) Training() bool { return !l.eval }

// SetEnabled switches the adapter on or off; off, the layer is the base alone.
func (l *Layer) SetEnabled(on bool) { l.off = !on }

// SetScale replaces s: 0 is no adapter, Config.Scaling what was trained.
func (l *Layer) SetScale(s float64) { l.scaling = s }

// Scale returns s.
func (l *Layer) Scale() float64 { return l.scaling }

// Config returns the configuration with its defaults filled in.
func (l *Layer) Config() Config { return l.config }

// InFeatures returns the width of the input.
func (l *Layer) InFeatures() int { return l.A.Dim(1) }

// OutFeatures returns the width of the output.
func (l *Layer) OutFeatures() int { return l.B.Dim(0) }

// NumParameters returns the number of trainable elements.
func (l *Layer) NumParameters() int {
	n := l.A.Size() + l.B.Size()
	if l.M != nil {
		n += l.M.Size()
	}
	return n
}
