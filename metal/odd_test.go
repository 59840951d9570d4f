//go:build darwin || softmetal

package metal_test

import (
	"fmt"
	"math"
	"testing"

	lt "loris/tensorlib"
	"loris/tensorlib/lora"
)

// special puts NaN, infinities and zeros of both signs into the rows of a [6, n] matrix.
func special(n int) *lt.Tensor {
	v := make([][]float32, 6)
	for r := range v {
		v[r] = make([]float32, n)
		for i := range v[r] {
			v[r][i] = float32(math.Sin(float64(r*n+i)) * 3)
		}
	}
	inf := float32(math.Inf(1))
	v[1][n/2] = float32(math.NaN())
	v[2][0] = inf
	v[3][n-1] = -inf
	for i := range v[4] {
		v[4][i] = -inf
	}
	v[5][0], v[5][n-1] = inf, -inf
	return lt.From(v)
}

// numbers are drawn on the CPU, whose normal numbers are rounded otherwise: differences of
// nearly equal ones would show it.
type numbers struct {
	*lt.Rand
	device string
}

func (r numbers) Normal(shape ...int) *lt.Tensor {
	lt.Use("cpu")
	v := r.Rand.Normal(shape...).Float32s()
	lt.Use(r.device)
	return lt.From(v).Reshape(shape...)
}

// oddities are computations at sizes and with values where kernels break first. Each is computed anew per device.
var oddities = []struct {
	name string
	f    func(r numbers) []*lt.Tensor
}{
	{"no elements", func(r numbers) (all []*lt.Tensor) {
		x := r.Normal(0, 5)
		y := r.Normal(3, 0)
		all = append(all, x.Exp().Add(1), x.Softmax(), x.Sum(1), x.Sum(0), y.Sum(1), y.Sum(), x.MatMul(r.Normal(5, 4)), y.MatMul(r.Normal(0, 4)), x.T().Contiguous())
		all = append(all, x.CumSum(0), x.CumSum(1), x.Sort(1), lt.Concat(0, x, r.Normal(2, 5)), y.Mean(0), x.LayerNorm(nil, nil, 1e-5), x.RMSNorm(nil, 1e-5), x.Cast(lt.F16))
		all = append(all, r.Normal(4, 5).Take(lt.From([]int{}), 0), r.Normal(0), y.Prod(1), x.All(1), x.LogSoftmax(0))
		return all
	}},
	{"rows of one", func(r numbers) (all []*lt.Tensor) {
		x := r.Normal(7, 1)
		all = append(all, x.Softmax(), x.LogSoftmax(), x.Sum(1), x.Mean(0), x.Max(1), x.ArgMax(1), x.CumSum(1), x.Sort(1), x.ArgSort(1), x.Var(0), x.LayerNorm(lt.Ones(1), lt.Ones(1), 1e-5), x.RMSNorm(lt.Ones(1), 1e-5))
		v, i := x.TopK(1)
		return append(all, v, i, x.LogSumExp(1), x.CrossEntropy(lt.From([]int{0, 0, 0, 0, 0, 0, 0})), x.Norm(1), x.Prod(1))
	}},
	{"thin products", func(r numbers) (all []*lt.Tensor) {
		for _, s := range [][3]int{{1, 1, 1}, {1, 1, 7}, {1, 33, 1}, {33, 1, 1}, {65, 65, 1}, {2, 1, 1025}, {1, 2, 1025}, {5, 1, 64}, {31, 33, 8}, {1, 4097, 3}, {4097, 1, 3}, {3, 5, 4099}} {
			m, n, k := s[0], s[1], s[2]
			all = append(all, r.Normal(m, k).MatMul(r.Normal(k, n)), r.Normal(k, m).T().MatMul(r.Normal(n, k).T()), r.Normal(2, m, k).MatMul(r.Normal(k, n)), r.Normal(m, k).MatMul(r.Normal(3, k, n)))
		}
		return append(all, r.Normal(5).MatMul(r.Normal(5)), r.Normal(5).MatMul(r.Normal(5, 3)), r.Normal(3, 5).MatMul(r.Normal(5)))
	}},
	{"products of views", func(r numbers) (all []*lt.Tensor) {
		x, w := r.Normal(40, 50).Eval(), r.Normal(60, 70).Eval()
		return append(all, x.At(lt.R(1, 33, 2), lt.R(3, 23)).MatMul(w.At(lt.R(5, 45, 2), lt.R(0, 69, 3))), x.Flip(0).MatMul(w.At(lt.R(0, 50))), x.Flip(1).MatMul(w.At(lt.R(10, 60))),
			x.At(0).Expand(9, 50).MatMul(w.At(lt.R(0, 50))), x.At(lt.R(0, 40), lt.R(0, 1)).Expand(40, 60).MatMul(w), x.At(lt.R(0, 40), lt.R(7, 8)).MatMul(w.At(lt.R(2, 3))), x.T().MatMul(x), x.MatMul(x.T()))
	}},
	{"many threadgroups", func(r numbers) (all []*lt.Tensor) {
		x := r.Normal(70001, 2).Eval()
		all = append(all, x.Softmax(), x.Sum(1), x.ArgMax(1), x.Sort(1), x.RMSNorm(nil, 1e-5), x.LayerNorm(nil, nil, 1e-5), x.CumSum(1), x.MatMul(r.Normal(2, 3)), x.Sum(0), x.Max(0), x.T().Contiguous(), x.Exp().Mul(x).Sum(1))
		return append(all, x.Take(r.Randint(0, 70001, 70003), 0), x.Reshape(70001, 1, 2).MatMul(r.Normal(70001, 2, 1)), x.CumSum(0), r.Normal(17000001).Add(1).Max())
	}},
	{"NaN and infinities in rows", func(r numbers) (all []*lt.Tensor) {
		for _, n := range []int{3, 33, 300} {
			x := special(n).Eval()
			all = append(all, x.Softmax(), x.LogSoftmax(), x.Sum(1), x.Mean(1), x.Max(1), x.Min(1), x.ArgMax(1), x.ArgMin(1), x.Max(0), x.Min(0), x.ArgMax(0), x.Prod(1), x.CumSum(1), x.Sort(1), x.ArgSort(1), x.LogSumExp(1), x.Softmax(0))
			all = append(all, x.RMSNorm(nil, 1e-5), x.LayerNorm(nil, nil, 1e-5), x.Relu(), x.Gelu(), x.Silu(), x.Sigmoid(), x.Tanh(), x.Exp(), x.Clip(-1, 1), x.Maximum(0), x.Sign(), x.Cast(lt.I32), x.Cast(lt.F16), x.Cast(lt.BF16), x.GeluTanh(), x.Erf(), x.Sin())
			all = append(all, x.MatMul(r.Normal(n, 4)), x.CrossEntropy(lt.From([]int{0, 1, 2, 0, 1, 2})))
			v, i := x.TopK(2)
			all = append(all, v, i)
		}
		return all
	}},
	{"strides", func(r numbers) (all []*lt.Tensor) {
		x := r.Normal(6, 10, 14).Eval()
		for _, v := range []*lt.Tensor{x.Transpose(2, 0, 1), x.Flip(0, 2), x.At(lt.R(5, 0, -2), lt.R(9, 0, -3), lt.R(13, 2, -4)), x.At(lt.R(0, 6), lt.R(0, 1)).Expand(6, 8, 14), x.At(0, 0).Expand(5, 14), x.At(lt.R(0, 6), 3, 4).Unsqueeze(1).Expand(6, 7)} {
			all = append(all, v.Contiguous(), v.Softmax(), v.Sum(0), v.Sum(), v.CumSum(0), v.Sort(), v.Max(-1), v.ArgMax(0), v.LayerNorm(nil, nil, 1e-5), v.Exp().Sub(v.Mean(-1).Unsqueeze(-1)), v.Cast(lt.F16))
		}
		return append(all, x.SetAt(7, lt.R(0, 6, 2), lt.R(8, 2, -3)), x.Pad(1, 0, 1, 2, 0, 3, 1), x.Repeat(2, 1, 3), x.Tril(), x.Triu(1))
	}},
	{"attention", func(r numbers) (all []*lt.Tensor) {
		for _, s := range [][5]int{{1, 1, 1, 1, 1}, {1, 1, 1, 33, 3}, {2, 2, 33, 1, 8}, {1, 4, 5, 65, 65}, {1, 2, 31, 32, 128}} {
			q, k, v := r.Normal(s[0], s[1], s[2], s[4]), r.Normal(s[0], s[1], s[3], s[4]), r.Normal(s[0], s[1], s[3], s[4])
			all = append(all, q.Attention(k, v), q.Attention(k, v, lt.AttentionOptions{Causal: true}), q.At(lt.R(0, s[0]), lt.R(0, 1)).Attention(k.At(lt.R(0, s[0]), lt.R(0, 1)), v.At(lt.R(0, s[0]), lt.R(0, 1))))
		}
		return all
	}},
	{"what is written out", func(r numbers) (all []*lt.Tensor) {
		for _, n := range []int{2, 33, 300} {
			x := r.Normal(6, n)
			at := lt.From([]int{0, 1, -1, -n, n - 1, 0}).Unsqueeze(-1)
			d := x.Sub(x.Max(-1).Unsqueeze(-1))
			logp := d.Sub(d.Exp().Sum(-1).Log().Unsqueeze(-1))
			all = append(all, d.Exp().Div(d.Exp().Sum(-1).Unsqueeze(-1)), logp, logp.TakeAlong(at, -1).Mean())
			all = append(all, x.Mul(x.Square().Mean(-1).Unsqueeze(-1).Add(1e-6).Rsqrt()).Mul(r.Normal(n)), r.Normal(300, n, 4).Softmax(1), r.Normal(300, n, 4).LogSoftmax(0))
			p := lt.Parameter(x.Eval())
			all = append(all, lt.Grads(p.LogSoftmax(-1).TakeAlong(at, -1).Mean().Neg(), p)...)
			q, k, v := r.Normal(6, n, 16), r.Normal(6, n, 16), r.Normal(6, n, 16)
			all = append(all, lt.Where(lt.Ones(n, n).Tril().Gt(0), q.MatMul(k.T()).Mul(0.3), math.Inf(-1)).Softmax(-1).MatMul(v))
			q, k, v = r.Normal(2, 3, 2, n, 16), r.Normal(2, 3, 1, n, 16), r.Normal(2, 3, 1, n, 16)
			all = append(all, q.MatMul(k.T()).Softmax(-1).MatMul(v))
		}
		return all
	}},
	{"sorts around the powers of two", func(r numbers) (all []*lt.Tensor) {
		for _, n := range []int{2, 31, 32, 33, 2047, 2048, 2049, 4097} {
			x := r.Normal(2, n)
			v, i := x.TopK(min(n, 3))
			all = append(all, x.Sort(), x.ArgSort(), v, i)
		}
		return append(all, lt.Zeros(3, 2500).ArgSort(), r.Normal(2500, 2).Sort(0))
	}},
	{"adapters", func(r numbers) (all []*lt.Tensor) {
		for _, s := range [][4]int{{1, 1, 1, 1}} {
			l := lora.NewLayer(r.Rand, r.Normal(s[1], s[2]).Eval(), lora.Config{R: s[3]})
			x := r.Normal(s[0], s[2])
			y := l.Forward(x)
			all = append(append(all, y), lt.Grads(y.Square().Sum(), l.A, l.B)...)
		}
		return all
	}},
}

func TestOddSizesGiveWhatTheCPUGives(t *testing.T) {
	defer lt.Use("cpu")
	on := func(device string, f func(r numbers) []*lt.Tensor) (values [][]float64, shapes []string) {
		lt.Use(device)
		for _, x := range f(numbers{lt.NewRand(5), device}) {
			if err := lt.Try(func() { x.Eval() }); err != nil {
				values, shapes = append(values, nil), append(shapes, "error: "+err.Error())
				continue
			}
			y := x.Cast(lt.F64)
			b := y.Floats()
			c := x.Floats()
			if len(c) == 1 && b[0] != c[0] {
				fmt.Println(device, b, c, y.Floats(), x.Cast(lt.F64).Floats())
			}
			values, shapes = append(values, b), append(shapes, fmt.Sprint(x.DType(), x.Shape()))
		}
		return values, shapes
	}
	for _, o := range oddities {
		t.Run(o.name, func(t *testing.T) {
			want, wantShapes := on("cpu", o.f)
			got, gotShapes := on("metal", o.f)
			for i := range want {
				if gotShapes[i] != wantShapes[i] {
					t.Errorf("result %d is %s, on the CPU %s", i, gotShapes[i], wantShapes[i])
				} else if d := firstDifference(got[i], want[i]); d >= 0 {
					t.Errorf("result %d, %s: element %d is %v, on the CPU %v", i, gotShapes[i], d, got[i][d], want[i][d])
				}
			}
		})
	}
}

// firstDifference is the place of an element further off than rounding explains, or −1.
func firstDifference(got, want []float64) int {
	largest := 0.0
	for _, w := range want {
		if !math.IsInf(w, 0) && !math.IsNaN(w) {
			largest = max(largest, math.Abs(w))
		}
	}
	bound := 2e-5 * largest
	if largest < 1e-4 {
		bound = 1e-4 // rows of equal numbers are normalised to nothing but rounding
	}
	for i, w := range want {
		if g := got[i]; g != w && !(g != g && w != w) && !(math.Abs(g-w) <= bound) {
			return i
		}
	}
	return -1
}
