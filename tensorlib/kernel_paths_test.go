package tensorlib_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
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
	for range 200 {
		groups := 1 + r.IntN(3)
		channels, outputs := groups*(1+r.IntN(9)), groups*(1+r.IntN(20))
		kh, kw := 1+r.IntN(3), 1+r.IntN(4)
		o := lt.ConvOptions{Groups: groups, Stride: [2]int{1 + r.IntN(4), 1 + r.IntN(5)}, Pad: [2]int{r.IntN(4), r.IntN(6)}, Dilation: [2]int{1 + r.IntN(2), 1 + r.IntN(3)}}
		h, w := o.Dilation[0]*(kh-1)+1+r.IntN(9), o.Dilation[1]*(kw-1)+1+r.IntN(70)
		holdConvolution(t, []int{r.IntN(4), channels, h, w}, []int{outputs, channels / groups, kh, kw}, o)
	}
}

// TestConvolutionsOfKinds does so for the layers that networks are made of: several
// tiles of an image, blocks of channels, panels of outputs, parts of places.
func TestConvolutionsOfKinds(t *testing.T) {
	two := func(a, b int) [2]int { return [2]int{a, b} }
	for _, c := range []struct {
		x, w []int
		o    lt.ConvOptions
	}{
		{[]int{2, 130, 19, 33}, []int{45, 130, 3, 3}, lt.ConvOptions{Pad: two(1, 1)}},
		{[]int{1, 70, 7, 7}, []int{67, 70, 3, 3}, lt.ConvOptions{Pad: two(1, 1)}},
		{[]int{1, 3, 65, 64}, []int{17, 3, 7, 7}, lt.ConvOptions{Pad: two(3, 3), Stride: two(2, 2)}},
		{[]int{2, 3, 64, 64}, []int{24, 3, 16, 16}, lt.ConvOptions{Stride: two(16, 16)}},
		{[]int{2, 150, 14, 14}, []int{33, 150, 1, 1}, lt.ConvOptions{}},
		{[]int{3, 24, 15, 15}, []int{40, 24, 1, 1}, lt.ConvOptions{Stride: two(2, 2)}},
		{[]int{2, 36, 30, 29}, []int{36, 1, 3, 3}, lt.ConvOptions{Pad: two(1, 1), Groups: 36}},
		{[]int{2, 12, 30, 29}, []int{24, 1, 5, 5}, lt.ConvOptions{Pad: two(2, 2), Stride: two(2, 1), Groups: 12}},
		{[]int{1, 8, 1, 5000}, []int{8, 8, 1, 9}, lt.ConvOptions{Pad: two(0, 16), Dilation: two(1, 4)}},
		{[]int{1, 2, 3, 100000}, []int{2, 2, 2, 3}, lt.ConvOptions{Pad: two(0, 1)}},
		{[]int{1, 600, 1, 1}, []int{100, 600, 1, 1}, lt.ConvOptions{}},
		{[]int{2, 40, 5, 5}, []int{90, 40, 5, 5}, lt.ConvOptions{}},
		{[]int{2, 3, 4, 4}, []int{5, 3, 2, 2}, lt.ConvOptions{Pad: two(9, 9), Stride: two(7, 5), Dilation: two(3, 4)}},
		{[]int{1, 1, 3, 3}, []int{1, 1, 2, 2}, lt.ConvOptions{Pad: two(5000, 5000), Stride: two(10000, 10000), Dilation: two(9000, 9000)}},
		{[]int{1, 2, 1, 6}, []int{300, 2, 1, 3}, lt.ConvOptions{Pad: two(0, 1)}},
	} {
		holdConvolution(t, c.x, c.w, c.o)
	}
}

// holdConvolution compares f32 with f64.
func holdConvolution(t *testing.T, xs, ws []int, o lt.ConvOptions) {
	t.Helper()
	draw := lt.NewRand(xs[2]*100 + xs[3])
	x, k := draw.Normal(xs...).Eval(), draw.Normal(ws...).Eval()
	var results [2][]*lt.Tensor
	for i, d := range []lt.DType{lt.F32, lt.F64} {
		x, k := x.Cast(d).Track(), k.Cast(d).Track()
		y := x.Conv2d(k, o)
		results[i] = append([]*lt.Tensor{y}, lt.Grads(y.Square().Sum(), x, k)...)
	}
	for i, what := range []string{"value", "gradient of x", "gradient of the kernels"} {
		got, want := results[0][i], results[1][i]
		if want.Size() == 0 {
			if got.Eval().Size() != 0 {
				t.Errorf("%s of %v * %v, %+v is not empty", what, xs, ws, o)
			}
			continue
		}
		if d := apart(got, want); !(d < 1e-5) {
			t.Errorf("%s of %v * %v, %+v: off by %v", what, xs, ws, o, d)
		}
	}
}

// TestConvolutionsSpreadNaNs lets corners be NaN: just what sees them is NaN, however
// tiles and rows are padded.
func TestConvolutionsSpreadNaNs(t *testing.T) {
	draw := lt.NewRand(9)
	for i, size := range [][2]int{{5, 7}, {9, 64}, {30, 31}, {12, 37}, {6, 50}} {
		x, k := draw.Normal(2, 3, size[0], size[1]), draw.Normal([...]int{20, 5, 17, 1, 2}[i], 3, 3, 3).Eval()
		x = x.SetAt(math.NaN(), 1, 2, 0, 0).SetAt(math.NaN(), 0, 0, size[0]-1, size[1]-1).Eval()
		for _, o := range []lt.ConvOptions{{}, {Pad: [2]int{1, 1}}, {Stride: [2]int{2, 2}}, {Pad: [2]int{2, 0}, Dilation: [2]int{1, 2}}} {
			var results [2][]*lt.Tensor
			for i, d := range []lt.DType{lt.F32, lt.F64} {
				x, k := x.Cast(d), k.Cast(d).Track()
				y := x.Conv2d(k, o)
				results[i] = []*lt.Tensor{y, lt.Grads(y.Sum(), k)[0], lt.Grads(x.Square().Conv2d(k, o).Sum(), k)[0]}
			}
			for i, got := range results[0] {
				want := results[1][i]
				if got.Ne(got).Ne(want.Ne(want)).Any().Item() != 0 {
					t.Errorf("%v, %+v: result %d has NaNs elsewhere", size, o, i)
				}
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

// TestProductsOfViews multiplies views, with negative strides among them, of numbers whose
// products are exact, and compares with the product of copies in f32.
func TestProductsOfViews(t *testing.T) {
	r := lt.NewRand(7)
	views := map[string]func(x *lt.Tensor) *lt.Tensor{
		"rows":    func(x *lt.Tensor) *lt.Tensor { return x.Contiguous().Eval() },
		"columns": func(x *lt.Tensor) *lt.Tensor { return x.T().Contiguous().Eval().T() },
		"flipped": func(x *lt.Tensor) *lt.Tensor { return x.Flip(-2).Contiguous().Eval().Flip(-2) },
		"turned":  func(x *lt.Tensor) *lt.Tensor { return x.T().Flip(-2).Contiguous().Eval().Flip(-2).T() },
		"each other": func(x *lt.Tensor) *lt.Tensor {
			return x.Repeat(1, 1, 2).Eval().At(lt.All, lt.All, lt.R(0, x.Shape()[2]))
		},
		"flipped both": func(x *lt.Tensor) *lt.Tensor { return x.Flip(-1, -2).Contiguous().Eval().Flip(-1, -2) },
	}
	for _, s := range [][3]int{{1, 1, 1}, {2, 5, 3}, {3, 40, 2}, {9, 7, 20}, {20, 1, 8}, {5, 0, 4}} {
		x, w := r.Normal(2, s[0], s[1]).Mul(4).Round().Eval(), r.Normal(2, s[1], s[2]).Mul(4).Round().Eval()
		want := x.MatMul(w).Floats()
		for _, d := range []lt.DType{lt.F64, lt.I32} {
			for left, of := range views {
				for right, and := range views {
					a, b := of(x.Cast(d)), and(w.Cast(d))
					if got := a.MatMul(b).Cast(lt.F32).Floats(); !slices.Equal(got, want) {
						t.Errorf("%s %v, %s @ %s: %v, want %v", d, s, left, right, got, want)
					}
					if !a.Shape().Equal(x.Shape()) || !b.Shape().Equal(w.Shape()) {
						t.Fatalf("%s %v: the factors have become %v and %v", d, s, a.Shape(), b.Shape())
					}
				}
			}
		}
	}
}
