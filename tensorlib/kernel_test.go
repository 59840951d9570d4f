package tensorlib_test

import (
	"slices"
	"strings"
	"testing"

	lt "loris/tensorlib"
)

func TestKernelMistakes(t *testing.T) {
	double := func(in, out [][]float32, lo, hi int) {
		for i := lo; i < hi; i++ {
			out[0][i] = 2 * in[0][i]
		}
	}
	x, four := lt.Of(1, 2, 3, 4), [][]int{{4}}
	for _, c := range []struct {
		want   string
		kernel *lt.Kernel
		call   lt.KernelCall
		inputs []*lt.Tensor
	}{
		{"neither a Metal source nor a CPU function", &lt.Kernel{}, lt.KernelCall{Shapes: four}, []*lt.Tensor{x}},
		{"2 inputs; the kernel names 1: x", &lt.Kernel{Inputs: []string{"x"}, CPU: double}, lt.KernelCall{Shapes: four}, []*lt.Tensor{x, x}},
		{"2 output shapes; the kernel names 1: y", &lt.Kernel{Outputs: []string{"y"}, CPU: double}, lt.KernelCall{Shapes: [][]int{{4}, {4}}}, []*lt.Tensor{x}},
		{"at least one is needed", &lt.Kernel{CPU: double}, lt.KernelCall{}, []*lt.Tensor{x}},
		{"negative size", &lt.Kernel{CPU: double}, lt.KernelCall{Shapes: [][]int{{-4}}}, []*lt.Tensor{x}},
		{"negative size", &lt.Kernel{CPU: double}, lt.KernelCall{Grid: [3]int{-1}, Shapes: four}, []*lt.Tensor{x}},
		{`"x" is used twice`, &lt.Kernel{Inputs: []string{"x"}, Outputs: []string{"x"}, CPU: double}, lt.KernelCall{Shapes: four}, []*lt.Tensor{x}},
		{`"a b" is used twice or is not`, &lt.Kernel{Inputs: []string{"a b"}, CPU: double}, lt.KernelCall{Shapes: four}, []*lt.Tensor{x}},
		{"is i64; f32 is needed", &lt.Kernel{CPU: double}, lt.KernelCall{Shapes: four}, []*lt.Tensor{lt.Ints(1, 2, 3, 4)}},
		{"index out of range [4] with length 4", &lt.Kernel{CPU: double}, lt.KernelCall{Shapes: [][]int{{8}}}, []*lt.Tensor{x}},
	} {
		err := lt.Try(func() { lt.Eval(c.kernel.Run(c.call, c.inputs...)...) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
	if slices.Contains(lt.Devices(), "metal") {
		return
	}
	gpu := &lt.Kernel{Name: "gpu", Metal: "out[i] = in[i];"}
	if err := lt.Try(func() { gpu.Run(lt.KernelCall{Shapes: four}, x) }); err == nil || !strings.Contains(err.Error(), "no Metal here") {
		t.Errorf("a kernel for Metal alone: %v", err)
	}
}

func TestKernelThatIsChangedRunsAsItIs(t *testing.T) {
	k := &lt.Kernel{CPU: func(in, out [][]float32, lo, hi int) { copy(out[0][lo:hi], in[0][lo:hi]) }}
	x, call := lt.Of(1, 2, 3), lt.KernelCall{Shapes: [][]int{{3}}}
	near(t, "copy", k.Run(call, x)[0], 1, 2, 3)
	k.CPU = func(in, out [][]float32, lo, hi int) {
		for i := lo; i < hi; i++ {
			out[0][i] = -in[0][i]
		}
	}
	near(t, "negative", k.Run(call, x)[0], -1, -2, -3)
}

// A thread of the grid may make several elements, or leave some out.
func TestKernelGrid(t *testing.T) {
	spread := &lt.Kernel{CPU: func(in, out [][]float32, lo, hi int) {
		for i := lo; i < hi; i++ {
			out[0][2*i] = in[0][i]
		}
	}}
	y := spread.Run(lt.KernelCall{Grid: [3]int{3}, Shapes: [][]int{{6}}}, lt.Of(1, 2, 3))[0]
	near(t, "spread", y, 1, 0, 2, 0, 3, 0)
	if r := lt.Check(spread); !r.OK() {
		t.Error(r)
	}
}

func TestKernelWithTwoOutputs(t *testing.T) {
	parts := &lt.Kernel{
		CPU: func(in, out [][]float32, lo, hi int) {
			for i := lo; i < hi; i++ {
				out[0][i], out[1][i] = max(in[0][i], 0), min(in[0][i], 0)
			}
		},
		VJP: func(in, out, g []*lt.Tensor) []*lt.Tensor {
			return []*lt.Tensor{lt.Where(in[0].Gt(0), g[0], g[1])}
		}}
	x, call := lt.Of(-2, 3), lt.KernelCall{Shapes: [][]int{{2}, {2}}}
	y := parts.Run(call, x)
	lt.Eval(y...)
	near(t, "first", y[0], 0, 3)
	near(t, "second", y[1], -2, 0)
	second := parts.Run(call, x)[1]
	near(t, "the second alone", second, -2, 0)
	y = parts.Run(call, x)
	near(t, "gradient", lt.Grads(y[0].Mul(5).Add(y[1]).Sum(), x)[0], 1, 5)
	lt.Eager(func() { near(t, "eager", parts.Run(call, x)[1], -2, 0) })
	if r := lt.Check(parts); !r.OK() {
		t.Error(r)
	}
}
