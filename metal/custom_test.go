//go:build darwin || softmetal

package metal_test

import (
	"math"
	"strings"
	"testing"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// source is a cell that holds kernels.
type source string

func (source) Pos() ir.Pos               { return ir.Pos{Cell: "cell 9", Line: 1} }
func (source) Done() <-chan struct{}     { return nil }
func (source) Unwrap(v any) any          { return v }
func (source) Globals(func(string, any)) {}
func (s source) Find(text string) (ir.Pos, bool) {
	before, _, ok := strings.Cut(string(s), text)
	return ir.Pos{Cell: "cell 9", Line: 1 + strings.Count(before, "\n"), Col: len(before) - strings.LastIndexByte(before, '\n')}, ok
}

func TestUserKernelsComputeAsTheirCPUFunctions(t *testing.T) {
	lt.Use("metal")
	defer lt.Use("cpu")
	cubes := &lt.Kernel{Name: "cubes and signs", Inputs: []string{"x", "scale"}, Outputs: []string{"y", "s"},
		Header: `float cube(float v) { return v * v * v; }`,
		Metal:  "y[i] = scale[i % n_scale] * cube(x[i]);\ns[i] = sign(x[i]);",
		CPU: func(in, out [][]float32, lo, hi int) {
			for i := lo; i < hi; i++ {
				v := in[0][i]
				out[0][i] = in[1][i%len(in[1])] * v * v * v
				out[1][i] = float32(math.Copysign(1, float64(v)))
			}
		},
		VJP: func(in, out, g []*lt.Tensor) []*lt.Tensor {
			scale := in[1].Expand(in[0].Shape()...)
			return []*lt.Tensor{g[0].Mul(in[0].Square()).Mul(scale).Mul(3), g[0].Mul(in[0].Square()).Mul(in[0]).Sum(0)}
		}}
	x := lt.NewRand(3).Normal(7, 3)
	y := cubes.Run(lt.KernelCall{Shapes: [][]int{{7, 3}, {7, 3}}}, x.T().Contiguous().T(), lt.Of(1, 2, 3))
	if lt.Eval(y...); y[0].Device() != "metal" {
		t.Errorf("it ran on %s", y[0].Device())
	}
	if r := lt.Check(cubes); !r.OK() || math.IsNaN(r.Gradient) {
		t.Error(r)
	}
	// Two axes of threads, and elements that none writes.
	corner := &lt.Kernel{Name: "corner", Outputs: []string{"y"},
		Metal: "y[position.y * 4 + i] = grid.x * 10 + n_y;",
		CPU: func(in, out [][]float32, lo, hi int) {
			for i := lo; i < hi; i++ {
				out[0][i/2*4+i%2] = 36
			}
		}}
	corner.Run(lt.KernelCall{Grid: [3]int{2, 3}, Shapes: [][]int{{4, 4}}})
	if r := lt.Check(corner); !r.OK() {
		t.Error(r)
	}
	alone := &lt.Kernel{Name: "alone", Metal: "out[i] = in[i] + 1;"}
	if got := alone.Run(lt.KernelCall{Shapes: [][]int{{2}}}, lt.Of(1, 2))[0].Floats(); got[0] != 2 || got[1] != 3 {
		t.Errorf("without a CPU function: %v", got)
	}
	lt.Use("cpu")
	err := lt.Try(func() { lt.Eval(alone.Run(lt.KernelCall{Shapes: [][]int{{2}}}, lt.Of(1, 2))[0]) })
	if err == nil || !strings.Contains(err.Error(), "no CPU function") {
		t.Errorf("without a CPU function on the CPU: %v", err)
	}
}

// What is computed for a kernel alone is computed as it is read: one dispatch.
func TestChainsBeforeAUserKernelAreComputedAsTheyAreRead(t *testing.T) {
	defer lt.Use("cpu")
	for _, c := range []struct {
		body string
		one  bool
	}{
		{"y[i] = x[i] > 0 ? sqrt(x[i]) : x[i];", true},
		{"y[i] = x[n_x - 1 - i];", true},
		{"y[i] = x[i] - x[n_x - 1 - i];", false},
		{"float sum = 0; for (uint j = 0; j <= i; j++) sum += x[j]; y[i] = sum;", false},
		{"device const float* p = x; y[i] = p[i];", false},
		{"device const float* p = &x[i]; y[i] = *p;", false},
	} {
		k := &lt.Kernel{Name: "k", Inputs: []string{"x"}, Outputs: []string{"y"}, Metal: c.body}
		run := func(x *lt.Tensor) []float64 {
			return k.Run(lt.KernelCall{Shapes: [][]int{{35}}}, x)[0].Floats()
		}
		lt.Use("metal")
		r := lt.NewRand(4)
		a, b := r.Normal(5, 7).Eval(), r.Normal(7, 1).Eval()
		chain := func() *lt.Tensor { return a.T().Mul(b).Add(lt.Full(0.25)).Tanh().Reshape(35) }
		want := run(chain().Eval())
		before := soft("dispatches")
		got := run(chain())
		if n := soft("dispatches") - before; (n == 1) != c.one && soft("dispatches") > 0 {
			t.Errorf("%s: %d dispatches, one is wanted: %v", c.body, n, c.one)
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-6 {
				t.Fatalf("%s: element %d is %v, and %v of a tensor in memory", c.body, i, got[i], want[i])
			}
		}
	}
}

func TestMistakesInUserKernelsAreToldAtTheirLines(t *testing.T) {
	body := "float v = x[i];\n\ty[i] = nosuch(v);"
	lt.SetHost(source("k := &lt.Kernel{\n  Metal: `" + body + "`}"))
	defer lt.SetHost(nil)
	lt.Use("metal")
	defer lt.Use("cpu")
	call := lt.KernelCall{Shapes: [][]int{{2}}}
	for _, c := range []struct {
		kernel *lt.Kernel
		want   string
	}{
		{&lt.Kernel{Name: "k", Inputs: []string{"x"}, Outputs: []string{"y"}, Metal: body}, `k: the Metal kernel does not compile: kernel body, line 2: use of undeclared identifier 'nosuch'
  cell 9, line 3
    	y[i] = nosuch(v);
    	       ^
  Custom f32[2]  cell 9, line 1`},
		{&lt.Kernel{Name: "k", Inputs: []string{"for"}, Outputs: []string{"y"}, Metal: "y[i] = 1;"}, `argument name "for" is reserved`},
		{&lt.Kernel{Name: "k", Header: "nonsense", Inputs: []string{"x"}, Outputs: []string{"y"}, Metal: "y[i] = 1;"}, "kernel header, line 1"},
		{&lt.Kernel{Name: "k", Inputs: []string{"x"}, Outputs: []string{"y"}, Metal: "x[i] = 1;"}, "kernel body, line 1"},
		{&lt.Kernel{Name: "k", Inputs: []string{"x"}, Outputs: []string{"y"}, Metal: "y[i] = x[i]; }"}, "hint: are all braces"},
	} {
		err := lt.Try(func() { lt.Eval(c.kernel.Run(call, lt.Of(1, 2))[0]) })
		var e *lt.Error
		if e, _ = err.(*lt.Error); e == nil || e.Code != ir.CodeUser || !strings.Contains(e.Detail(), c.want) {
			t.Errorf("got %v", err)
			if e != nil {
				t.Errorf("in full: %s\nwant %s", e.Detail(), c.want)
			}
		}
	}
}
