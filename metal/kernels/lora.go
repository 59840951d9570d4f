package kernels

import "fmt"

// LoRA describes y[M,N] = x[M,K]·W + Scale·(x·A)·B. Untransposed, W is [K,N], A [K,R], B [R,N]; PEFT's layout has all
// three transposed.
type LoRA struct {
	Type                               Type
	M, N, K, R                         int
	Scale                              float32
	TransposeW, TransposeA, TransposeB bool
	Bias                               bool
	SaveH                              bool // h = x·A [M,R] is written, for the backward pass
	Z                                  bool // h = z·A, z [M,K] being x after dropout
}

// MaxFusedRank is the largest rank of the fused kernels; beyond it a layer is three products.
const MaxFusedRank = 64

// rankVariant is the size of the kernel that serves a rank.
func rankVariant(r int) int {
	for _, v := range []int{8, 16, 32, MaxFusedRank} {
		if r <= v {
			return v
		}
	}
	panic(fmt.Sprintf("kernels: rank %d is above %d", r, MaxFusedRank))
}

func (l LoRA) source() string {
	return source("lora.metal", l.Type, fmt.Sprintf("RANK %d", rankVariant(l.R)))
}

func (l LoRA) variant() string { return fmt.Sprintf("%v rank≤%d", l.Type, rankVariant(l.R)) }

// Forward returns the one dispatch of the layer. Arguments: x, W, A, B, bias, z, y, h.
func (l LoRA) Forward() *Launch {
	f := &Launch{Kernel: "lora_forward", Variant: l.variant(), Source: l.source(),
		Constants: constants(l.TransposeW, l.TransposeA, l.TransposeB, l.Bias, l.SaveH, l.Z),
		Arguments: []Argument{in("x", l.Type, l.M*l.K), in("W", l.Type, l.K*l.N), in("A", l.Type, l.K*l.R), in("B", l.Type, l.R*l.N),
			in("bias", l.Type, sizeIf(l.Bias, l.N)), in("z", l.Type, sizeIf(l.Z, l.M*l.K)), out("y", l.Type, l.M*l.N), out("h", l.Type, sizeIf(l.SaveH, l.M*l.R))},
		Params: params(l.M, l.N, l.K, l.R, l.Scale), Factor: 16, Groups: [3]int{ceil(l.N, 32), ceil(l.M, 32), 1}, Threads: [3]int{tileThreads, 1, 1},
		Flops: 2 * int64(l.M) * (int64(l.N)*int64(l.K) + int64(l.R)*int64(l.K+l.N))}
	return f.account()
}

// InputGradient returns the dispatch of dx = dy·Wᵀ + Scale·(dy·Bᵀ)·Aᵀ, which also writes dh = dy·Bᵀ. It is the
// forward kernel with the roles turned: arguments are dy, W, B, A, bias and z (unused), dx, dh.
func (l LoRA) InputGradient() *Launch {
	turned := LoRA{Type: l.Type, M: l.M, N: l.K, K: l.N, R: l.R, Scale: l.Scale, TransposeW: !l.TransposeW,
		TransposeA: !l.TransposeB, TransposeB: !l.TransposeA, SaveH: true}
	f := turned.Forward()
	for i, name := range []string{"dy", "W", "B", "A", "bias", "z", "dx", "dh"} {
		f.Arguments[i].Name = name
	}
	return f
}

// WeightGradients returns the dispatch of dA = Scale·xᵀ·dh and dB = Scale·hᵀ·dy, in the layouts of A and B.
func (l LoRA) WeightGradients() *Launch {
	f := &Launch{Kernel: "lora_weight_gradients", Variant: l.variant(), Source: l.source(),
		Constants: constants(l.TransposeW, l.TransposeA, l.TransposeB, false, false, false),
		Arguments: []Argument{in("x", l.Type, l.M*l.K), in("dy", l.Type, l.M*l.N), in("h", l.Type, l.M*l.R), in("dh", l.Type, l.M*l.R),
			out("dA", l.Type, l.K*l.R), out("dB", l.Type, l.R*l.N)},
		Params: params(l.M, l.N, l.K, l.R, l.Scale), Groups: [3]int{ceil(max(l.N, l.K), 32), 1, 2}, Threads: [3]int{tileThreads, 1, 1},
		Flops: 2 * int64(l.M) * int64(l.R) * int64(l.K+l.N)}
	return f.account()
}
