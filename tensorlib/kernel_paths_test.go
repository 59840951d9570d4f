package tensorlib_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	lt "loris/tensorlib"
)

// apart returns the largest difference relative to the largest magnitude.
func apart(got, want *lt.Tensor) float64 {
	want = want.Cast(lt.F64)
	return got.Cast(lt.F64).Sub(want).Abs().Max().Div(want.Abs().Max().Add(1e-30)).Item()
}

// TestConvolutionsOfManyShapes holds convolutions by matrix products (f32) against
// the plain loops (f64): values and both gradients.
func TestConvolutionsOfManyShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		groups := 1 + r.IntN(2)
		channels, outputs := groups*(1+r.IntN(5)), groups*(4+r.IntN(5))
		kh, kw := 1+r.IntN(3), 1+r.IntN(4)
		o := lt.ConvOptions{Groups: groups, Stride: [2]int{1 + r.IntN(3), 1 + r.IntN(3)}, Pad: [2]int{r.IntN(4), r.IntN(3)}, Dilation: [2]int{1 + r.IntN(2), 1 + r.IntN(3)}}
		h, w := o.Dilation[0]*(kh-1)+1+r.IntN(9), o.Dilation[1]*(kw-1)+1+r.IntN(40)
		draw := lt.NewRand(r.IntN(1000))
		x, k := draw.Normal(1+r.IntN(2), channels, h, w).Eval(), draw.Normal(outputs, channels/groups, kh, kw).Eval()
		var results [2][]*lt.Tensor
		for i, d := range []lt.DType{lt.F32, lt.F64} {
			x, k := x.Cast(d).Track(), k.Cast(d).Track()
			y := x.Conv2d(k, o)
			results[i] = append([]*lt.Tensor{y}, lt.Grads(y.Sin().Sum(), x, k)...)
		}
		for i, what := range []string{"value", "gradient of x", "gradient of the kernels"} {
			if d := apart(results[0][i], results[1][i]); !(d < 1e-5) {
				t.Errorf("%s of %v * %v, %+v: off by %v", what, x.Shape(), k.Shape(), o, d)
			}
		}
	}
}

// TestProductsOfHalves holds every way in which halves are multiplied against f64.
func TestProductsOfHalves(t *testing.T) {
	r := lt.NewRand(5)
	for _, c := range []struct {
		dtype lt.DType
		limit float64
	}{{lt.F16, 1e-3}, {lt.BF16, 8e-3}} {
		for _, rows := range []int{1, 2, 8, 9, 40} {
			for _, s := range [][2]int{{64, 48}, {37, 130}, {1, 5}, {300, 1}, {130, 257}, {1300, 515}} {
				x, w := r.Normal(rows, s[0]).Cast(c.dtype).Eval(), r.Normal(s[0], s[1]).Cast(c.dtype).Eval()
				turned := w.T().Contiguous().Eval()
				want := x.Cast(lt.F64).MatMul(w.Cast(lt.F64))
				for name, y := range map[string]*lt.Tensor{
					"rows": x.MatMul(w), "columns": x.MatMul(turned.T()), "strided": x.MatMul(w.Repeat(1, 2).At(lt.All, lt.R(0, 2*s[1], 2)).Eval()),
					"batch": x.Unsqueeze(0).Repeat(3, 1, 1).MatMul(w).At(2), "batches": x.Unsqueeze(0).Repeat(3, 1, 1).MatMul(w.Unsqueeze(0).Repeat(3, 1, 1)).At(1),
				} {
					if name == "strided" {
						if s[1]%2 == 1 {
							continue
						}
						half := w.Cast(lt.F64)
						want := x.Cast(lt.F64).MatMul(half.Repeat(1, 2).At(lt.All, lt.R(0, 2*s[1], 2)))
						if d := apart(y, want); !(d < c.limit) {
							t.Errorf("%s %s %dx%v: off by %v", c.dtype, name, rows, s, d)
						}
						continue
					}
					if d := apart(y, want); !(d < c.limit) {
						t.Errorf("%s %s %dx%v: off by %v", c.dtype, name, rows, s, d)
					}
				}
			}
		}
	}
}

// TestProductsOfQuantisedWeights crosses the number of rows at which weights are
// unpacked instead of multiplied as they are.
func TestProductsOfQuantisedWeights(t *testing.T) {
	r := lt.NewRand(6)
	for _, d := range []lt.DType{lt.Q8, lt.Q4} {
		w := r.Normal(70, 192).Quantize(d).Eval()
		for _, rows := range []int{1, 4, 5, 12, 13, 50} {
			x := r.Normal(rows, 192).Eval()
			if e := apart(x.MatMul(w.T()), x.Cast(lt.F64).MatMul(w.Dequantize().Cast(lt.F64).T())); !(e < 1e-5) {
				t.Error(fmt.Sprint(d, " ", rows, " rows: off by ", e))
			}
		}
	}
}

// TestAttentionGradients holds the gradients by matrix products (f32) against those
// query by query (f64): groups of heads, masks, rows that see nothing, more weights
// than are held at a time.
func TestAttentionGradients(t *testing.T) {
	r := lt.NewRand(8)
	for _, c := range []struct {
		batch, heads, kv, queries, keys, dim, value int
		causal                                      bool
		mask                                        string
	}{
		{2, 4, 2, 9, 17, 8, 5, false, ""}, {1, 2, 2, 40, 40, 16, 16, true, ""}, {1, 3, 1, 12, 30, 4, 8, true, "bool"},
		{2, 2, 1, 33, 7, 8, 8, true, ""}, {1, 2, 2, 20, 20, 8, 8, false, "float"}, {1, 2, 1, 70, 6000, 8, 4, true, ""},
	} {
		q, k := r.Normal(c.batch, c.heads, c.queries, c.dim).Eval(), r.Normal(c.batch, c.kv, c.keys, c.dim).Eval()
		v, g := r.Normal(c.batch, c.kv, c.keys, c.value).Eval(), r.Normal(c.batch, c.heads, c.queries, c.value).Eval()
		o := lt.AttentionOptions{Causal: c.causal}
		switch c.mask {
		case "bool": // the first two queries see nothing
			o.Mask = r.Bernoulli(0.6, c.queries, c.keys).SetAt(false, lt.R(0, 2)).Eval()
		case "float":
			o.Mask = r.Normal(1, c.heads, c.queries, c.keys).Eval()
		}
		var results [2][]*lt.Tensor
		for i, d := range []lt.DType{lt.F32, lt.F64} {
			q, k, v := q.Cast(d).Track(), k.Cast(d).Track(), v.Cast(d).Track()
			o := o
			if c.mask == "float" {
				o.Mask = o.Mask.Cast(d)
			}
			results[i] = lt.Grads(q.Attention(k, v, o).Mul(g.Cast(d)).Sum(), q, k, v)
		}
		for i, what := range []string{"queries", "keys", "values"} {
			if d := apart(results[0][i], results[1][i]); !(d < 2e-5) {
				t.Errorf("%+v: gradient of the %s is off by %v", c, what, d)
			}
		}
	}
}

// TestNarrowedBesideUsed computes from a value that ends in one chain both something
// that may take over its memory and the value itself in fewer bits.
func TestNarrowedBesideUsed(t *testing.T) {
	r := lt.NewRand(6)
	a, b := r.Normal(64, 40).Eval(), r.Normal(40, 48).Eval()
	want := a.Cast(lt.F64).MatMul(b.Cast(lt.F64)).Eval()
	for _, narrow := range []lt.DType{lt.BF16, lt.F16, lt.F32} {
		for _, first := range []bool{false, true} {
			x := a.MatMul(b)
			used, narrowed := x.Mul(2), x.Cast(narrow)
			if first {
				lt.Eval(narrowed, used)
			}
			lt.Eval(used, narrowed)
			if d := apart(narrowed, want); !(d < 8e-3) {
				t.Errorf("%s, first %v: off by %v", narrow, first, d)
			}
			if d := apart(used.Mul(0.5), want); !(d < 1e-5) {
				t.Errorf("beside %s, first %v: what is used is off by %v", narrow, first, d)
			}
		}
	}
}
