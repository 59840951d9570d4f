package devicetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"loris/internal/grad"
	"loris/internal/ir"
	"loris/internal/op"
)

// Every derivative agrees with finite differences in float64, and so does its
// derivative, along random directions.
func TestDerivativesAgreeWithFiniteDifferences(t *testing.T) {
	checked := map[ir.Op]int{}
	for i, c := range Cases() {
		if c.Rough || !slices.Contains(c.DTypes, ir.F64) {
			continue
		}
		for output := range max(1, c.Outputs) {
			name := fmt.Sprintf("%s/%d/%d", op.NameOf(c.Op), i, output)
			if checkDerivative(t, name, c, output, uint64(i)) {
				checked[c.Op]++
			}
		}
	}
	for id := ir.Op(1); id < op.NumOps; id++ {
		row := &op.Table[id]
		if row.Differentiable() && checked[id] == 0 && id != op.Custom && id != op.QMatMul {
			t.Errorf("%s has a derivative that no case checks", row.Name)
		}
	}
}

// checkDerivative reports whether the case has something to check.
func checkDerivative(t *testing.T, name string, c Case, output int, seed uint64) bool {
	rng := rand.New(rand.NewPCG(seed, 7))
	leaves := make([]*ir.Node, len(c.Inputs))
	values := make([]*Array, len(c.Inputs))
	var wrt []*ir.Node
	var at []int
	for i, in := range c.Inputs {
		dtype := in.DType
		if dtype == ir.Invalid {
			dtype = ir.F64
		}
		leaves[i] = leaf(dtype, in.Shape)
		values[i] = in.Fill(rng, dtype, in.Shape)
		if dtype == ir.F64 && !in.Fixed {
			wrt, at = append(wrt, leaves[i]), append(at, i)
		}
	}
	y := c.Build(leaves, output)
	if len(wrt) == 0 || !y.DType.IsFloat() || y.Shape.Size() > 3000 || y.Shape.Size() == 0 || y.DType != ir.F64 {
		return false
	}
	weights := leaf(ir.F64, y.Shape)
	weightValues := Input{}.Fill(rng, ir.F64, y.Shape)
	directions := make([]*ir.Node, len(wrt))
	directionValues := make([]*Array, len(wrt))
	for i, x := range wrt {
		directions[i] = leaf(ir.F64, x.Shape)
		directionValues[i] = Input{}.Fill(rng, ir.F64, x.Shape)
	}

	// eval returns the value of scalar nodes with the inputs moved by h.
	eval := func(h float64, roots ...*ir.Node) []float64 {
		r := &Reference{}
		for i, l := range leaves {
			r.Set(l, values[i])
		}
		for i, d := range directionValues {
			moved := NewArray(d.Shape)
			for k := range moved.Data {
				moved.Data[k] = values[at[i]].Data[k] + h*d.Data[k]
			}
			r.Set(wrt[i], moved)
			r.Set(directions[i], d)
		}
		r.Set(weights, weightValues)
		out, err := r.Eval(roots...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		v := make([]float64, len(out))
		for i := range out {
			v[i] = out[i].Data[0]
		}
		return v
	}
	inner := func(g []*ir.Node) *ir.Node {
		sum := op.Filled(0, ir.F64, nil)
		for i, x := range g {
			if x != nil {
				sum = op.Binary(op.Add, sum, total(op.Binary(op.Mul, x, directions[i])))
			}
		}
		return sum
	}
	loss := total(op.Binary(op.Mul, y, weights))
	one := op.Filled(1, ir.F64, nil)
	g, _ := grad.VJP([]*ir.Node{loss}, []*ir.Node{one}, wrt)
	first := inner(g)
	gg, _ := grad.VJP([]*ir.Node{first}, []*ir.Node{one}, wrt)
	second := inner(gg)
	forward := grad.JVP([]*ir.Node{loss}, wrt, directions)
	if forward[0] == nil {
		forward[0] = op.Filled(0, ir.F64, nil)
	}

	const h = 1e-5
	got := eval(0, first, second, forward[0])
	if c.Op == op.Detach {
		if got[0] != 0 {
			t.Errorf("%s: gradient %v behind Detach", name, got[0])
		}
		return true
	}
	hi, lo := eval(h, loss, first), eval(-h, loss, first)
	size := 1.0
	for i := range 2 {
		size = math.Max(size, math.Abs(hi[i]))
	}
	for i, what := range []string{"first derivative", "second derivative"} {
		want := (hi[i] - lo[i]) / (2 * h)
		tolerance := 2e-6 * (math.Abs(want) + math.Abs(got[i]) + 1e-3*size + 0.1)
		if !(math.Abs(got[i]-want) <= tolerance) {
			t.Errorf("%s: %s %v, finite difference %v", name, what, got[i], want)
		}
	}
	if math.Abs(got[2]-got[0]) > 1e-9*(1+math.Abs(got[0])) {
		t.Errorf("%s: JVP %v, VJP along the same direction %v", name, got[2], got[0])
	}
	return true
}

// total is the sum of all elements.
func total(x *ir.Node) *ir.Node {
	axes := make([]int, len(x.Shape))
	for i := range axes {
		axes[i] = i
	}
	return op.Apply(op.Sum, op.Reduce{Axes: axes}, x)
}
