package tensorlib_test

import (
	"math"
	"math/rand/v2"
	"testing"

	lt "loris/tensorlib"
)

// Random graphs of the parts that patterns are made of, whole patterns and near misses,
// which share their parts: planned together they give what their ops give one by one in float64.
func TestRandomPatterns(t *testing.T) {
	const n, graphs = 8, 400
	for seed := range uint64(graphs) {
		r := rand.New(rand.NewPCG(seed, 1))
		leaves := make([]*lt.Tensor, 5)
		for i := range leaves {
			leaves[i] = lt.Parameter(lt.NewRand(int(seed)*8+i).Normal(n, n).Eval())
		}
		labels := make([]int, n)
		for i := range labels {
			labels[i] = r.IntN(2*n) - n
		}
		script := make([]uint32, 400)
		for i := range script {
			script[i] = r.Uint32()
		}
		exact := make([]*lt.Tensor, len(leaves))
		for i, x := range leaves {
			exact[i] = lt.Parameter(x.Cast(lt.F64).Eval())
		}
		outs := randomPattern(leaves, labels, script)
		lt.Eval(outs...)
		var each, want []*lt.Tensor
		lt.Eager(func() {
			each, want = randomPattern(leaves, labels, script), randomPattern(exact, labels, script)
		})
		for k := range outs {
			got, each, want := outs[k].Floats(), each[k].Floats(), want[k].Floats()
			rounding := 0.0 // of ops one by one: some graphs lose many digits
			for i, w := range want {
				if d := math.Abs(each[i] - w); d > rounding {
					rounding = d
				}
			}
			for i, w := range want {
				if d := math.Abs(got[i] - w); !(d <= 1e-4*(1+math.Abs(w))+20*rounding) && got[i] != w && !(math.IsNaN(w) && math.IsNaN(got[i])) {
					t.Errorf("graph %d: element %d of result %d is %v, want %v, one by one %v\n%v", seed, i, k, got[i], w, each[i], lt.Graph(randomPattern(leaves, labels, script)...).Plan())
					return
				}
			}
		}
	}
}

// randomPattern builds a graph as a script of random numbers says, and its gradients.
func randomPattern(leaves []*lt.Tensor, labels []int, script []uint32) []*lt.Tensor {
	n := leaves[0].Dim(0)
	at := 0
	next := func(below int) int { at++; return int(script[at-1] % uint32(below)) }
	square := append([]*lt.Tensor(nil), leaves...) // [n n]
	rows := []*lt.Tensor{leaves[0].Sum(-1)}        // [n]
	one := func() *lt.Tensor { return square[len(square)-1-next(min(len(square), 6))] }
	tame := func(x *lt.Tensor) *lt.Tensor { return x.Tanh() }
	column := func() *lt.Tensor { return rows[next(len(rows))].Unsqueeze(-1) }
	keep := lt.Ones(n, n).Tril(next(2)).Gt(0)
	if next(3) == 0 {
		keep = lt.Ones(n, n).Triu(-next(2)).Gt(0)
	}
	number := []float64{0.5, 2.5, 7, -1, 1}
	for range 12 + next(12) {
		x, y := one(), one()
		c := number[next(len(number))]
		z := x // mostly: with another it is no pattern
		if next(4) == 0 {
			z = y
		}
		switch next(24) {
		case 0, 1:
			square = append(square, x.Add(z))
		case 2:
			square = append(square, x.Sub(y))
		case 3:
			square = append(square, tame(x.Mul(y)))
		case 4, 5, 6:
			square = append(square, x.MatMul(y).Mul(0.2))
		case 7:
			square = append(square, tame(x).MatMul(y.T()))
		case 8:
			square = append(square, x.Mul(c))
		case 9:
			square = append(square, x.Div(c))
		case 10:
			square = append(square, x.Add(rows[next(len(rows))]))
		case 11:
			square = append(square, x.Sub(column()))
		case 12:
			square = append(square, x.Softmax(-next(2)-1))
		case 13:
			square = append(square, x.LogSoftmax(-1).Mul(0.1))
		case 14:
			d := x.Sub(z.Max(-1).Unsqueeze(-1).Detach())
			e := d.Exp()
			square = append(square, e.Div(e.Sum(-1).Unsqueeze(-1)))
			if next(3) == 0 {
				square = append(square, e, d)
			}
			if next(3) == 0 {
				square = append(square, tame(d.Sub(e.Sum(-1).Log().Unsqueeze(-1))))
			}
		case 15:
			m := z.Square().Mean(-1).Unsqueeze(-1)
			square = append(square, x.Mul(m.Add(1e-5).Rsqrt()))
			if next(3) == 0 {
				rows = append(rows, m.Squeeze(-1))
			}
		case 16:
			d := x.Sub(z.Mean(-1).Unsqueeze(-1))
			y := d.Div(d.Square().Mean(-1).Add(1e-5).Sqrt().Unsqueeze(-1))
			square = append(square, y.Mul(rows[next(len(rows))].Tanh()).Add(leaves[1].Sum(0)))
			if next(3) == 0 {
				square = append(square, d)
			}
		case 17:
			square = append(square, lt.Where(keep, x, math.Inf(-1)).Softmax(-1))
		case 18:
			square = append(square, x.MatMul(y.T()).Mul(0.3).Softmax(-1).MatMul(one()))
		case 19:
			s := lt.Where(keep, x.MatMul(y.T()), math.Inf(-1))
			square = append(square, tame(s.Softmax(-1).MatMul(one())))
		case 20:
			picked := x.LogSoftmax(-1).TakeAlong(lt.Ints(labels...).Unsqueeze(-1), -1).Squeeze(-1)
			rows = append(rows, picked.Neg())
		case 21:
			lse := x.LogSumExp(-1)
			rows = append(rows, lse.Sub(z.TakeAlong(lt.Ints(labels...).Unsqueeze(-1), -1).Squeeze(-1)))
			if next(3) == 0 {
				rows = append(rows, lse)
			}
		case 22:
			rows = append(rows, tame(x.Sum(-1)))
		case 23:
			square = append(square, x.MatMul(y).Add(rows[next(len(rows))]).Add(x.MatMul(one()).MatMul(one()).Mul(c).Mul(0.1)))
		}
	}
	loss := tame(square[len(square)-1]).Sum().Add(tame(rows[len(rows)-1]).Sum())
	for _, x := range leaves { // so that it depends on all
		loss = loss.Add(x.Square().Sum().Mul(1e-3))
	}
	outs := []*lt.Tensor{square[len(square)-1], rows[len(rows)-1], loss}
	if next(2) == 0 {
		return outs[:2+next(2)] // gradients read parts of patterns again
	}
	return append(outs, lt.Grads(loss, leaves...)...)
}
