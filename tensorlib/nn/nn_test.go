package nn_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loris/internal/eval"
	lt "loris/tensorlib"
	"loris/tensorlib/lora"
	"loris/tensorlib/nn"
)

type recorded struct {
	Shapes map[string][]int
	Start  map[string][]float32
	Grads  []map[string][]float32
	Runs   map[string][]map[string][]float32
}

func TestOptimizersAgreeWithPyTorch(t *testing.T) {
	text, err := os.ReadFile("testdata/optimizers.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec recorded
	if err := json.Unmarshal(text, &rec); err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string]nn.Optimizer{
		"adamw":         &nn.AdamW{LR: 0.01},
		"adamw_custom":  &nn.AdamW{LR: 0.1, Beta1: 0.8, Beta2: 0.95, Eps: 1e-3, WeightDecay: 0.2},
		"adamw_clipped": &nn.AdamW{LR: 0.01, ClipNorm: 0.5},
		"sgd":           &nn.SGD{LR: 0.1},
		"sgd_momentum":  &nn.SGD{LR: 0.1, Momentum: 0.9, WeightDecay: 0.1},
		"sgd_nesterov":  &nn.SGD{LR: 0.1, Momentum: 0.9, Nesterov: true},
		"lion":          &nn.Lion{LR: 0.01, WeightDecay: 0.2},
		"adafactor":     &nn.Adafactor{LR: 0.02, WeightDecay: 0.01},
		"muon":          &nn.Muon{WeightDecay: 0.3, AdamW: nn.AdamW{LR: 0.01}},
	} {
		model := map[string]*lt.Tensor{}
		for k, v := range rec.Start {
			model[k] = lt.From(v).Reshape(rec.Shapes[k]...)
		}
		ps := nn.Collect(model)
		for step, want := range rec.Runs[name] {
			var grads []*lt.Tensor
			for _, k := range ps.Names() {
				grads = append(grads, lt.From(rec.Grads[step][k]).Reshape(rec.Shapes[k]...))
			}
			opt.Step(ps, grads)
			for k, w := range want {
				for i, g := range ps.Get(k).Float32s() {
					if math.Abs(float64(g-w[i])) > 2e-6*(1+math.Abs(float64(w[i]))) {
						t.Fatalf("%s, step %d: %s[%d] is %v, PyTorch %v", name, step+1, k, i, g, w[i])
					}
				}
			}
		}
	}
}

// Every optimiser finds the minimum of a convex function.
func TestOptimizersMinimise(t *testing.T) {
	for name, opt := range map[string]nn.Optimizer{
		"AdamW": &nn.AdamW{LR: 0.1, WeightDecay: -1}, "SGD": &nn.SGD{LR: 0.1, Momentum: 0.5}, "Lion": &nn.Lion{LR: 0.03},
		"Adafactor": &nn.Adafactor{LR: 0.1}, "Muon": &nn.Muon{LR: 0.1, AdamW: nn.AdamW{LR: 0.1}},
	} {
		r := lt.NewRand(1)
		model := map[string]*lt.Tensor{"w": r.Normal(4, 3), "b": r.Normal(3)}
		target := r.Normal(4, 3).Eval()
		ps := nn.Collect(model)
		var first, last float64
		for step := range 150 {
			loss := model["w"].Sub(target).Square().Sum().Add(model["b"].Square().Sum())
			opt.Step(ps, lt.Grads(loss, ps.Tensors()...))
			if last = loss.Item(); step == 0 {
				first = last
			}
		}
		if !(last < first/20) {
			t.Errorf("%s: from %v to %v", name, first, last)
		}
	}
}

// A gradient with NaN is an error before anything changes, whichever parameter it is of.
func TestClippingRefusesNaN(t *testing.T) {
	for _, opt := range []nn.Optimizer{&nn.AdamW{ClipNorm: 1}, &nn.SGD{ClipNorm: 1, Momentum: 0.9}, &nn.Lion{ClipNorm: 1}, &nn.Adafactor{ClipNorm: 1}, &nn.Muon{ClipNorm: 1}} {
		ps := nn.Collect(map[string]*lt.Tensor{"w": lt.Ones(2, 2), "b": lt.Of(1, 2)})
		good := []*lt.Tensor{lt.Of(1, 1), lt.Ones(2, 2)}
		opt.Step(ps, good)
		before, state := fmt.Sprint(ps.Get("b"), ps.Get("w")), fmt.Sprint(opt.State(ps))
		for _, bad := range [][]*lt.Tensor{{lt.Of(math.NaN(), 1), good[1]}, {good[0], lt.Full(math.Inf(1), 2, 2)}} {
			err := lt.Try(func() { opt.Step(ps, bad) })
			if err == nil || !strings.Contains(err.Error(), "norm is") {
				t.Errorf("%T: %v", opt, err)
			}
			if after := fmt.Sprint(ps.Get("b"), ps.Get("w")); after != before || opt.Steps() != 1 || fmt.Sprint(opt.State(ps)) != state {
				t.Errorf("%T: from %s to %s after %d steps", opt, before, after, opt.Steps())
			}
		}
	}
}

type block struct {
	Up   *nn.Linear `lt:"up"`
	Norm nn.RMSNorm
	skip *nn.Linear
	Off  *nn.Linear `lt:"-"`
}

type model struct {
	Layers []*block             `lt:"layers"`
	Heads  map[string]nn.Module `lt:"heads"`
	Tied   *lt.Tensor
	Again  *lt.Tensor
	Next   *model // a cycle
	Steps  *lt.Tensor
}

func TestCollectFindsEachParameterOnce(t *testing.T) {
	w := lt.Ones(3)
	m := &model{Layers: []*block{{Up: nn.NewLinear(nil, 2, 3), Norm: *nn.NewRMSNorm(3), skip: nn.NewLinear(nil, 2, 2), Off: nn.NewLinear(nil, 2, 2)}},
		Heads: map[string]nn.Module{"b": nn.NewLinear(nil, 1, 1), "a": nn.NewSeq([]nn.Module{nn.NewLayerNorm(2), nn.NewDropout(nil, 0.1)})},
		Tied:  w, Again: w, Steps: lt.Ints(3)}
	m.Next = m
	ps := nn.Collect(m)
	want := "[heads.a.0.b heads.a.0.w heads.b.b heads.b.w layers.0.norm.w layers.0.up.b layers.0.up.w tied]"
	if got := fmt.Sprint(ps.Names()); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if trainable, all := ps.Count(); trainable != all || all != 2+2+1+1+3+3+6+3 {
		t.Error(trainable, all)
	}
	ps.Freeze("layers.*")
	if got := fmt.Sprint(ps.Names()); got != "[heads.a.0.b heads.a.0.w heads.b.b heads.b.w tied]" {
		t.Error(got)
	}
	if lt.Try(func() { ps.Freeze("nothing") }) == nil {
		t.Error("a pattern without a match was accepted")
	}
}

func TestSetIsSeenByTheModel(t *testing.T) {
	l := nn.NewLinear(lt.NewRand(1), 2, 1)
	ps := nn.Collect(l)
	x := lt.Ones(1, 2)
	before := l.Forward(x)
	ps.Set("w", lt.Of(2, 3).Reshape(1, 2))
	ps.Set("b", lt.Of(1))
	if got := l.Forward(x).Item(); got != 6 {
		t.Error(got)
	}
	if got := before.Item(); got == 6 {
		t.Error("a result built before sees the new weights")
	}
	if lt.Try(func() { ps.Set("w", lt.Ones(3)) }) == nil || lt.Try(func() { ps.Set("x", lt.Ones(3)) }) == nil {
		t.Error("a wrong shape or name was accepted")
	}
}

func TestLoadReportsWhatDoesNotFit(t *testing.T) {
	ps := nn.Collect(nn.NewLinear(nil, 2, 3))
	r, err := ps.Load(map[string]*lt.Tensor{"w": lt.Ones(3, 2), "x": lt.Ones(1)})
	if err != nil || r.Loaded != 1 || fmt.Sprint(r.Missing, r.Unexpected) != "[b] [x]" {
		t.Errorf("%+v %v", r, err)
	}
	if _, err = ps.Load(map[string]*lt.Tensor{"w": lt.Ones(2, 3)}); err == nil || !strings.Contains(err.Error(), "w: f32[2 3], the model has f32[3 2]") {
		t.Error(err)
	}
}

// Training that goes on from saved state makes the same steps.
func TestOptimizersResume(t *testing.T) {
	for _, fresh := range []func() nn.Optimizer{
		func() nn.Optimizer { return &nn.AdamW{LR: 0.1} },
		func() nn.Optimizer { return &nn.SGD{LR: 0.1, Momentum: 0.9} },
		func() nn.Optimizer { return &nn.SGD{LR: 0.1} },
		func() nn.Optimizer { return &nn.Lion{LR: 0.1} },
		func() nn.Optimizer { return &nn.Adafactor{LR: 0.1} },
		func() nn.Optimizer { return &nn.Muon{LR: 0.1} },
	} {
		run := func(steps int, opt nn.Optimizer, model map[string]*lt.Tensor) *nn.Params {
			ps := nn.Collect(model)
			for range steps {
				loss := ps.Get("b").Square().Sum().Add(ps.Get("w").Sub(lt.Eye(2, 3)).Square().Sum())
				opt.Step(ps, lt.Grads(loss, ps.Tensors()...))
			}
			return ps
		}
		start := func() map[string]*lt.Tensor {
			return map[string]*lt.Tensor{"b": lt.Of(1, -2, 3), "w": lt.NewRand(4).Normal(2, 3)}
		}
		whole := run(10, fresh(), start())
		a, b := fresh(), fresh()
		half := run(5, a, start())
		copied := map[string]*lt.Tensor{}
		for name, p := range half.Map() {
			copied[name] = p.Detach().Eval()
		}
		path := filepath.Join(t.TempDir(), "optimizer.safetensors")
		if err := lt.Save(path, a.State(half)); err != nil {
			t.Fatal(err)
		}
		state, err := lt.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Restore(nn.Collect(copied), state); err != nil {
			t.Fatal(err)
		}
		resumed := run(5, b, copied)
		for _, name := range []string{"b", "w"} {
			if got, want := fmt.Sprint(resumed.Get(name).Floats()), fmt.Sprint(whole.Get(name).Floats()); got != want || b.Steps() != 10 {
				t.Errorf("%T: %s is %v, want %v; %d steps", a, name, got, want, b.Steps())
			}
		}
	}
}

func TestStateOfAnotherOptimizerIsRefused(t *testing.T) {
	ps := nn.Collect(map[string]*lt.Tensor{"w": lt.Ones(2, 3)})
	grads := []*lt.Tensor{lt.Ones(2, 3)}
	adamw := &nn.AdamW{}
	adamw.Step(ps, grads)
	for _, opt := range []nn.Optimizer{&nn.SGD{}, &nn.SGD{Momentum: 0.9}, &nn.Lion{}, &nn.Adafactor{}, &nn.Muon{}} {
		opt.Step(ps, grads)
		if err := opt.Restore(ps, adamw.State(ps)); err == nil {
			t.Errorf("%T took AdamW's state", opt)
		}
		if opt.Steps() != 1 {
			t.Errorf("%T: a refused state left %d steps", opt, opt.Steps())
		}
	}
	state := adamw.State(ps)
	delete(state, "w.1")
	other := nn.Collect(map[string]*lt.Tensor{"w": lt.Ones(3, 3)})
	for what, err := range map[string]error{"incomplete": adamw.Restore(ps, state), "of another model": (&nn.AdamW{}).Restore(other, adamw.State(ps)), "has no step": adamw.Restore(ps, nil)} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		s    nn.Schedule
		step int
		want float64
	}{
		{nn.Schedule{LR: 2}, 7, 2},
		{nn.Schedule{LR: 2, Warmup: 4}, 1, 0.5},
		{nn.Schedule{LR: 2, Warmup: 4}, 4, 2},
		{nn.Schedule{Kind: "linear", LR: 1, Min: 0.2, Steps: 11}, 1, 1},
		{nn.Schedule{Kind: "linear", LR: 1, Min: 0.2, Steps: 11}, 6, 0.6},
		{nn.Schedule{Kind: "linear", LR: 1, Min: 0.2, Steps: 11}, 99, 0.2},
		{nn.Schedule{Kind: "cosine", LR: 1, Steps: 11}, 6, 0.5},
		{nn.Schedule{Kind: "cosine", LR: 1, Min: 0.1, Steps: 20, Warmup: 5}, 20, 0.1},
		{nn.Schedule{Kind: "exponential", LR: 1, Decay: 0.5}, 3, 0.25},
		{nn.Schedule{Kind: "step", LR: 1, Decay: 0.5, Every: 2}, 4, 0.5},
		{nn.Schedule{Kind: "inverse-sqrt", LR: 1, Warmup: 4}, 16, 0.5163977794943222},
	} {
		if got := c.s.At(c.step); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v at %d: %v, want %v", c.s, c.step, got, c.want)
		}
	}
	for _, s := range []nn.Schedule{{LR: -1}, {Kind: "x"}, {Kind: "cosine", LR: 1, Warmup: 5, Steps: 5}, {Kind: "step", LR: 1}, {LR: math.NaN()}} {
		if s.Validate() == nil {
			t.Errorf("%+v is valid", s)
		}
	}
}

func TestLayersThatWereNotMadeSaySo(t *testing.T) {
	x := lt.Ones(2, 2)
	for _, f := range []func(){
		func() { (*nn.Linear)(nil).Forward(x) }, func() { (&nn.Linear{}).Forward(x) }, func() { (*nn.Conv1D)(nil).Forward(x) }, func() { (&nn.Conv{}).Forward(x) },
		func() { (*nn.Embedding)(nil).Forward(lt.Ints(1)) }, func() { (*nn.RMSNorm)(nil).Forward(x) }, func() { (*nn.LayerNorm)(nil).Forward(x) }, func() { (*nn.Dropout)(nil).Forward(x) },
	} {
		err := lt.Try(f)
		if e, ok := err.(*lt.Error); !ok || !strings.Contains(err.Error(), "the layer is nil") || !strings.Contains(e.Hint, "nn.New") {
			t.Error(err)
		}
	}
}

type gate struct {
	Drop  nn.Dropout
	modes []bool
}

func (g *gate) SetTraining(on bool) { g.modes = append(g.modes, on) }

func TestSetTrainingReachesAllLayers(t *testing.T) {
	shared := nn.NewDropout(nil, 0.5)
	own := &gate{Drop: *nn.NewDropout(nil, 0.5)}
	m := struct {
		First, Again *nn.Dropout
		Layers       []any
		Heads        map[string]nn.Module
		Adapter      *lora.Layer
		Seq          *nn.Seq
	}{First: shared, Again: shared, Layers: []any{own, nn.NewLinear(nil, 2, 2)}, Heads: map[string]nn.Module{"a": nn.NewDropout(nil, 0.1)},
		Adapter: lora.NewLayer(nil, lt.Ones(4, 4), lora.Config{R: 2, Dropout: 0.1}), Seq: nn.NewSeq([]nn.Module{nn.NewDropout(nil, 0.2)})}
	if n := nn.SetTraining(&m, false); n != 6 {
		t.Errorf("%d layers", n)
	}
	x := lt.Ones(8)
	if m.First.Forward(x) != x || own.Drop.Forward(x) != x || m.Heads["a"].Forward(x) != x || m.Seq.Forward(x) != x || m.Adapter.Training() || fmt.Sprint(own.modes) != "[false]" {
		t.Errorf("a layer is still in training; %v", own.modes)
	}
	nn.SetTraining(&m, true)
	if m.First.Forward(x) == x || !m.Adapter.Training() {
		t.Error("training was not switched on again")
	}
	if w := lt.Ones(2); nn.SetTraining(map[string]*lt.Tensor{"w": w}, true) != 0 || w.IsParameter() {
		t.Error("a tensor was touched")
	}
}

// Targets of -100 count in no loss of classes, and their places get no gradient.
func TestIgnoredTargets(t *testing.T) {
	r := lt.NewRand(2)
	for _, dtype := range []lt.DType{lt.F64, lt.F16} {
		logits := r.Normal(4, 3).Cast(dtype).Eval()
		targets := lt.Ints(2, -100, 0, -100)
		counted := logits.Take(lt.Ints(0, 2), 0)
		want := nn.CrossEntropy(counted, lt.Ints(2, 0)).Item()
		for name, loss := range map[string]*lt.Tensor{"CrossEntropy": nn.CrossEntropy(logits, targets), "NLL": nn.NLL(logits.LogSoftmax(), targets)} {
			g := lt.Grads(loss, logits)[0].Floats()
			if got := loss.Item(); math.Abs(got-want) > map[lt.DType]float64{lt.F64: 1e-12, lt.F16: 2e-3}[dtype] || g[3] != 0 || g[11] != 0 || g[0] == 0 {
				t.Errorf("%s of %s: %v, want %v; gradient %v", name, dtype, got, want, g)
			}
		}
	}
	if got := nn.NLL(lt.Zeros(1, 3), lt.Ints(-100)).Item(); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestDropoutKeepsTheMean(t *testing.T) {
	d := nn.NewDropout(lt.NewRand(5), 0.25)
	y := d.Forward(lt.Ones(200, 100))
	zeros := y.Eq(0).Sum().Item() / 20000
	if mean := y.Mean().Item(); math.Abs(mean-1) > 0.02 || math.Abs(zeros-0.25) > 0.02 {
		t.Error(mean, zeros)
	}
	d.SetTraining(false)
	if x := lt.Ones(3); d.Forward(x) != x {
		t.Error("dropping outside of training")
	}
}

func Example() {
	r := lt.NewRand(1)
	layer := nn.NewLinear(r, 2, 1)
	params := nn.Collect(layer)
	x := r.Normal(32, 2)
	target := x.Sum(-1).Unsqueeze(-1)
	optimizer := &nn.AdamW{LR: 0.1, WeightDecay: -1}
	for range 200 {
		loss := nn.MSE(layer.Forward(x), target)
		optimizer.Step(params, lt.Grads(loss, params.Tensors()...))
	}
	fmt.Println(params.Names(), layer.W.Mul(100).Round())
	// Output: [b w] [[100 100]]  f32[1 2]
}

// Collect names the parameters of a layer; what was computed with them before
// must still depend on them.
func TestCollectAfterForwardKeepsTheGradients(t *testing.T) {
	r := lt.NewRand(3)
	for _, evaluated := range []bool{false, true} {
		w := lt.Parameter(r.Normal(4, 2))
		if evaluated {
			w.Eval()
		}
		loss := r.Normal(3, 4).MatMul(w).Square().Mean()
		ps := nn.Collect(map[string]*lt.Tensor{"w": w})
		if g := lt.Grads(loss, ps.Tensors()...); g[0].Norm().Item() == 0 {
			t.Error("the gradient is 0")
		}
		if dot := lt.Graph(loss).DOT(); !strings.Contains(dot, `label="w\n`) {
			t.Errorf("the graph does not show the name: %s", dot)
		}
	}
}

// The moments belong to the optimiser alone, which updates them in place: a step
// allocates the new parameter and nothing else of its size.
func TestAdamWUpdatesItsMomentsInPlace(t *testing.T) {
	const size = 1 << 18
	ps := nn.Collect(map[string]*lt.Tensor{"w": lt.Ones(size).Eval()})
	g := []*lt.Tensor{lt.Full(0.5, size).Eval()}
	opt := &nn.AdamW{LR: 0.01}
	opt.Step(ps, g)
	saved := opt.State(ps)
	before := saved["w.0"].Mul(2) // not computed: the saved state must stay
	opt.Step(ps, g)
	opt.Step(ps, g)
	if got := before.At(0).Item(); math.Abs(got-0.1) > 1e-6 {
		t.Errorf("the saved state changed with the next step: %v", got)
	}
	eval.ResetPeak()
	from := eval.Stats().Live
	opt.Step(ps, g)
	if grown := eval.Stats().Peak - from; grown > 4*size+1<<12 {
		t.Errorf("a step takes %d bytes more, which is not only the new parameter (%d)", grown, 4*size)
	}
	again := &nn.AdamW{LR: 0.01}
	if err := again.Restore(ps, saved); err != nil {
		t.Fatal(err)
	}
	again.Step(ps, g)
	if got := before.At(0).Item(); again.Steps() != 2 || math.Abs(got-0.1) > 1e-6 {
		t.Errorf("restoring gave the state away: %v after %d steps", got, again.Steps())
	}
}
