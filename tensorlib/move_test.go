package tensorlib_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	lt "loris/tensorlib"
)

// TestScatterOfRepeatedIndices scatters along each axis by indices that are repeated
// along others, over shapes whose work is shared by threads, against a loop.
func TestScatterOfRepeatedIndices(t *testing.T) {
	const a, b, c = 6, 40, 150
	g := lt.NewRand(3)
	x, u := g.Randint(-9, 9, a, b, c).Cast(lt.F32).Eval(), g.Randint(-9, 9, a, b, c).Cast(lt.F32).Eval()
	for axis, size := range []int{a, b, c} {
		for _, shape := range [][]int{{a, b, c}, {1, b, c}, {a, 1, c}, {a, b, 1}, {1, b, 1}, {a, 1, 1}, {1, 1, c}} {
			idx := g.Randint(-size, size, shape...).Expand(a, b, c)
			sum, set := slices.Clone(x.Floats()), slices.Clone(x.Floats())
			at, v := idx.Ints(), u.Floats()
			for i := range at {
				p := [3]int{i / (b * c), i / c % b, i % c}
				if p[axis] = at[i]; at[i] < 0 {
					p[axis] += size
				}
				k := (p[0]*b+p[1])*c + p[2]
				sum[k] += v[i]
				set[k] = v[i]
			}
			if !slices.Equal(x.ScatterAdd(axis, idx, u).Floats(), sum) {
				t.Errorf("ScatterAdd along %d by indices of %v", axis, shape)
			}
			if !slices.Equal(x.Scatter(axis, idx, u).Floats(), set) {
				t.Errorf("Scatter along %d by indices of %v", axis, shape)
			}
			took := x.TakeAlong(idx, axis).Floats()
			from := x.Floats()
			for i := range at {
				p := [3]int{i / (b * c), i / c % b, i % c}
				if p[axis] = at[i]; at[i] < 0 {
					p[axis] += size
				}
				if took[i] != from[(p[0]*b+p[1])*c+p[2]] {
					t.Fatalf("TakeAlong along %d by indices of %v: element %d", axis, shape, i)
				}
			}
		}
	}
}

// TestFirstIndexOutOfRange: of many indices out of range, which threads find in any
// order, the error names the first.
func TestFirstIndexOutOfRange(t *testing.T) {
	const n = 100000
	at := make([]int, n)
	for i := n / 3; i < n; i++ {
		at[i] = 7 + i
	}
	idx, x := lt.Ints(at...), lt.Arange(7).Cast(lt.F32)
	for name, y := range map[string]*lt.Tensor{
		"Take": x.Take(idx, 0), "TakeAlong": x.TakeAlong(idx, 0), "ScatterAdd": x.ScatterAdd(0, idx, lt.Zeros(n)),
	} {
		err := lt.Try(func() { y.Eval() })
		if err == nil || !strings.Contains(err.Error(), "index 33340 is out of range for an axis of 7") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFilledMemoryKeepsSigns: memory filled with -0 is not cleared.
func TestFilledMemoryKeepsSigns(t *testing.T) {
	for _, d := range []lt.DType{lt.F32, lt.F64, lt.F16, lt.BF16} {
		minus := lt.Of(math.Copysign(0, -1)).Cast(d).Eval()
		for name, y := range map[string]*lt.Tensor{"Expand": minus.Expand(3000).Contiguous(), "Pad": lt.Zeros(1).Cast(d).Pad(math.Copysign(0, -1), 3000, 0)} {
			if v := y.Floats(); !math.Signbit(v[100]) || !math.Signbit(v[2999]) {
				t.Errorf("%s of -0 in %s gives %v", name, d, v[100])
			}
		}
	}
}

// TestCumSumOfManyLines sums along each axis of shapes whose lines are taken together, against
// a loop.
func TestCumSumOfManyLines(t *testing.T) {
	for _, shape := range [][]int{{11, 300}, {9, 1100}, {2, 37, 600}, {3, 40, 5}, {2000}} {
		x := lt.NewRand(len(shape)).Randint(-50, 50, shape...).Eval()
		for axis, length := range shape {
			want, stride := x.Ints(), 1
			for _, d := range shape[axis+1:] {
				stride *= d
			}
			for i := range want {
				if i/stride%length > 0 {
					want[i] += want[i-stride]
				}
			}
			for _, d := range []lt.DType{lt.F32, lt.F64, lt.I32, lt.I64} {
				if got := x.Cast(d).CumSum(axis).Cast(lt.I64).Ints(); !slices.Equal(got, want) {
					t.Errorf("CumSum along %d of %s %v", axis, d, shape)
				}
			}
		}
	}
}

// TestCastsOfSpecialNumbers casts numbers at the ends of the ranges, repeated over more than
// a vector, from and to each dtype by way of the host's.
func TestCastsOfSpecialNumbers(t *testing.T) {
	special := []float64{0.0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), 0.75, -0.75, 254.5, 255.0, 256.0, -1.0, 300.0, 3e9, -3e9, 1e19, -1e19}
	for _, from := range []lt.DType{lt.F32, lt.F64, lt.F16, lt.BF16} {
		x := lt.Of(special...).Cast(from).Repeat(3).At(lt.R(0, 41)).Eval()
		for _, c := range []struct {
			to     lt.DType
			lo, hi float64
		}{{lt.U8, 0, math.MaxUint8}, {lt.I32, math.MinInt32, math.MaxInt32}, {lt.I64, math.MinInt64, math.MaxInt64}} {
			got := x.Cast(c.to).Ints()
			for i, v := range x.Floats() {
				want := 0
				switch {
				case v != v:
				case v <= c.lo:
					want = int(c.lo)
				case v >= c.hi && c.to == lt.I64:
					want = math.MaxInt64
				case v >= c.hi:
					want = int(c.hi)
				default:
					want = int(v)
				}
				if got[i] != want {
					t.Errorf("%v of %s as %s is %d, want %d", v, from, c.to, got[i], want)
				}
			}
		}
		truth := x.Cast(lt.Bool).Cast(lt.I64).Ints()
		for i, v := range x.Floats() {
			if (truth[i] == 1) != (v != 0) {
				t.Errorf("%v of %s as bool is %d", v, from, truth[i])
			}
		}
	}
}

// BenchmarkCast reports the bytes read and written.
func BenchmarkCast(b *testing.B) {
	all := []lt.DType{lt.F32, lt.F64, lt.BF16, lt.I32, lt.I64, lt.U8, lt.Bool}
	numbers := lt.NewRand(1).Normal(1024, 1024).Mul(100.0)
	for _, from := range all {
		x := numbers.Cast(from).Eval()
		for _, to := range all {
			if from == to {
				continue
			}
			b.Run(fmt.Sprintf("%s to %s", from, to), func(b *testing.B) {
				b.SetBytes(int64((from.Bytes() + to.Bytes()) * x.Size()))
				for b.Loop() {
					x.Cast(to).Eval().Release()
				}
			})
		}
	}
}

// BenchmarkMove reports what ops that move elements read and write.
func BenchmarkMove(b *testing.B) {
	g := lt.NewRand(1)
	x := g.Normal(1024, 1024).Eval()
	rows := g.Randint(0, 1024, 1024).Eval()
	all := g.Randint(0, 1024, 1024, 1024).Eval()
	for name, f := range map[string]func() *lt.Tensor{
		"take along 0":        func() *lt.Tensor { return x.TakeAlong(all, 0) },
		"take along 1":        func() *lt.Tensor { return x.TakeAlong(all, 1) },
		"scatter add":         func() *lt.Tensor { return x.ScatterAdd(0, all, x) },
		"scatter add of rows": func() *lt.Tensor { return x.ScatterAdd(0, rows.Unsqueeze(1).Expand(1024, 1024), x) },
		"flip":                func() *lt.Tensor { return x.Flip(1).Contiguous() },
		"pad":                 func() *lt.Tensor { return x.Pad(0, 1, 1, 1, 1) },
		"zeros":               func() *lt.Tensor { return lt.Zeros(1024, 1024).Contiguous() },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(8 << 20)
			for b.Loop() {
				f().Eval().Release()
			}
		})
	}
}
