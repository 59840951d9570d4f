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

// A step in one pass is one by nodes, too, where parameters and gradients share values
// with each other and with other tensors, and where the gradients are clipped now and then.
func TestAdamWInOnePassOfSharedValues(t *testing.T) {
	const few, many = 3, 10
	type model struct {
		list []*lt.Tensor
		ps   *nn.Params
		opt  *nn.AdamW
	}
	build := func(n int, donate bool) model {
		r := lt.NewRand(7)
		list := make([]*lt.Tensor, n)
		for i := range list {
			list[i] = lt.Parameter(r.Normal(5).Eval())
		}
		return model{list, nn.Collect(&list), &nn.AdamW{LR: 0.1, Donate: donate}}
	}
	kept := func() *lt.Tensor { return lt.Of(1, 2, 3, 4, 5).Mul(0.5).Eval() }
	steps := map[string]func(m model, g []*lt.Tensor){
		"plain":                   func(model, []*lt.Tensor) {},
		"clipped":                 func(m model, _ []*lt.Tensor) { m.opt.ClipNorm = 1e9 },
		"gradients of each other": func(m model, g []*lt.Tensor) { g[0], g[1] = m.list[1], m.list[0] },
		"its own gradient":        func(m model, g []*lt.Tensor) { g[2] = m.list[2] },
		"one value for two": func(m model, _ []*lt.Tensor) {
			x := kept()
			m.list[0].Set(x)
			m.list[1].Set(x)
		},
		"one value for a parameter and the gradient of another": func(m model, g []*lt.Tensor) {
			g[1] = kept()
			m.list[0].Set(g[1])
		},
		"one value for a parameter and its gradient": func(m model, g []*lt.Tensor) {
			g[0] = kept()
			m.list[0].Set(g[0])
		},
	}
	for name, change := range steps {
		for _, donate := range []bool{false, true} {
			nodes, onePass := build(few, false), build(many, donate)
			for i := range 6 {
				for _, m := range []model{nodes, onePass} {
					g := make([]*lt.Tensor, len(m.list))
					for k := range g {
						g[k] = lt.Ones(5).Mul(float64(1 + k + i*i)).Eval()
					}
					m.opt.ClipNorm = 0
					if i == 2 || i == 3 {
						change(m, g)
					}
					m.opt.Step(m.ps, g)
				}
				for k, p := range nodes.list {
					want := p.Floats()
					for j, got := range onePass.list[k].Floats() {
						if math.Abs(got-want[j]) > 1e-5*(1+math.Abs(want[j])) {
							t.Fatalf("%s, donate %v, step %d, parameter %d, element %d: %v, want %v", name, donate, i, k, j, got, want[j])
						}
					}
				}
			}
		}
	}

	m := build(many, true)
	for i := range 4 {
		x := kept()
		m.list[0].Set(x)
		m.opt.Step(m.ps, append([]*lt.Tensor(nil), m.list...))
		var got []float64
		err := lt.Try(func() { got = x.Floats() })
		var e *lt.Error
		if gone := errors.As(err, &e) && e.Code == "donated"; !gone && (err != nil || got[0] != 0.5) {
			t.Errorf("step %d: what a parameter was set to is %v, %v", i, got, err)
		}
	}
}

func TestAdamWOfNoParameters(t *testing.T) {
	var list []*lt.Tensor
	opt := &nn.AdamW{}
	for range 2 {
		opt.Step(nn.Collect(&list), nil)
	}
	if opt.Steps() != 2 {
		t.Errorf("%d steps", opt.Steps())
	}
}

func TestAdamWUpdateAllOfMomentsThatWereSet(t *testing.T) {
	params, grads := []*lt.Tensor{lt.Parameter(lt.Ones(3)).Eval()}, []*lt.Tensor{lt.Ones(3).Eval()}
	moments, given := lt.Zeros(2, 3), lt.Ones(2, 3).Mul(2).Eval()
	moments.Set(given)
	for range 2 {
		if !lt.AdamWUpdateAll(params, grads, moments, [3]float64{0.1, 1, 1}, lt.AdamWOptions{Beta1: 0.5, Beta2: 0.5}, false) {
			t.Fatal("not done")
		}
	}
	if got := moments.At(0, 0).Item(); got != 1.25 {
		t.Errorf("the first moment is %v", got)
	}
	var got float64
	err := lt.Try(func() { got = given.At(0, 0).Item() })
	var e *lt.Error
	if gone := errors.As(err, &e) && e.Code == "donated"; !gone && (err != nil || got != 2) {
		t.Errorf("what the moments were set to is %v, %v", got, err)
	}
}
