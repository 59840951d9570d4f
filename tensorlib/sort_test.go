package tensorlib_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	lt "loris/tensorlib"
)

// TestRanksOfLongLines sorts lines longer than those that other tests use, with many
// equal elements, both zeros, infinities and NaN, against a stable sort.
func TestRanksOfLongLines(t *testing.T) {
	for _, n := range []int{70, 100, 900, 1025, 5000, 20001} {
		x := lt.NewRand(n).Randint(-300, 300, n).Cast(lt.F32).Mul(0.25)
		x = lt.Concat(0, x, lt.Of(math.NaN(), 0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1))).Eval()
		for _, d := range []lt.DType{lt.F32, lt.BF16, lt.F64, lt.I32, lt.I64, lt.U8} {
			y := x.Cast(d).Eval()
			v := y.Floats()
			order := func(descending bool) []int {
				o := make([]int, len(v))
				for i := range o {
					o[i] = i
				}
				slices.SortStableFunc(o, func(i, j int) int {
					a, b := v[i], v[j]
					switch {
					case a == b || a != a && b != b:
						return 0
					case a != a:
						return 1
					case b != b:
						return -1
					case (a < b) != descending:
						return -1
					}
					return 1
				})
				return o
			}
			if got := y.ArgSort().Ints(); !slices.Equal(got, order(false)) {
				t.Errorf("ArgSort of %d %s", n, d)
			}
			down := order(true)
			for _, k := range []int{1, 7, 64, 65, n / 2} {
				values, indices := y.TopK(k)
				if !slices.Equal(indices.Ints(), down[:k]) {
					t.Errorf("TopK(%d) of %d %s", k, n, d)
				}
				if first := values.Floats()[0]; first != v[down[0]] {
					t.Errorf("TopK(%d) of %d %s begins with %v", k, n, d, first)
				}
			}
		}
	}
}

// TestRanksOfColumns sorts lines that do not lie together as it does those that do.
func TestRanksOfColumns(t *testing.T) {
	for _, shape := range [][]int{{50, 5}, {200, 16}, {300, 37}, {3, 120, 20}} {
		x := lt.NewRand(len(shape)).Randint(-60, 60, shape...)
		axis := len(shape) - 2
		for _, d := range []lt.DType{lt.F32, lt.F64, lt.I32, lt.I64, lt.U8, lt.F16} {
			y := x.Cast(d).Eval()
			turned := y.T().Contiguous().Eval()
			same := func(name string, a, b *lt.Tensor) {
				if !slices.Equal(a.Floats(), b.T().Floats()) {
					t.Errorf("%s along %d of %v %s", name, axis, shape, d)
				}
			}
			same("Sort", y.Sort(axis), turned.Sort(axis+1))
			same("ArgSort", y.ArgSort(axis), turned.ArgSort(axis+1))
			a, ai := y.TopK(7, axis)
			b, bi := turned.TopK(7, axis+1)
			same("TopK", a, b)
			same("TopK's places", ai, bi)
		}
	}
}

// TestArgMaxOfTies finds the first of equal elements, and the first NaN, along both axes.
func TestArgMaxOfTies(t *testing.T) {
	g := lt.NewRand(7)
	for _, n := range []int{1, 63, 64, 65, 128, 200, 1030} {
		x := g.Randint(0, 40, n, 3).Cast(lt.F32)
		for _, y := range []*lt.Tensor{x, lt.Where(x.Eq(17.0), math.NaN(), x), x.Cast(lt.I64), x.Cast(lt.F64), x.Cast(lt.BF16)} {
			v := y.Floats()
			for name, smallest := range map[string]bool{"ArgMax": false, "ArgMin": true} {
				want := make([]int, 3)
				for c := range want {
					for i := range n {
						a, best := v[3*i+c], v[3*want[c]+c]
						if best == best && (a != a || smallest && a < best || !smallest && a > best) {
							want[c] = i
						}
					}
				}
				down, along := y.ArgMax(0), y.T().Contiguous().ArgMax(1)
				if smallest {
					down, along = y.ArgMin(0), y.T().Contiguous().ArgMin(1)
				}
				if !slices.Equal(down.Ints(), want) || !slices.Equal(along.Ints(), want) {
					t.Errorf("%s of %d %s: %v down, %v along, want %v", name, n, y.DType(), down.Ints(), along.Ints(), want)
				}
			}
		}
	}
}

// BenchmarkSort sorts a long line and many short ones, and takes the best of a
// vocabulary.
func BenchmarkSort(b *testing.B) {
	for _, s := range [][]int{{1 << 20}, {4096, 256}} {
		x := lt.NewRand(1).Normal(s...).Eval()
		b.Run(fmt.Sprint("sort", x.Shape()), func(b *testing.B) {
			for b.Loop() {
				x.Sort().Eval().Release()
			}
		})
	}
	for _, d := range []lt.DType{lt.F64, lt.I64} {
		x := lt.NewRand(1).Normal(1024, 1024).Mul(1000.0).Cast(d).Eval()
		b.Run(fmt.Sprint("sort ", d), func(b *testing.B) {
			for b.Loop() {
				x.Sort().Eval().Release()
			}
		})
	}
	rows := lt.NewRand(1).Normal(1024, 1024).Eval()
	b.Run("top10 of rows", func(b *testing.B) {
		for b.Loop() {
			v, _ := rows.TopK(10)
			v.Eval().Release()
		}
	})
	logits := lt.NewRand(2).Normal(1, 151936).Eval()
	b.Run("top40 of 151936", func(b *testing.B) {
		for b.Loop() {
			v, _ := logits.TopK(40)
			v.Eval().Release()
		}
	})
}
