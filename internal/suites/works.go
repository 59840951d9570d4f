package suites

import (
	lt "loris/tensorlib"
	"loris/tensorlib/lora"
	"loris/tensorlib/nn"
)

// boundBy names the limit of the machine that a work runs into.
type boundBy string

const (
	boundByFMA  boundBy = "fma"  // float32 multiply-adds, GFLOP/s
	boundByRead boundBy = "read" // reading memory, GB/s
	unbounded   boundBy = ""
)

// work is a computation that peers do, too. Its cost is what the mathematics
// needs, not what an implementation does.
type work struct {
	name   string
	peer   string  // the peers' name for it, if it differs
	cost   float64 // FLOPs or bytes per run
	bound  boundBy
	values int // float32 elements that a run reads over and over, for boundByRead
	make   func() func() *lt.Tensor
}

func (w work) peerName() string {
	if w.peer != "" {
		return w.peer
	}
	return w.name
}

func loraFLOPs(rows, size, rank float64) float64 { return 2*rows*size*size + 4*rows*size*rank }

// works lists what `loris bench --suite cpu` and `make bench-peers` measure.
var works = []work{
	{"lora_fwd_4x16x512_r8", "", loraFLOPs(64, 512, 8), boundByFMA, 0, func() func() *lt.Tensor {
		start()
		layer := layerOf(512)
		x := random(1, 4, 16, 512)
		return func() *lt.Tensor { return layer.Forward(x) }
	}},
	{"lora_fwd_4x16x512_r8_eager", "lora_fwd_4x16x512_r8", loraFLOPs(64, 512, 8), boundByFMA, 0, func() func() *lt.Tensor {
		start()
		layer := layerOf(512)
		x := random(1, 4, 16, 512)
		return eagerly(func() *lt.Tensor { return layer.Forward(x) })
	}},
	{"lora_fwd_64x512_r8", "", loraFLOPs(64, 512, 8), boundByFMA, 0, func() func() *lt.Tensor {
		start()
		layer := layerOf(512)
		x := random(1, 64, 512)
		return func() *lt.Tensor { return layer.Forward(x) }
	}},
	{"lora_train_512x64_r8", "", 2*64*512*512 + 5*2*64*512*8, boundByFMA, 0, trainStep(512, 64, compiled)},
	{"lora_train_512x64_r8_uncompiled", "lora_train_512x64_r8", 2*64*512*512 + 5*2*64*512*8, boundByFMA, 0, trainStep(512, 64, trainer)},
	{"gemm_1024", "", 2 * 1024 * 1024 * 1024, boundByFMA, 0, func() func() *lt.Tensor {
		start()
		a, b := random(1, 1024, 1024), random(1, 1024, 1024)
		return func() *lt.Tensor { return a.MatMul(b) }
	}},
	{"softmax_64x512", "", 0, unbounded, 0, func() func() *lt.Tensor {
		start()
		x := random(1, 64, 512)
		return func() *lt.Tensor { return x.Softmax(-1) }
	}},
	{"rmsnorm_residual_64x512", "", 0, unbounded, 0, func() func() *lt.Tensor {
		start()
		x, gain, residual := random(1, 64, 512), random(1, 512), random(1, 64, 512)
		return func() *lt.Tensor { return x.RMSNorm(gain, 1e-5).Add(residual) }
	}},
	{"chain6_32k", "", 0, unbounded, 0, func() func() *lt.Tensor {
		start()
		a, b, c := random(1, 32768), random(1, 32768), random(1, 32768)
		return func() *lt.Tensor { return a.Mul(b).Add(c).Mul(0.5).Sigmoid().Mul(a).Sub(b) }
	}},
	{"adamw_96x8x768", "", 0, unbounded, 0, func() func() *lt.Tensor {
		start()
		model, grads := make([]*lt.Tensor, 96), make([]*lt.Tensor, 96)
		for i := range model {
			model[i], grads[i] = lt.Parameter(random(1, 8, 768)), random(1, 8, 768)
		}
		params := nn.Collect(&model)
		opt := &nn.AdamW{LR: 1e-3, WeightDecay: 0.01, Donate: true}
		return func() *lt.Tensor {
			opt.Step(params, grads)
			return params.Tensors()[0]
		}
	}},
	{"gemv_2048", "", 2048 * 2048 * 4, boundByRead, 2048 * 2048, func() func() *lt.Tensor {
		start()
		x, w := random(1, 1, 2048), random(1, 2048, 2048)
		return func() *lt.Tensor { return x.MatMul(w) }
	}},
}

// stepper makes a step of training that returns the loss.
type stepper func(layer *lora.Layer, x, target *lt.Tensor) func() *lt.Tensor

func trainStep(size, rows int, step stepper) func() func() *lt.Tensor {
	return func() func() *lt.Tensor {
		start()
		layer := layerOf(size)
		return step(layer, random(1, rows, size), random(1, rows, size))
	}
}

// trainer returns one step of training: forward, MSE, backward, AdamW.
func trainer(layer *lora.Layer, x, target *lt.Tensor) func() *lt.Tensor {
	params, opt := nn.Collect(layer), trainerOptimizer()
	return func() *lt.Tensor {
		loss := nn.MSE(layer.Forward(x), target)
		opt.Step(params, lt.Grads(loss, params.Tensors()...))
		return loss
	}
}

// compiled is trainer with the graph of the loss and its gradients built once.
func compiled(layer *lora.Layer, x, target *lt.Tensor) func() *lt.Tensor {
	params, opt := nn.Collect(layer), trainerOptimizer()
	gradients := lt.Compile(func(in ...*lt.Tensor) []*lt.Tensor {
		loss := nn.MSE(layer.Forward(in[0]), in[1])
		return append([]*lt.Tensor{loss}, lt.Grads(loss, params.Tensors()...)...)
	})
	return func() *lt.Tensor {
		out := gradients.Call(x, target)
		opt.Step(params, out[1:])
		return out[0]
	}
}

func trainerOptimizer() *nn.AdamW { return &nn.AdamW{LR: 1e-3, WeightDecay: 0.01, Donate: true} }
