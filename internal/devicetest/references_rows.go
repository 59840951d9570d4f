package devicetest

import (
	"math"
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

func matmul(n *ir.Node, in []*Array) (*Array, error) {
	ra, rn := len(in[0].Shape), len(n.Shape)
	m, k, c := n.Shape[rn-2], in[0].Shape[ra-1], n.Shape[rn-1]
	batch := n.Shape[:rn-2]
	a := in[0].broadcast(append(slices.Clone(batch), m, k))
	b := in[1].broadcast(append(slices.Clone(batch), k, c))
	out := NewArray(n.Shape)
	for p := range batch.Size() {
		for i := range m {
			row := a.Data[(p*m+i)*k:][:k]
			for j := range c {
				sum := 0.0
				for l, v := range row {
					sum += v * b.Data[(p*k+l)*c+j]
				}
				out.Data[(p*m+i)*c+j] = sum
			}
		}
	}
	return out, nil
}

// eachTap calls f with the flat places of x, w and the output that meet.
func eachTap(a op.Conv, x, w, out ir.Shape, f func(x, w, out int)) {
	xs, ws, os := x.Strides(), w.Strides(), out.Strides()
	perGroup := w[0] / a.Groups
	walk(out, func(o int, at []int) {
		for c := range w[1] {
			for i := range w[2] {
				for j := range w[3] {
					y := at[2]*a.Stride[0] - a.Pad[0] + i*a.Dilation[0]
					z := at[3]*a.Stride[1] - a.Pad[1] + j*a.Dilation[1]
					if y < 0 || y >= x[2] || z < 0 || z >= x[3] {
						continue
					}
					channel := at[1]/perGroup*w[1] + c
					f(dot([]int{at[0], channel, y, z}, xs), dot([]int{at[1], c, i, j}, ws), dot(at, os))
				}
			}
		}
	})
}

func conv2d(n *ir.Node, in []*Array) (*Array, error) {
	out := NewArray(n.Shape)
	eachTap(n.Attrs.(op.Conv), in[0].Shape, in[1].Shape, n.Shape, func(x, w, o int) { out.Data[o] += in[0].Data[x] * in[1].Data[w] })
	return out, nil
}

func conv2dInputGrad(n *ir.Node, in []*Array) (*Array, error) {
	out := NewArray(n.Shape)
	eachTap(n.Attrs.(op.Conv), n.Shape, in[1].Shape, in[0].Shape, func(x, w, o int) { out.Data[x] += in[0].Data[o] * in[1].Data[w] })
	return out, nil
}

func conv2dWeightGrad(n *ir.Node, in []*Array) (*Array, error) {
	out := NewArray(n.Shape)
	eachTap(n.Attrs.(op.Conv), in[0].Shape, n.Shape, in[1].Shape, func(x, w, o int) { out.Data[w] += in[0].Data[x] * in[1].Data[o] })
	return out, nil
}

// heads describes one attention problem.
type heads struct {
	b, h, hk, t, s, d, dv int
	q, k, v               []float64
	mask                  *Array
	maskBool              bool
	a                     op.Attend
}

func newHeads(n *ir.Node, in []*Array) *heads {
	q, k, v := in[0], in[1], in[2]
	p := &heads{b: q.Shape[0], h: q.Shape[1], hk: k.Shape[1], t: q.Shape[2], s: k.Shape[2], d: q.Shape[3], dv: v.Shape[3],
		q: q.Data, k: k.Data, v: v.Data, a: n.Attrs.(op.Attend)}
	if p.a.Mask > 0 {
		p.mask = in[p.a.Mask].broadcast(ir.Shape{p.b, p.h, p.t, p.s})
		p.maskBool = n.Inputs()[p.a.Mask].DType == ir.Bool
	}
	return p
}

// weights returns the row of softmax weights of query i of head h.
func (p *heads) weights(b, h, i int) []float64 {
	w := make([]float64, p.s)
	kv := b*p.hk + h/(p.h/p.hk)
	top := math.Inf(-1)
	for j := range w {
		for l := range p.d {
			w[j] += p.q[((b*p.h+h)*p.t+i)*p.d+l] * p.k[(kv*p.s+j)*p.d+l]
		}
		w[j] *= p.a.Scale
		if p.mask != nil {
			m := p.mask.Data[((b*p.h+h)*p.t+i)*p.s+j]
			switch {
			case !p.maskBool:
				w[j] += m
			case m == 0:
				w[j] = math.Inf(-1)
			}
		}
		if p.a.Causal && j > i+p.s-p.t {
			w[j] = math.Inf(-1)
		}
		top = math.Max(top, w[j])
	}
	if math.IsInf(top, -1) {
		return make([]float64, p.s)
	}
	sum := 0.0
	for j := range w {
		w[j] = math.Exp(w[j] - top)
		sum += w[j]
	}
	for j := range w {
		w[j] /= sum
	}
	return w
}

func attention(n *ir.Node, in []*Array) (*Array, error) {
	p, out := newHeads(n, in), NewArray(n.Shape)
	for b := range p.b {
		for h := range p.h {
			kv := b*p.hk + h/(p.h/p.hk)
			for i := range p.t {
				for j, w := range p.weights(b, h, i) {
					for l := range p.dv {
						out.Data[((b*p.h+h)*p.t+i)*p.dv+l] += w * p.v[(kv*p.s+j)*p.dv+l]
					}
				}
			}
		}
	}
	return out, nil
}

func attentionGrad(n *ir.Node, in []*Array) (*Array, error) {
	p, out, g := newHeads(n, in), NewArray(n.Shape), in[3].Data
	for b := range p.b {
		for h := range p.h {
			kv := b*p.hk + h/(p.h/p.hk)
			for i := range p.t {
				query := (b*p.h+h)*p.t + i
				w := p.weights(b, h, i)
				dw, mean := make([]float64, p.s), 0.0
				for j := range w {
					for l := range p.dv {
						dw[j] += g[query*p.dv+l] * p.v[(kv*p.s+j)*p.dv+l]
					}
					mean += dw[j] * w[j]
				}
				for j := range w {
					ds := w[j] * (dw[j] - mean) * p.a.Scale
					key := kv*p.s + j
					switch n.Output {
					case 0:
						for l := range p.d {
							out.Data[query*p.d+l] += ds * p.k[key*p.d+l]
						}
					case 1:
						for l := range p.d {
							out.Data[key*p.d+l] += ds * p.q[query*p.d+l]
						}
					case 2:
						for l := range p.dv {
							out.Data[key*p.dv+l] += w[j] * g[query*p.dv+l]
						}
					}
				}
			}
		}
	}
	return out, nil
}

func softmaxLine(x *Array, p []int, f func(place int, logp float64)) {
	top := math.Inf(-1)
	for _, q := range p {
		top = math.Max(top, x.Data[q])
	}
	sum := 0.0
	for _, q := range p {
		sum += math.Exp(x.Data[q] - top)
	}
	log := math.Log(sum)
	for _, q := range p {
		f(q, x.Data[q]-top-log)
	}
}

func softmax(n *ir.Node, in []*Array) (*Array, error) {
	out := NewArray(n.Shape)
	lines(n.Shape, n.Attrs.(op.Axis).Axis, func(p []int) {
		softmaxLine(in[0], p, func(q int, logp float64) { out.Data[q] = math.Exp(logp) })
	})
	return out, nil
}

func logSoftmax(n *ir.Node, in []*Array) (*Array, error) {
	out := NewArray(n.Shape)
	lines(n.Shape, n.Attrs.(op.Axis).Axis, func(p []int) {
		softmaxLine(in[0], p, func(q int, logp float64) { out.Data[q] = logp })
	})
	return out, nil
}

func norm(centre bool) func(n *ir.Node, in []*Array) (*Array, error) {
	return func(n *ir.Node, in []*Array) (*Array, error) {
		a, out := n.Attrs.(op.Norm), NewArray(n.Shape)
		lines(n.Shape, len(n.Shape)-1, func(p []int) {
			mean, square := 0.0, 0.0
			if centre {
				for _, q := range p {
					mean += in[0].Data[q] / float64(len(p))
				}
			}
			for _, q := range p {
				square += (in[0].Data[q] - mean) * (in[0].Data[q] - mean) / float64(len(p))
			}
			for j, q := range p {
				y := (in[0].Data[q] - mean) / math.Sqrt(square+a.Eps)
				if a.Weight {
					y *= in[1].Data[j]
				}
				if a.Bias {
					y += in[len(in)-1].Data[j]
				}
				out.Data[q] = y
			}
		})
		return out, nil
	}
}

func rope(n *ir.Node, in []*Array) (*Array, error) {
	a := n.Attrs.(op.Rotary)
	out := &Array{n.Shape, slices.Clone(in[0].Data)}
	rank, half := len(n.Shape), a.Dims/2
	t, d := n.Shape[rank-2], n.Shape[rank-1]
	for row := range n.Shape.Size() / max(1, d) {
		position := (float64(row%t) + in[1].Data[0]) * a.Scale
		for p := range half {
			f := math.Pow(a.Base, -2*float64(p)/float64(a.Dims))
			if len(in) > 2 {
				f = in[2].Data[p]
			}
			sin, cos := math.Sincos(position * f)
			if a.Inverse {
				sin = -sin
			}
			i, j := row*d+p, row*d+p+half
			if a.Interleaved {
				i, j = row*d+2*p, row*d+2*p+1
			}
			x, y := in[0].Data[i], in[0].Data[j]
			out.Data[i], out.Data[j] = x*cos-y*sin, x*sin+y*cos
		}
	}
	return out, nil
}

func crossEntropy(n *ir.Node, in []*Array) (*Array, error) {
	a, out := n.Attrs.(op.Targets), NewArray(n.Shape)
	classes := in[0].Shape[len(in[0].Shape)-1]
	for row, t := range in[1].Data {
		if !a.Index && int64(t) == a.Ignore {
			continue
		}
		k, err := place(t, classes)
		if err != nil {
			return nil, err
		}
		line := make([]int, classes)
		for j := range line {
			line[j] = row*classes + j
		}
		softmaxLine(in[0], line, func(q int, logp float64) {
			w := a.Smoothing / float64(classes)
			if q == row*classes+k {
				w += 1 - a.Smoothing
			}
			if w != 0 {
				out.Data[row] -= w * logp
			}
		})
	}
	return out, nil
}

func crossEntropyGrad(n *ir.Node, in []*Array) (*Array, error) {
	a, out := n.Attrs.(op.Targets), NewArray(n.Shape)
	classes := n.Shape[len(n.Shape)-1]
	for row, t := range in[1].Data {
		if !a.Index && int64(t) == a.Ignore {
			continue
		}
		k, err := place(t, classes)
		if err != nil {
			return nil, err
		}
		line := make([]int, classes)
		for j := range line {
			line[j] = row*classes + j
		}
		softmaxLine(in[0], line, func(q int, logp float64) {
			w := a.Smoothing / float64(classes)
			if q == row*classes+k {
				w += 1 - a.Smoothing
			}
			out.Data[q] = (math.Exp(logp) - w) * in[2].Data[row]
		})
	}
	return out, nil
}

func adamW(n *ir.Node, in []*Array) (*Array, error) {
	a, h, out := n.Attrs.(op.AdamWStep), in[4].Data, NewArray(n.Shape)
	for i := range out.Data {
		p, g := in[0].Data[i], in[1].Data[i]
		m := a.Beta1*in[2].Data[i] + (1-a.Beta1)*g
		v := a.Beta2*in[3].Data[i] + (1-a.Beta2)*g*g
		out.Data[i] = [...]float64{p - h[0]*a.Decay*p - h[0]*(m*h[1])/(math.Sqrt(v*h[2])+a.Eps), m, v}[n.Output]
	}
	return out, nil
}

func custom(n *ir.Node, in []*Array) (*Array, error) {
	k := n.Attrs.(*op.Kernel)
	ins, outs := make([][]float32, len(in)), make([][]float32, len(k.Shapes))
	for i, x := range in {
		for _, v := range x.Data {
			ins[i] = append(ins[i], float32(v))
		}
	}
	size := 0
	for i, s := range k.Shapes {
		outs[i] = make([]float32, s.Size())
		size = max(size, s.Size())
	}
	k.CPU(ins, outs, 0, size)
	out := NewArray(n.Shape)
	for i, v := range outs[n.Output] {
		out.Data[i] = float64(v)
	}
	return out, nil
}

// quantize gives the values that the quantised matrix stands for: its steps and lows
// are stored in float32.
func quantize(n *ir.Node, in []*Array) (*Array, error) {
	a, out := n.Attrs.(op.Quant), NewArray(n.Shape)
	levels := 255.0
	if a.DType == ir.Q4 {
		levels = 15
	}
	for start := 0; start < len(out.Data); start += a.Group {
		x := in[0].Data[start:][:a.Group]
		lo, hi := slices.Min(x), slices.Max(x)
		step := ir.F32.Round((hi - lo) / levels)
		lo = ir.F32.Round(lo)
		for j, v := range x {
			q := 0.0
			if step > 0 {
				q = math.RoundToEven((v - lo) / step)
			}
			out.Data[start+j] = q*step + lo
		}
	}
	return out, nil
}

func qmatmul(n *ir.Node, in []*Array) (*Array, error) {
	out, w := NewArray(n.Shape), in[1]
	rows, k := w.Shape[0], w.Shape[1]
	for i := range out.Data {
		x := in[0].Data[i/rows*k:][:k]
		for l, v := range x {
			out.Data[i] += v * w.Data[i%rows*k+l]
		}
	}
	return out, nil
}
