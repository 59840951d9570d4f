// Package devicetest is what every device must do: a device goes in, failures
// come out. Its yardstick is a plain float64 evaluator of graphs that shares
// no code with any device and looks at nothing but clarity.
package devicetest

import (
	"fmt"
	"math"

	"loris/internal/ir"
	"loris/internal/op"
)

// Reference evaluates graphs in float64. Values are rounded only where the
// graph casts. Read returns the row-major bytes of an evaluated node.
type Reference struct {
	Read func(*ir.Node) ([]byte, error)

	done map[*ir.Node]*Array
}

// Eval returns the values of roots; it keeps those of all nodes below them.
func (r *Reference) Eval(roots ...*ir.Node) ([]*Array, error) {
	if r.done == nil {
		r.done = map[*ir.Node]*Array{}
	}
	for _, root := range roots {
		stack := []*ir.Node{root}
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			waiting := false
			if n.Value() == nil {
				for _, in := range n.Inputs() {
					if r.done[in] == nil {
						stack = append(stack, in)
						waiting = true
					}
				}
			}
			if waiting {
				continue
			}
			stack = stack[:len(stack)-1]
			if r.done[n] == nil {
				a, err := r.node(n)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", op.NameOf(n.Op), err)
				}
				r.done[n] = a
			}
		}
	}
	out := make([]*Array, len(roots))
	for i, root := range roots {
		out[i] = r.done[root]
	}
	return out, nil
}

// Set gives a node a value, in place of the one it would be computed to.
func (r *Reference) Set(n *ir.Node, a *Array) {
	if r.done == nil {
		r.done = map[*ir.Node]*Array{}
	}
	r.done[n] = a
}

func (r *Reference) node(n *ir.Node) (*Array, error) {
	if n.Value() != nil {
		b, err := r.Read(n)
		if err != nil {
			return nil, err
		}
		return Decode(b, n.DType, n.Shape)
	}
	in := make([]*Array, len(n.Inputs()))
	for i, x := range n.Inputs() {
		in[i] = r.done[x]
	}
	if f, ok := elementwise[n.Op]; ok {
		return mapElements(n, f, in), nil
	}
	f, ok := references[n.Op]
	if !ok {
		return nil, fmt.Errorf("there is no reference")
	}
	return f(n, in)
}

func mapElements(n *ir.Node, f func(dtype ir.DType, v []float64) float64, in []*Array) *Array {
	out := NewArray(n.Shape)
	wide := make([]*Array, len(in))
	for i, a := range in {
		wide[i] = a.broadcast(n.Shape)
	}
	dtype := n.Inputs()[len(in)-1].DType
	v := make([]float64, len(in))
	for i := range out.Data {
		for k, a := range wide {
			v[k] = a.Data[i]
		}
		out.Data[i] = wrap(f(dtype, v), n.DType)
	}
	return out
}

// wrap reduces the result of integer arithmetic to the range of its dtype, as
// two's complement does.
func wrap(v float64, dtype ir.DType) float64 {
	switch dtype {
	case ir.I32:
		return float64(int32(int64(v)))
	case ir.U8:
		return float64(uint8(int64(v)))
	}
	return v
}

// larger and smaller give NaN if either is; math.Max(+Inf, NaN) does not.
func larger(a, b float64) float64 {
	if a != a || b != b {
		return math.NaN()
	}
	return math.Max(a, b)
}

func smaller(a, b float64) float64 {
	if a != a || b != b {
		return math.NaN()
	}
	return math.Min(a, b)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unary(f func(float64) float64) func(ir.DType, []float64) float64 {
	return func(_ ir.DType, v []float64) float64 { return f(v[0]) }
}

func pair(f func(a, b float64) float64) func(ir.DType, []float64) float64 {
	return func(_ ir.DType, v []float64) float64 { return f(v[0], v[1]) }
}

func compare(f func(a, b float64) bool) func(ir.DType, []float64) float64 {
	return func(_ ir.DType, v []float64) float64 { return truth(f(v[0], v[1])) }
}

func sigmoid(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}

var elementwise = map[ir.Op]func(ir.DType, []float64) float64{
	op.Neg: unary(func(x float64) float64 { return -x }),
	op.Abs: unary(math.Abs),
	op.Sign: unary(func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x
	}),
	op.Sqrt:       unary(math.Sqrt),
	op.Rsqrt:      unary(func(x float64) float64 { return 1 / math.Sqrt(x) }),
	op.Square:     unary(func(x float64) float64 { return x * x }),
	op.Reciprocal: unary(func(x float64) float64 { return 1 / x }),
	op.Exp:        unary(math.Exp),
	op.Expm1:      unary(math.Expm1),
	op.Log:        unary(math.Log),
	op.Log1p:      unary(math.Log1p),
	op.Sin:        unary(math.Sin),
	op.Cos:        unary(math.Cos),
	op.Tanh:       unary(math.Tanh),
	op.Erf:        unary(math.Erf),
	op.Sigmoid:    unary(sigmoid),
	op.Relu: unary(func(x float64) float64 {
		if x < 0 {
			return 0
		}
		return x
	}),
	op.Gelu: unary(func(x float64) float64 {
		if math.IsInf(x, -1) {
			return 0
		}
		return x * 0.5 * math.Erfc(-x/math.Sqrt2)
	}),
	op.GeluTanh: unary(func(x float64) float64 {
		if math.IsInf(x, -1) {
			return 0
		}
		return x * sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
	}),
	op.Silu: unary(func(x float64) float64 {
		if math.IsInf(x, -1) {
			return 0
		}
		return x * sigmoid(x)
	}),
	op.Not:   unary(func(x float64) float64 { return truth(x == 0) }),
	op.Floor: unary(math.Floor),
	op.Ceil:  unary(math.Ceil),
	op.Round: unary(math.RoundToEven),
	op.IsNaN: unary(func(x float64) float64 { return truth(x != x) }),
	op.IsInf: unary(func(x float64) float64 { return truth(math.IsInf(x, 0)) }),

	op.Add: pair(func(a, b float64) float64 { return a + b }),
	op.Sub: pair(func(a, b float64) float64 { return a - b }),
	op.Mul: pair(func(a, b float64) float64 { return a * b }),
	op.Div: pair(func(a, b float64) float64 { return a / b }),
	op.Pow: func(dtype ir.DType, v []float64) float64 {
		if !dtype.IsFloat() {
			return integerPower(v[0], v[1])
		}
		return math.Pow(v[0], v[1])
	},
	op.Mod: func(dtype ir.DType, v []float64) float64 {
		a, b := v[0], v[1]
		if b == 0 && !dtype.IsFloat() {
			return 0
		}
		m := math.Mod(a, b)
		if m != 0 && (m < 0) != (b < 0) {
			if math.IsInf(b, 0) {
				return b
			}
			m += b
		}
		return m
	},
	op.Maximum: pair(larger),
	op.Minimum: pair(smaller),
	op.Eq:      compare(func(a, b float64) bool { return a == b }),
	op.Ne:      compare(func(a, b float64) bool { return a != b }),
	op.Lt:      compare(func(a, b float64) bool { return a < b }),
	op.Le:      compare(func(a, b float64) bool { return a <= b }),
	op.Gt:      compare(func(a, b float64) bool { return a > b }),
	op.Ge:      compare(func(a, b float64) bool { return a >= b }),
	op.And:     compare(func(a, b float64) bool { return a != 0 && b != 0 }),
	op.Or:      compare(func(a, b float64) bool { return a != 0 || b != 0 }),
	op.Where: func(_ ir.DType, v []float64) float64 {
		if v[0] != 0 {
			return v[1]
		}
		return v[2]
	},
	op.Detach:     unary(func(x float64) float64 { return x }),
	op.Named:      unary(func(x float64) float64 { return x }),
	op.Contiguous: unary(func(x float64) float64 { return x }),
}

func integerPower(a, b float64) float64 {
	if b < 0 {
		switch {
		case a == 1:
			return 1
		case a == -1:
			return 1 - 2*math.Mod(-b, 2)
		}
		return 0
	}
	p := int64(1)
	for range int(b) {
		p *= int64(a)
	}
	return float64(p)
}
