package interp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The cells of the library's guide, one after the other in one session, as a user
// types them. tensorlib's TestExampleCells has the same compiled.
func TestLibraryCells(t *testing.T) {
	dir := t.TempDir()
	s, r := newSession(t)
	for _, c := range []struct {
		name, code string
		out        string // exactly
		value      string // part of the value's text
		mime       string // that the value has
		err        string // part of the error
	}{
		{name: "create", code: `
a := lt.Of(1, 2, 3)
b := lt.From([][]float32{{1, 2, 3}, {4, 5, 6}})
z := lt.Zeros(2, 3)
n := lt.Arange(12).Reshape(3, -1)
fmt.Println(b.Shape(), z.DType(), n.Shape())
a`, out: "[2 3] f32 [3 4]\n", value: "[1 2 3]", mime: "text/html"},
		{name: "lazy chain", code: "y := b.Mul(2).Add(a).Tanh().Mean(-1)\ny", value: "0.99", mime: "text/html"},
		{name: "eval and async", code: `
p := lt.EvalAsync(y, b.Exp())
check(p.Wait(ctx))
len(y.Eval().Floats())`, value: "2"},
		{name: "graph", code: "lt.Graph(b.Mul(2).Add(a).Tanh().Mean()).Fused()", value: "in 1: mul add tanh sum div", mime: "text/html"},
		{name: "timings", code: `
lt.Prof(func() {
	h := n.Cast(lt.F32).Tanh()
	for range 3 {
		h = h.Mul(1.5).Tanh()
	}
	lt.Eval(h)
}).Table()`, value: "% of peak", mime: "text/html"},
		{name: "indexing", code: "fmt.Println(n.At(0).Ints(), n.At(lt.All, 1).Ints(), n.At(lt.R(0, 2), -1).Ints())", out: "[0 1 2 3] [1 5 9] [3 7]\n"},
		{name: "a shape error", code: "\nq := lt.Zeros(8, 32).MatMul(lt.Zeros(64, 32))", err: "inner dimensions differ: [8 32] @ [64 32]"},
		{name: "another", code: "b.Add(lt.Ones(4))", err: "[2 3] and [4] do not broadcast"},
		{name: "catching one", code: `
if err := lt.Try(func() { b.Add(lt.Ones(4)) }); err != nil {
	fmt.Println("caught:", err)
}`, out: "caught: Add: shapes [2 3] and [4] do not broadcast\n"},
		{name: "random numbers", code: `
r := lt.NewRand(42)
u := r.Normal(2, 3)
ks := r.Split(2)
fmt.Println(u.Shape(), ks[0].Uniform(-1, 1, 2).Shape())`, out: "[2 3] [2]\n"},
		{name: "autodiff", code: `
f := func(x ...*lt.Tensor) *lt.Tensor { return x[0].Sin().Sum() }
df := lt.Grad(f)
fmt.Printf("%.3f\n", df(lt.Of(0, math.Pi))[0].Floats())
loss := u.Mul(u).Mean()
gs := lt.Grads(loss, u)
gs[0].Shape()`, out: "[1.000 -1.000]\n", value: "[2 3]"},
		{name: "a model is a struct", code: `
type MLP struct {
	Up   *nn.Linear ` + "`lt:\"up\"`" + `
	Down *nn.Linear ` + "`lt:\"down\"`" + `
}

func (m *MLP) Forward(x *lt.Tensor) *lt.Tensor { return m.Down.Forward(m.Up.Forward(x).Tanh()) }`},
		{name: "its parameters", code: `
net := &MLP{Up: nn.NewLinear(r, 2, 16), Down: nn.NewLinear(r, 16, 1)}
nn.Collect(net).Names()`, value: "[down.b down.w up.b up.w]"},
		{name: "training by hand", code: `
ps := nn.Collect(net)
opt := &nn.AdamW{LR: 0.03}
x := r.Normal(64, 2)
t := x.At(lt.All, lt.R(0, 1)).Mul(x.At(lt.All, lt.R(1, 2)))
first := nn.MSE(net.Forward(x), t).Item()
for step := 1; step <= 60; step++ {
	loss := nn.MSE(net.Forward(x), t)
	opt.Step(ps, lt.Grads(loss, ps.Tensors()...))
	if step == 60 {
		fmt.Println(loss.Item() < first/2)
	}
}`, out: "true\n"},
		{name: "compile", code: `
step := lt.Compile(func(x ...*lt.Tensor) []*lt.Tensor {
	return []*lt.Tensor{x[0].MatMul(x[1].T()).Silu()}
})
o := step.Call(lt.Ones(2, 3), lt.Ones(4, 3))
o = step.Call(lt.Ones(2, 3), lt.Ones(4, 3))
fmt.Println(o[0].Shape(), step.Hits, step.Misses)`, out: "[2 4] 1 1\n"},
		{name: "a kernel of one's own", code: `
sq := &lt.Kernel{Name: "square", Inputs: []string{"x"}, Outputs: []string{"y"},
	Metal: "y[i] = x[i] * x[i];",
	CPU: func(in, out [][]float32, lo, hi int) {
		for i := lo; i < hi; i++ {
			out[0][i] = in[0][i] * in[0][i]
		}
	}}
sq.Run(lt.KernelCall{Grid: [3]int{4, 1, 1}, Shapes: [][]int{{4}}}, lt.Of(1, 2, 3, 4))[0]`, value: "[ 1  4  9 16]"},
		{name: "a LoRA layer by hand", code: `
base := r.Normal(32, 64)
ll := lora.NewLayer(r, base, lora.Config{R: 4, Alpha: 8})
xx := r.Normal(5, 64)
d := ll.Forward(xx).Sub(xx.MatMul(ll.Merged().T()))
fmt.Println(ll.Forward(xx).Shape(), d.Mul(d).Sum().Item() < 1e-6)`, out: "[5 32] true\n"},
		{name: "lazy against eager", code: `
report, err := bench.Options{Warmup: 2, Samples: 6, Interleave: true, Verify: 1e-5}.Compare(
	bench.Case{Name: "lazy", Run: func() *lt.Tensor { return b.Mul(2).Add(a).Tanh() }},
	bench.Case{Name: "eager", Run: func() *lt.Tensor { return b.Mul(2).Eval().Add(a).Eval().Tanh().Eval() }},
)
check(err)
report`, value: "(an empty case)", mime: "text/html"},
		{name: "memory and cache", code: "lt.GetStats()", value: "evaluations", mime: "text/html"},
		{name: "weights", code: `
check(lt.Save("` + filepath.ToSlash(filepath.Join(dir, "w.safetensors")) + `", ps.Map()))
wm, err := lt.Load("` + filepath.ToSlash(filepath.Join(dir, "w.safetensors")) + `")
check(err)
len(wm)`, value: "4"},
		{name: "a function with an error", code: `
func trainStep(net *MLP, opt *nn.AdamW, ps *nn.Params, x, t *lt.Tensor) (loss float64, err error) {
	err = lt.Try(func() {
		l := nn.MSE(net.Forward(x), t)
		opt.Step(ps, lt.Grads(l, ps.Tensors()...))
		loss = l.Item()
	})
	return loss, err
}
_, err = trainStep(net, opt, ps, x, t)
_, bad := trainStep(net, opt, ps, x.T(), t)
fmt.Println(err, bad != nil)`, out: "<nil> true\n"},
	} {
		out, o := cell(t, s, r, c.code)
		if c.err != "" {
			if o.Err == nil || !strings.Contains(strings.Join(o.Err.Traceback, "\n"), c.err) {
				t.Errorf("%s: error %v, want %q", c.name, o.Err, c.err)
			}
			continue
		}
		if o.Err != nil {
			t.Errorf("%s: %s", c.name, strings.Join(o.Err.Traceback, "\n"))
			continue
		}
		if out != c.out {
			t.Errorf("%s: printed %q, want %q", c.name, out, c.out)
		}
		if c.value == "" {
			continue
		}
		if o.Value == nil {
			t.Errorf("%s: shows nothing", c.name)
			continue
		}
		if text, _ := o.Value.Data["text/plain"].(string); !strings.Contains(text, c.value) {
			t.Errorf("%s: shows %q, want %q", c.name, text, c.value)
		}
		if c.mime != "" && o.Value.Data[c.mime] == nil {
			t.Errorf("%s: there is no %s", c.name, c.mime)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "w.safetensors")); err != nil {
		t.Error(err)
	}
}
