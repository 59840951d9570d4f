package plan

import (
	"math/rand/v2"
	"slices"
	"testing"

	"loris/internal/ir"
)

// elements lists the offsets of a view in row-major order.
func elements(v View) []int {
	out := make([]int, v.Shape.Size())
	for i := range out {
		off, rest := v.Offset, i
		for d := len(v.Shape) - 1; d >= 0; d-- {
			off += rest % v.Shape[d] * v.Strides[d]
			rest /= v.Shape[d]
		}
		out[i] = off
	}
	return out
}

func randomView(r *rand.Rand) View {
	dims := []int{1, 2, 3, 4, 6}
	s := make(ir.Shape, r.IntN(4))
	for i := range s {
		s[i] = dims[r.IntN(len(dims))]
	}
	v := Dense(s)
	for range r.IntN(4) {
		switch r.IntN(3) {
		case 0:
			v = v.Permute(r.Perm(len(v.Shape)))
		case 1:
			v = v.Expand(append(ir.Shape{2}, v.Shape...))
		default:
			start, step, shape := make([]int, len(v.Shape)), make([]int, len(v.Shape)), slices.Clone(v.Shape)
			for i, d := range v.Shape {
				start[i], step[i] = d-1, -1
				if r.IntN(2) == 0 && d > 1 {
					start[i], step[i], shape[i] = 0, 2, (d+1)/2
				}
			}
			v = v.Slice(start, step, shape)
		}
	}
	return v
}

func TestViewsKeepTheirElements(t *testing.T) {
	reshaped := 0
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 3))
		v := randomView(r)
		want := elements(v)
		if got := elements(v.Collapse()); !slices.Equal(got, want) {
			t.Fatalf("%v collapsed to %v: %v, want %v", v, v.Collapse(), got, want)
		}
		lo, hi := v.Span()
		if slices.Min(want) != lo || slices.Max(want) != hi {
			t.Fatalf("%v spans %d..%d, want %d..%d", v, lo, hi, slices.Min(want), slices.Max(want))
		}
		dense := true
		for i, o := range want {
			dense = dense && o == v.Offset+i
		}
		if v.IsDense() != dense {
			t.Fatalf("%v: dense is %v", v, v.IsDense())
		}
		n := v.Shape.Size()
		for _, to := range []ir.Shape{{n}, {1, n}, {n / 2, 2}, {2, n / 2}, {n / 6, 2, 3}, {3, n / 3, 1}} {
			if to.Size() != n {
				continue
			}
			if w, ok := v.Reshape(to); ok {
				reshaped++
				if got := elements(w); !slices.Equal(got, want) {
					t.Fatalf("%v reshaped to %v is %v: %v, want %v", v, to, w, got, want)
				}
			} else if dense {
				t.Fatalf("%v is dense but cannot be reshaped to %v", v, to)
			}
		}
	}
	if reshaped < 1000 {
		t.Errorf("only %d reshapes were possible", reshaped)
	}
}
