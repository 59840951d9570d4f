package conformance

import "loris/metal/kernels"

// epilogueCases are products that run a group on their result before it leaves the kernel.
func epilogueCases() []*Case {
	const m, n, k, r = 37, 41, 24, 5
	f32 := kernels.F32
	op := func(c kernels.Code, args ...int) kernels.Op { return kernels.Op{Code: c, Type: f32, Args: args} }
	// Two results: silu(product·number + row), and the product less a transposed matrix.
	group := func() *kernels.Group {
		return &kernels.Group{Shape: []int{m, n}, Params: 1,
			Inputs:  []kernels.Input{denseInput(f32, m, n), {Type: f32, Strides: []int{0, 1}, Size: n}, {Type: f32, Strides: []int{1, m}, Size: m * n}},
			Ops:     []kernels.Op{op("param"), op("mul", 0, 3), op("add", 4, 1), op("silu", 5), op("sub", 0, 2)},
			Outputs: []kernels.Output{{Value: 6, Type: f32}, {Value: 7, Type: f32}}}
	}
	var all []*Case
	add := func(l *kernels.Launch, product func(b *builder) []float64) {
		g := group()
		with, ok := kernels.WithEpilogue(l, g)
		if !ok {
			panic("conformance: " + l.Kernel + " takes no epilogue")
		}
		setParameters(with.Params, g, g.EpilogueParam(with, 0))
		b := build(with, true, "%dx%dx%d", m, n, k)
		results := evaluate(g, [][]float64{product(b), b.values["in1"], b.values["in2"]})
		all = append(all, b.want("out0", 2e-6, results[0]).want("out1", 2e-6, results[1]).c)
	}
	multiply := func(a, b []float64, m, n, k int) []float64 {
		return each(m*n, func(i int) float64 {
			sum := 0.0
			for j := range k {
				sum += a[i/n*k+j] * b[j*n+i%n]
			}
			return sum
		})
	}
	for _, addend := range []bool{false, true} {
		gemm := kernels.GEMM{Type: f32, M: m, N: n, K: k, Alpha: 0.5, Addend: addend, Splits: 1}
		add(gemm.Launches(kernels.Chip{Class: 'g'})[0], func(b *builder) []float64 {
			y := multiply(b.values["A"], b.values["B"], m, n, k)
			return each(m*n, func(i int) float64 {
				if addend {
					return 0.5*y[i] + b.values["addend"][i]
				}
				return 0.5 * y[i]
			})
		})
	}
	lora := kernels.LoRA{Type: f32, M: m, N: n, K: k, R: r, Scale: 0.5}
	add(lora.Forward(), func(b *builder) []float64 {
		low := multiply(multiply(b.values["x"], b.values["A"], m, r, k), b.values["B"], m, n, r)
		y := multiply(b.values["x"], b.values["W"], m, n, k)
		return each(m*n, func(i int) float64 { return y[i] + 0.5*low[i] })
	})
	return all
}
