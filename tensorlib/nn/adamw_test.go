package nn_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	lt "loris/tensorlib"
	"loris/tensorlib/nn"
)

// Many parameters are updated in one pass over memory, few by nodes of the graph and
// eager ones op by op: all three agree with each other and with float64.
func TestAdamWInOnePassIsAdamWByNodes(t *testing.T) {
	sizes := [][]int{{1}, {3, 5}, {17}, {2048}, {2049}, {64, 65}, {0, 4}, {31}, {5000}, {7}}
	type model struct {
		params *nn.Params
		opt    *nn.AdamW
	}
	build := func(donate bool) model {
		r := lt.NewRand(3)
		list := make([]*lt.Tensor, len(sizes))
		for i, s := range sizes {
			list[i] = lt.Parameter(r.Normal(s...).Eval())
		}
		return model{nn.Collect(&list), &nn.AdamW{LR: 0.01, WeightDecay: 0.1, Donate: donate}}
	}
	gradsOf := func(m model, step int, lazy bool) []*lt.Tensor {
		r := lt.NewRand(100 + step)
		var grads []*lt.Tensor
		for _, p := range m.params.Tensors() {
			g := r.Normal(p.Shape()...)
			if lazy {
				g = g.Add(p.Mul(0.1))
			} else {
				g = g.Add(p.Mul(0.1)).Eval()
			}
			grads = append(grads, g)
		}
		return grads
	}
	first := build(false)
	var want [][]float64
	for _, p := range first.params.Tensors() {
		want = append(want, p.Floats())
	}
	m, v := make([][]float64, len(want)), make([][]float64, len(want))
	for i := range want {
		m[i], v[i] = make([]float64, len(want[i])), make([]float64, len(want[i]))
	}
	models := []model{first, build(true), build(false), build(true)}
	for step := 1; step <= 4; step++ {
		for i, mod := range models {
			grads := gradsOf(mod, step, i%2 == 0)
			if i == 2 {
				lt.Eager(func() { mod.opt.Step(mod.params, grads) })
				continue
			}
			mod.opt.Step(mod.params, grads)
		}
		r := lt.NewRand(100 + step)
		for i, p := range want {
			for j, g := range r.Normal(sizes[i]...).Floats() {
				g += 0.1 * p[j]
				m[i][j] = 0.9*m[i][j] + 0.1*g
				v[i][j] = 0.999*v[i][j] + 0.001*g*g
				p[j] -= 0.01*0.1*p[j] + 0.01*m[i][j]/(1-math.Pow(0.9, float64(step)))/
					(math.Sqrt(v[i][j]/(1-math.Pow(0.999, float64(step))))+1e-8)
			}
		}
		for i, mod := range models {
			for k, p := range mod.params.Tensors() {
				for j, got := range p.Floats() {
					if math.Abs(got-want[k][j]) > 1e-5*(1+math.Abs(want[k][j])) {
						t.Fatalf("model %d, step %d, parameter %v, element %d: %v, want %v", i, step, sizes[k], j, got, want[k][j])
					}
				}
			}
		}
	}
}

// In one pass, too, what was built from a donated parameter says that it is gone, and
// what was built from another keeps the old value.
func TestAdamWInOnePassKeepsOldValues(t *testing.T) {
	for _, donate := range []bool{false, true} {
		list, grads := make([]*lt.Tensor, 9), make([]*lt.Tensor, 9)
		for i := range list {
			list[i], grads[i] = lt.Parameter(lt.Ones(100).Eval()), lt.Ones(100).Eval()
		}
		ps := nn.Collect(&list)
		opt := &nn.AdamW{LR: 0.1, Donate: donate}
		opt.Step(ps, grads)
		before := list[0].Floats()[0]
		old, state := list[0].Mul(2), opt.State(ps)
		opt.Step(ps, grads)
		name := fmt.Sprintf("%s.0", ps.Names()[0])
		if got := state[name].At(0).Item(); math.Abs(got-0.1) > 1e-6 {
			t.Errorf("donate %v: the saved state changed with the next step: %v", donate, got)
		}
		err := lt.Try(func() {
			if got := old.Floats()[0]; math.Abs(got-2*before) > 1e-6 {
				t.Errorf("the graph of the old value gives %v, want %v", got, 2*before)
			}
		})
		var e *lt.Error
		if gone := errors.As(err, &e) && e.Code == "donated"; gone != donate {
			t.Errorf("donate %v: reading the old value: %v", donate, err)
		}
		if got := list[0].Floats()[0]; got >= before {
			t.Errorf("donate %v: the parameter did not move: %v", donate, got)
		}
	}
}

// The moments of many parameters, which lie in one tensor, go to a state and back, and
// stay with their parameters when others are updated.
func TestAdamWOfManyParametersSavesAndChangesThem(t *testing.T) {
	const n = 12
	type model struct {
		all *nn.Params
		opt *nn.AdamW
	}
	build := func() model {
		r := lt.NewRand(5)
		list := make([]*lt.Tensor, n)
		for i := range list {
			list[i] = lt.Parameter(r.Normal(3 + i).Eval())
		}
		return model{nn.Collect(&list), &nn.AdamW{LR: 0.01, Donate: true}}
	}
	step := func(m model, from, to, seed int) {
		var some []*lt.Tensor
		some = append(some, m.all.Tensors()[from:to]...)
		ps := nn.Collect(&some)
		r := lt.NewRand(seed)
		var grads []*lt.Tensor
		for _, p := range ps.Tensors() {
			grads = append(grads, r.Normal(p.Shape()...).Eval())
		}
		m.opt.Step(ps, grads)
	}
	eagerly, lazily := build(), build()
	for i, span := range [][2]int{{0, n}, {0, n}, {0, n}, {2, n}, {2, n}, {0, n}, {0, 3}, {0, n}, {1, n}, {0, n}, {0, n}} {
		lt.Eager(func() { step(eagerly, span[0], span[1], i) })
		step(lazily, span[0], span[1], i)
		if i == 2 || i == 5 {
			state := lazily.opt.State(lazily.all)
			if len(state) != 2*n+1 {
				t.Fatalf("a state of %d tensors", len(state))
			}
			lazily.opt = &nn.AdamW{LR: 0.01, Donate: true}
			if err := lazily.opt.Restore(lazily.all, state); err != nil {
				t.Fatal(err)
			}
		}
		want := eagerly.all.Tensors()
		for k, p := range lazily.all.Tensors() {
			for j, got := range p.Floats() {
				if w := want[k].Floats()[j]; math.Abs(got-w) > 1e-6*(1+math.Abs(w)) {
					t.Fatalf("step %d, parameter %d, element %d: %v, want %v", i, k, j, got, w)
				}
			}
		}
	}
}
