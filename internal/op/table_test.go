package op

import (
	"slices"
	"testing"

	"loris/internal/ir"
)

func TestEveryRowIsComplete(t *testing.T) {
	for id := ir.Op(1); id < NumOps; id++ {
		if m := Table[id].Missing(); len(m) > 0 {
			t.Errorf("row %d %s lacks %v", id, Table[id].Name, m)
		}
	}
}

// The test above would notice each thing that a row can lack.
func TestAnIncompleteRowIsNoticed(t *testing.T) {
	for what, remove := range map[string]func(r *Row){
		"name":                func(r *Row) { r.Name = "" },
		"doc":                 func(r *Row) { r.Doc = "" },
		"example":             func(r *Row) { r.Example = "" },
		"number of outputs":   func(r *Row) { r.NumOutputs = 0 },
		"check and inference": func(r *Row) { r.Infer = nil },
		"cost":                func(r *Row) { r.Cost = nil },
		"derivative, or the reason why there is none": func(r *Row) { r.VJP, r.Expand = nil, nil },
	} {
		r := Table[Softmax]
		remove(&r)
		if got := r.Missing(); !slices.Equal(got, []string{what}) {
			t.Errorf("without %s: %v", what, got)
		}
	}
}

// No two attributes of different meaning may have the same key: plans are
// cached by it.
func TestKeysOfAttributesDiffer(t *testing.T) {
	attrs := []ir.Attrs{
		Reduce{Axes: []int{0, 1}}, Reduce{Axes: []int{0}}, Reduce{Axes: []int{0}, Keep: true}, Reduce{},
		Perm{Axes: []int{0, 1, 2}}, Perm{Axes: []int{0, 2, 1}},
		Window{[]int{1}, []int{2}, []int{1}}, Window{[]int{1}, []int{2}, []int{-1}}, Window{[]int{1, 2}, []int{2, 1}, []int{1, 1}},
		Norm{Eps: 1e-5}, Norm{Eps: 1e-5, Weight: true}, Norm{Eps: 1e-5, Bias: true},
		Attend{Scale: 1}, Attend{Scale: 1, Causal: true}, Attend{Scale: 1, Mask: 3},
	}
	seen := map[string]ir.Attrs{}
	for _, a := range attrs {
		k := string(a.AppendKey(nil))
		if b, ok := seen[k]; ok {
			t.Errorf("%T%v and %T%v have the same key", a, a, b, b)
		}
		seen[k] = a
	}
}
