//go:build darwin || softmetal

package metal_test

import (
	"math"
	"strings"
	"testing"

	lt "loris/tensorlib"
)

// compared evaluates f on the CPU and on Metal, compares the results, and returns which steps ran where.
func compared(t *testing.T, name string, tolerance float64, f func() []*lt.Tensor) (table string) {
	t.Helper()
	defer lt.Use("cpu")
	var want [][]float64
	for _, device := range []string{"cpu", "metal"} {
		lt.Use(device)
		out := f()
		p := lt.Prof(func() { lt.Eval(out...) })
		for i, x := range out {
			got := x.Floats()
			if device == "cpu" {
				want = append(want, got)
				continue
			}
			largest := 1e-30
			for _, v := range want[i] {
				largest = max(largest, math.Abs(v))
			}
			for j, v := range got {
				if d := math.Abs(v-want[i][j]) / largest; !(d <= tolerance) {
					t.Errorf("%s: result %d, element %d: %v on Metal, %v on the CPU", name, i, j, v, want[i][j])
					break
				}
			}
		}
		table = p.String()
	}
	return table
}

// onMetal compares and fails if a step ran elsewhere.
func onMetal(t *testing.T, name string, tolerance float64, f func() []*lt.Tensor) {
	t.Helper()
	if table := compared(t, name, tolerance, f); strings.Contains(table, "cpu") || !strings.Contains(table, "metal") {
		t.Errorf("%s ran on the CPU in part:\n%s", name, table)
	}
}

func TestQuantisedWeightsRunOnMetal(t *testing.T) {
	for _, dtype := range []lt.DType{lt.Q4, lt.Q8} {
		for _, rows := range []int{1, 5, 40} {
			r := lt.NewRand(7)
			lt.Use("cpu")
			w := r.Normal(36, 64).Quantize(dtype)
			x, a, b := r.Normal(2, rows, 64), r.Normal(64, 8), r.Normal(8, 36)
			lt.Eval(w, x, a, b)
			onMetal(t, "a product with "+dtype.String(), 2e-6, func() []*lt.Tensor {
				return []*lt.Tensor{x.MatMul(w.T()), w.Dequantize()}
			})
			onMetal(t, "the gradient through "+dtype.String(), 2e-6, func() []*lt.Tensor {
				return lt.Grads(x.MatMul(w.T()).Tanh().Sum(), x)
			})
			onMetal(t, "LoRA over "+dtype.String(), 2e-5, func() []*lt.Tensor {
				y := x.MatMul(w.T()).Add(x.MatMul(a).MatMul(b).Mul(2))
				return lt.Grads(y.Square().Mean(), x, a, b)
			})
		}
	}
}

func TestAttentionAndItsGradientRunOnMetal(t *testing.T) {
	r := lt.NewRand(5)
	lt.Use("cpu")
	q, k, v := r.Normal(2, 4, 37, 16), r.Normal(2, 2, 45, 16), r.Normal(2, 2, 45, 24)
	mask, weights := r.Normal(37, 45), r.Normal(2, 4, 37, 24)
	lt.Eval(q, k, v, mask, weights)
	for name, o := range map[string]lt.AttentionOptions{"plain": {}, "causal": {Causal: true}, "masked": {Mask: mask}, "hidden": {Mask: mask.Gt(0)}} {
		onMetal(t, name+" attention", 1e-5, func() []*lt.Tensor {
			y := q.Attention(k, v, o)
			return append(lt.Grads(y.Mul(weights).Sum(), q, k, v), y)
		})
	}
}

func TestBoxesAtComputedPlacesRunOnMetal(t *testing.T) {
	r := lt.NewRand(5)
	lt.Use("cpu")
	x, u, at := r.Normal(6, 7), r.Normal(2, 3), lt.Ints(1, 9)
	lt.Eval(x, u)
	onMetal(t, "dynamic slices", 0, func() []*lt.Tensor {
		return []*lt.Tensor{x.T().DynamicSlice(at, 3, 2), lt.Grads(x.DynamicSlice(at, 2, 3).Mul(u).Sum(), x)[0]}
	})
}

// Steps that Metal lacks run on the CPU between those it has, in the same memory.
func TestAMixedGraphIsSplit(t *testing.T) {
	r := lt.NewRand(11)
	lt.Use("cpu")
	x, w := r.Normal(6, 6), r.Normal(6, 6)
	lt.Eval(x, w)
	f := func() []*lt.Tensor {
		y := x.MatMul(w).Tanh().Add(lt.Eye(6).Mul(9)) // Metal
		z := y.Solve(x.Exp())                         // CPU
		return []*lt.Tensor{z.MatMul(w).Sum(0).Sigmoid(), y}
	}
	for range 3 { // planned, replayed, replayed in reused memory
		table := compared(t, "a mixed graph", 1e-5, f)
		for _, line := range strings.Split(table, "\n") {
			if name, _, _ := strings.Cut(line, " "); name == "solve" != strings.Contains(line, "cpu") && strings.Contains(line, "µs") {
				if name != "sum" {
					t.Errorf("runs elsewhere: %s", line)
				}
			}
		}
		if !strings.Contains(table, "solve") || !strings.Contains(table, "metal") {
			t.Errorf("the timings do not tell where steps ran:\n%s", table)
		}
	}
	lt.Use("metal")
	defer lt.Use("cpu")
	if s := lt.Graph(f()...).Fused().String(); !strings.Contains(s, "steps on metal; solve on cpu") {
		t.Errorf("the graph does not tell where steps run:\n%s", s)
	}
}

func TestIndicesOutOfRangeAreErrors(t *testing.T) {
	lt.Use("metal")
	defer lt.Use("cpu")
	x, u := lt.Arange(12).Reshape(4, 3), lt.Ones(2, 3)
	for name, f := range map[string]func(*lt.Tensor) *lt.Tensor{
		"Take":      func(i *lt.Tensor) *lt.Tensor { return x.Exp().Take(i, 0).Sum() },
		"TakeAlong": func(i *lt.Tensor) *lt.Tensor { return x.TakeAlong(i.Reshape(2, 1).Expand(2, 3), 0) },
		"Scatter":   func(i *lt.Tensor) *lt.Tensor { return x.Scatter(0, i.Reshape(2, 1).Expand(2, 3), u) },
	} {
		if _, err := evaluated(f, lt.Ints(-4, 3)); err != nil {
			t.Errorf("%s of good indices: %v", name, err)
		}
		for _, bad := range []int{4, -5} {
			_, err := evaluated(f, lt.Ints(0, bad))
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(name)) || !strings.Contains(err.Error(), "out of range for an axis of 4") {
				t.Errorf("%s of index %d: %v", name, bad, err)
			}
		}
	}
}

func evaluated(f func(*lt.Tensor) *lt.Tensor, index *lt.Tensor) (y *lt.Tensor, err error) {
	err = lt.Try(func() { y = f(index); lt.Eval(y) })
	return y, err
}

func TestConvolutionsRunOnMetal(t *testing.T) {
	r := lt.NewRand(5)
	lt.Use("cpu")
	for name, c := range map[string]struct {
		x, w lt.Shape
		o    lt.ConvOptions
	}{
		"plain":   {lt.Shape{2, 3, 9, 8}, lt.Shape{5, 3, 3, 3}, lt.ConvOptions{Pad: [2]int{1, 1}}},
		"strided": {lt.Shape{3, 4, 11, 10}, lt.Shape{6, 2, 3, 2}, lt.ConvOptions{Pad: [2]int{1, 1}, Stride: [2]int{2, 3}, Dilation: [2]int{1, 2}, Groups: 2}},
	} {
		x, w := r.Normal(c.x...), r.Normal(c.w...)
		lt.Eval(x, w)
		onMetal(t, name+" convolution", 1e-5, func() []*lt.Tensor {
			y := x.Conv2d(w, c.o)
			return append(lt.Grads(y.Square().Sum(), x, w), y)
		})
	}
}

func TestLongIntegersAreSortedOnMetal(t *testing.T) {
	lt.Use("cpu")
	x := lt.Ints(3, -9007199254740993, 7, 9007199254740993, 7, -1, 9007199254740992, 0).Reshape(2, 4).Eval()
	onMetal(t, "sorting i64", 0, func() []*lt.Tensor {
		top, at := x.TopK(2, 1)
		return []*lt.Tensor{x.Sort(1), x.ArgSort(0), top, at}
	})
}

// The gradient of a product with quantised weights does not write them out.
func TestGradientsMultiplyPackedWeights(t *testing.T) {
	lt.Use("metal")
	defer lt.Use("cpu")
	r := lt.NewRand(2)
	w, x := r.Normal(96, 64).Quantize(lt.Q4), r.Normal(40, 64)
	lt.Eval(w, x)
	table := lt.Prof(func() { lt.Grads(x.MatMul(w.T()).Tanh().Sum(), x)[0].Eval() }).String()
	if !strings.Contains(table, "quantised_gemm_transposed") || strings.Contains(table, "dequantise") {
		t.Errorf("the weights were unpacked:\n%s", table)
	}
}
