package suites

import (
	"math"

	lt "loris/tensorlib"
	"loris/tensorlib/lora"
	"loris/tensorlib/nn"
)

const seed = 1

// seedCases are the cases of the lazy_vs_eager bench that this project set out
// to beat, its headline (lora_fwd_4x16x512_r8), and works where laziness has
// more to fuse.
var seedCases = []seedCase{
	loraForward("lora_fwd_4x16x512_r8", 4, 16, 512),
	elementwise("add_1024", 1024, func(v []*lt.Tensor) *lt.Tensor { return v[0].Add(v[1]) },
		func(v []float64) float64 { return v[0] + v[1] }),
	product("matmul_64", 64),
	product("matmul_128", 128),
	product("matmul_256", 256),
	loraDelta("lora_4x512_r8", 4, 512),
	softmaxChain("chain_64", 64),
	elementwise("chain6_32k", 32768, func(v []*lt.Tensor) *lt.Tensor {
		return v[0].Mul(v[1]).Add(v[2]).Mul(0.5).Sigmoid().Mul(v[0]).Sub(v[1])
	}, func(v []float64) float64 {
		return v[0]/(1+math.Exp(-(v[0]*v[1]+v[2])*0.5)) - v[1]
	}),
	loraTraining("lora_train_512x64_r8", 512, 64),
	manyAdamW("adamw_96x8x768", 96, 8, 768),
}

// random returns evaluated inputs; scale multiplies a normal distribution.
func random(scale float64, shape ...int) *lt.Tensor {
	return generator.Normal(shape...).Mul(scale).Eval()
}

// generator gives every input of a case; start puts it back.
var generator *lt.Rand

func start() { generator = lt.NewRand(seed) }

func valuesOf(run func() *lt.Tensor) func() []float64 {
	return func() []float64 { return run().Floats() }
}

// matmul64 is a·b in float64, a [m k], b [k n] row-major, or b given as [n k].
func matmul64(a, b []float64, m, k, n int, transposed bool) []float64 {
	c := make([]float64, m*n)
	for i := range m {
		for j := range n {
			sum := 0.0
			for p := range k {
				if transposed {
					sum += a[i*k+p] * b[j*k+p]
				} else {
					sum += a[i*k+p] * b[p*n+j]
				}
			}
			c[i*n+j] = sum
		}
	}
	return c
}

func product(name string, n int) seedCase {
	inputs := func() (a, b *lt.Tensor) {
		start()
		return random(1, n, n), random(1, n, n)
	}
	return seedCase{name, func() workload {
		a, b := inputs()
		run := func() *lt.Tensor { return a.MatMul(b) }
		return workload{run, valuesOf(run)}
	}, func() []float64 {
		a, b := inputs()
		return matmul64(a.Floats(), b.Floats(), n, n, n, false)
	}}
}

func elementwise(name string, n int, f func([]*lt.Tensor) *lt.Tensor, f64 func([]float64) float64) seedCase {
	inputs := func() []*lt.Tensor {
		start()
		return []*lt.Tensor{random(1, n), random(1, n), random(1, n)}
	}
	return seedCase{name, func() workload {
		v := inputs()
		run := func() *lt.Tensor { return f(v) }
		return workload{run, valuesOf(run)}
	}, func() []float64 {
		var v [3][]float64
		for i, t := range inputs() {
			v[i] = t.Floats()
		}
		out := make([]float64, n)
		for i := range out {
			out[i] = f64([]float64{v[0][i], v[1][i], v[2][i]})
		}
		return out
	}}
}

// softmaxChain is softmax((a·b + c)·2) over rows.
func softmaxChain(name string, n int) seedCase {
	inputs := func() (a, b, c *lt.Tensor) {
		start()
		return random(0.1, n, n), random(1, n, n), random(1, n, n)
	}
	return seedCase{name, func() workload {
		a, b, c := inputs()
		run := func() *lt.Tensor { return a.MatMul(b).Add(c).Mul(2).Softmax(-1) }
		return workload{run, valuesOf(run)}
	}, func() []float64 {
		a, b, c := inputs()
		y, add := matmul64(a.Floats(), b.Floats(), n, n, n, false), c.Floats()
		for r := range n {
			sum := 0.0
			for j := r * n; j < (r+1)*n; j++ {
				y[j] = math.Exp((y[j] + add[j]) * 2)
				sum += y[j]
			}
			for j := r * n; j < (r+1)*n; j++ {
				y[j] /= sum
			}
		}
		return y
	}}
}

// layerOf is a LoRA layer with B ≠ 0, as after training.
func layerOf(size int) *lora.Layer {
	layer := lora.NewLayer(generator, random(0.02, size, size), lora.Config{R: 8, Alpha: 16})
	layer.A.Set(random(0.02, 8, size))
	layer.B.Set(random(0.02, size, 8))
	return layer
}

func loraForward(name string, batch, rows, size int) seedCase {
	inputs := func() (*lora.Layer, *lt.Tensor) {
		start()
		layer := layerOf(size)
		return layer, random(1, batch, rows, size)
	}
	return seedCase{name, func() workload {
		layer, x := inputs()
		run := func() *lt.Tensor { return layer.Forward(x) }
		return workload{run, valuesOf(run)}
	}, func() []float64 {
		layer, x := inputs()
		return forward64(layer, x.Floats(), batch*rows, size)
	}}
}

func forward64(layer *lora.Layer, x []float64, m, size int) []float64 {
	y := matmul64(x, layer.Base.Floats(), m, size, size, true)
	d := matmul64(matmul64(x, layer.A.Floats(), m, size, 8, true), layer.B.Floats(), m, 8, size, true)
	for i := range y {
		y[i] += layer.Scale() * d[i]
	}
	return y
}

// loraDelta is the change alone, x·A·B·α/r, as the seed's layer computes it.
func loraDelta(name string, rows, size int) seedCase {
	inputs := func() (x, a, b *lt.Tensor) {
		start()
		return random(1, rows, size), random(0.02, size, 8), random(0.02, 8, size)
	}
	return seedCase{name, func() workload {
		x, a, b := inputs()
		run := func() *lt.Tensor { return x.MatMul(a).MatMul(b).Mul(2) }
		return workload{run, valuesOf(run)}
	}, func() []float64 {
		x, a, b := inputs()
		y := matmul64(matmul64(x.Floats(), a.Floats(), rows, size, 8, false), b.Floats(), rows, 8, size, false)
		for i := range y {
			y[i] *= 2
		}
		return y
	}}
}

// loraTraining is a whole step: forward, MSE, backward, AdamW.
func loraTraining(name string, size, rows int) seedCase {
	inputs := func() (*lora.Layer, *lt.Tensor, *lt.Tensor) {
		start()
		layer := layerOf(size)
		return layer, random(1, rows, size), random(1, rows, size)
	}
	return seedCase{name, func() workload {
		layer, x, target := inputs()
		run := trainer(layer, x, target)
		return workload{run, func() []float64 {
			loss := run()
			out := append(loss.Floats(), layer.A.Floats()...)
			return append(out, layer.B.Floats()...)
		}}
	}, func() []float64 {
		layer, x, target := inputs()
		return trainStep64(layer, x.Floats(), target.Floats(), rows, size)
	}}
}

// trainStep64 returns the loss before, and A and B after one step.
func trainStep64(layer *lora.Layer, x, target []float64, m, size int) []float64 {
	const r = 8
	a, b, s := layer.A.Floats(), layer.B.Floats(), layer.Scale()
	y := forward64(layer, x, m, size)
	loss := 0.0
	dy := make([]float64, len(y))
	for i := range y {
		d := y[i] - target[i]
		loss += d * d
		dy[i] = 2 * d / float64(len(y))
	}
	xa := matmul64(x, a, m, size, r, true)
	da, db := make([]float64, len(a)), make([]float64, len(b))
	dxa := matmul64(dy, b, m, size, r, false)
	for i := range m {
		for j := range size {
			for k := range r {
				db[j*r+k] += s * dy[i*size+j] * xa[i*r+k]
				da[k*size+j] += s * dxa[i*r+k] * x[i*size+j]
			}
		}
	}
	adamw64(a, da, 1e-3, 0.01)
	adamw64(b, db, 1e-3, 0.01)
	return append(append([]float64{loss / float64(len(y))}, a...), b...)
}

// adamw64 is a first step of AdamW (Loshchilov and Hutter, 2019) with
// β = (0.9, 0.999), ε = 1e-8, in place.
func adamw64(p, g []float64, lr, decay float64) {
	for i := range p {
		p[i] *= 1 - lr*decay
		p[i] -= lr * g[i] / (math.Abs(g[i]) + 1e-8) // bias correction undoes 1−β
	}
}

// manyAdamW is the optimiser alone, over many small tensors.
func manyAdamW(name string, count, rows, cols int) seedCase {
	inputs := func() (*nn.Params, []*lt.Tensor) {
		start()
		model, grads := make([]*lt.Tensor, count), make([]*lt.Tensor, count)
		for i := range model {
			model[i] = lt.Parameter(random(1, rows, cols))
			grads[i] = random(1, rows, cols)
		}
		return nn.Collect(&model), grads
	}
	return seedCase{name, func() workload {
		params, grads := inputs()
		opt := &nn.AdamW{LR: 1e-3, WeightDecay: 0.01, Donate: true}
		run := func() *lt.Tensor {
			opt.Step(params, grads)
			return params.Tensors()[0]
		}
		return workload{run, func() []float64 {
			run()
			var out []float64
			for _, t := range params.Tensors() {
				out = append(out, t.Floats()...)
			}
			return out
		}}
	}, func() []float64 {
		params, grads := inputs()
		var out []float64
		for i, t := range params.Tensors() {
			p := t.Floats()
			adamw64(p, grads[i].Floats(), 1e-3, 0.01)
			out = append(out, p...)
		}
		return out
	}}
}
