package suites

import (
	lt "loris/tensorlib"
	"loris/tensorlib/nn"
)

// opWorks lists single operations as `make bench-ops` measures them beside PyTorch,
// whose forms of the same names are in scripts/peers/ops_pytorch.py. They are here to
// show what has fallen far behind, so each stands for a way through the library.
func opWorks() (list []work) {
	start()
	in := newOpInputs()
	add := func(name string, f func() *lt.Tensor) {
		list = append(list, work{name: "op_" + name, make: func() func() *lt.Tensor { return f }})
	}
	elementOps(add, in)
	rowOps(add, in)
	moveOps(add, in)
	productOps(add, in)
	gradientOps(add, in)
	return list
}

// opInputs are the operands; a square one has a million elements.
type opInputs struct {
	x, y, row, logits, table      *lt.Tensor
	positive, mask                *lt.Tensor
	half, brain, double           *lt.Tensor
	bytes, ints                   *lt.Tensor
	indices, along, over, labels  *lt.Tensor
	a256, b256, a512, b512, items *lt.Tensor
	image, kernel, line, taps     *lt.Tensor
	q, k, v                       *lt.Tensor
	matrix, system                *lt.Tensor
}

func newOpInputs() opInputs {
	const n = 1024
	in := opInputs{
		x: random(1, n, n), y: random(1, n, n), row: random(1, n), logits: random(1, 256, 1000), table: random(1, 4096, n),
		a256: random(1, 256, 256), b256: random(1, 256, 256), a512: random(1, 512, 512), b512: random(1, 512, 512), items: random(1, 64, 64, 64),
		image: random(1, 8, 16, 64, 64), kernel: random(1, 32, 16, 3, 3), line: random(1, 8, 16, n), taps: random(1, 32, 16, 5),
		q: random(1, 2, 8, 512, 64), k: random(1, 2, 8, 512, 64), v: random(1, 2, 8, 512, 64),
		matrix:  random(1, 128, 128),
		indices: generator.Randint(0, n, 4096).Eval(), labels: generator.Randint(0, 1000, 256).Eval(),
		ints: generator.Randint(0, 100, n, n).Cast(lt.I32).Eval(), bytes: generator.Randint(0, 200, n, n).Cast(lt.U8).Eval(),
	}
	in.positive, in.mask = in.x.Abs().Eval(), in.x.Gt(0).Eval()
	in.half, in.brain, in.double = in.x.Cast(lt.F16).Eval(), in.x.Cast(lt.BF16).Eval(), in.a256.Cast(lt.F64).Eval()
	in.along = generator.Randint(0, n, n, n).Eval()
	in.over = in.indices.At(lt.R(0, n)).Unsqueeze(1).Expand(n, n).Eval()
	in.system = in.matrix.MatMul(in.matrix.T()).Add(lt.Eye(128).Mul(10)).Eval()
	return in
}

type addOp = func(name string, f func() *lt.Tensor)

func elementOps(add addOp, in opInputs) {
	x, y := in.x, in.y
	add("exp", func() *lt.Tensor { return x.Exp() })
	add("log", func() *lt.Tensor { return in.positive.Log() })
	add("tanh", func() *lt.Tensor { return x.Tanh() })
	add("sigmoid", func() *lt.Tensor { return x.Sigmoid() })
	add("gelu", func() *lt.Tensor { return x.Gelu() })
	add("sin", func() *lt.Tensor { return x.Sin() })
	add("pow", func() *lt.Tensor { return in.positive.Pow(2.5) })
	add("add", func() *lt.Tensor { return x.Add(y) })
	add("add_row", func() *lt.Tensor { return x.Add(in.row) })
	add("add_column", func() *lt.Tensor { return x.Add(in.row.Unsqueeze(1)) })
	add("div", func() *lt.Tensor { return x.Div(y) })
	add("where", func() *lt.Tensor { return lt.Where(in.mask, x, y) })
	add("clip", func() *lt.Tensor { return x.Clip(-1, 1) })
	add("floor", func() *lt.Tensor { return x.Floor() })
	add("greater", func() *lt.Tensor { return x.Gt(y) })
	add("add_bf16", func() *lt.Tensor { return in.brain.Add(in.brain) })
	add("add_f16", func() *lt.Tensor { return in.half.Add(in.half) })
	add("mul_i32", func() *lt.Tensor { return in.ints.Mul(in.ints) })
	add("cast_bf16", func() *lt.Tensor { return x.Cast(lt.BF16) })
	add("cast_f64", func() *lt.Tensor { return x.Cast(lt.F64) })
	add("cast_i32", func() *lt.Tensor { return x.Cast(lt.I32) })
	add("cast_from_u8", func() *lt.Tensor { return in.bytes.Cast(lt.F32) })
	add("uniform", func() *lt.Tensor { return generator.Uniform(0, 1, 1024, 1024) })
	add("normal", func() *lt.Tensor { return generator.Normal(1024, 1024) })
	add("add_1024", func() *lt.Tensor { return in.row.Add(in.row) })
}

func rowOps(add addOp, in opInputs) {
	x := in.x
	for name, axes := range map[string][]int{"": nil, "_rows": {1}, "_columns": {0}} {
		add("sum"+name, func() *lt.Tensor { return x.Sum(axes...) })
		add("max"+name, func() *lt.Tensor { return x.Max(axes...) })
		add("var"+name, func() *lt.Tensor { return x.Var(axes...) })
		add("sum_i32"+name, func() *lt.Tensor { return in.ints.Sum(axes...) })
		add("any"+name, func() *lt.Tensor { return in.mask.Any(axes...) })
	}
	add("prod_rows", func() *lt.Tensor { return x.Prod(1) })
	add("argmax_rows", func() *lt.Tensor { return x.ArgMax(1) })
	add("argmax_columns", func() *lt.Tensor { return x.ArgMax(0) })
	add("cumsum_rows", func() *lt.Tensor { return x.CumSum(1) })
	add("cumsum_columns", func() *lt.Tensor { return x.CumSum(0) })
	add("norm", func() *lt.Tensor { return x.Norm() })
	add("softmax_rows", func() *lt.Tensor { return in.logits.Softmax(1) })
	add("softmax_columns", func() *lt.Tensor { return in.logits.Softmax(0) })
	add("log_sum_exp", func() *lt.Tensor { return in.logits.LogSumExp(1) })
	add("layer_norm", func() *lt.Tensor { return x.LayerNorm(in.row, in.row, 1e-5) })
	add("cross_entropy", func() *lt.Tensor { return nn.CrossEntropy(in.logits, in.labels) })
	add("sort_rows", func() *lt.Tensor { return in.logits.Sort(1) })
	add("argsort_rows", func() *lt.Tensor { return in.logits.ArgSort(1) })
	add("top_10", func() *lt.Tensor { v, _ := in.logits.TopK(10, 1); return v })
}

func moveOps(add addOp, in opInputs) {
	x, y := in.x, in.y
	add("transpose", func() *lt.Tensor { return x.T().Contiguous() })
	add("flip", func() *lt.Tensor { return x.Flip(1).Contiguous() })
	add("concat_rows", func() *lt.Tensor { return lt.Concat(0, x, y) })
	add("concat_columns", func() *lt.Tensor { return lt.Concat(1, x, y) })
	add("every_second", func() *lt.Tensor { return x.At(lt.All, lt.R(0, 1024, 2)).Contiguous() })
	add("pad", func() *lt.Tensor { return x.Pad(0, 1, 1, 1, 1) })
	add("tril", func() *lt.Tensor { return x.Tril() })
	add("take_rows", func() *lt.Tensor { return in.table.Take(in.indices, 0) })
	add("take_along", func() *lt.Tensor { return x.TakeAlong(in.along, 1) })
	add("scatter_add_rows", func() *lt.Tensor { return lt.Zeros(1024, 1024).ScatterAdd(0, in.over, x) })
}

func productOps(add addOp, in opInputs) {
	add("matmul_256", func() *lt.Tensor { return in.a256.MatMul(in.b256) })
	add("matmul_512", func() *lt.Tensor { return in.a512.MatMul(in.b512) })
	add("matmul_64_items", func() *lt.Tensor { return in.items.MatMul(in.items) })
	add("matmul_f64_256", func() *lt.Tensor { return in.double.MatMul(in.double) })
	add("matmul_column", func() *lt.Tensor { return in.x.MatMul(in.row.Unsqueeze(1)) })
	add("conv2d", func() *lt.Tensor { return in.image.Conv2d(in.kernel, lt.ConvOptions{Pad: [2]int{1, 1}}) })
	add("conv2d_stride_2", func() *lt.Tensor { return in.image.Conv2d(in.kernel, lt.ConvOptions{Stride: [2]int{2, 2}}) })
	add("conv1d", func() *lt.Tensor { return in.line.Conv1d(in.taps, lt.ConvOptions{Pad: [2]int{2}}) })
	add("attention", func() *lt.Tensor { return in.q.Attention(in.k, in.v) })
	add("attention_causal", func() *lt.Tensor { return in.q.Attention(in.k, in.v, lt.AttentionOptions{Causal: true}) })
	add("qr_128", func() *lt.Tensor { _, r := in.matrix.QR(); return r })
	add("svd_128", func() *lt.Tensor { _, s, _ := in.matrix.SVD(); return s })
	add("solve_128", func() *lt.Tensor { return in.system.Solve(in.matrix) })
}

// gradientOps are first derivatives of sums.
func gradientOps(add addOp, in opInputs) {
	gradient := func(name string, at *lt.Tensor, f func(p *lt.Tensor) *lt.Tensor) {
		p := lt.Parameter(at)
		add("grad_"+name, func() *lt.Tensor { return lt.Grads(f(p).Sum(), p)[0] })
	}
	gradient("softmax", in.logits, func(p *lt.Tensor) *lt.Tensor { return p.Softmax(1).Square() })
	gradient("layer_norm", in.x, func(p *lt.Tensor) *lt.Tensor { return p.LayerNorm(in.row, in.row, 1e-5) })
	gradient("cross_entropy", in.logits, func(p *lt.Tensor) *lt.Tensor { return nn.CrossEntropy(p, in.labels) })
	gradient("take_rows", in.table, func(p *lt.Tensor) *lt.Tensor { return p.Take(in.indices, 0).Square() })
	gradient("conv2d_kernel", in.kernel, func(p *lt.Tensor) *lt.Tensor {
		return in.image.Conv2d(p, lt.ConvOptions{Pad: [2]int{1, 1}}).Square()
	})
	gradient("conv2d_image", in.image, func(p *lt.Tensor) *lt.Tensor {
		return p.Conv2d(in.kernel, lt.ConvOptions{Pad: [2]int{1, 1}}).Square()
	})
	gradient("attention", in.q, func(p *lt.Tensor) *lt.Tensor { return p.Attention(in.k, in.v) })
}
