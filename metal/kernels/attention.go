package kernels

import "fmt"

// Attention describes softmax(Scale·Q·Kᵀ + mask)·V, see attention.metal.
type Attention struct {
	Type                                          Type
	Batches, Heads, KeyHeads, Queries, Keys, Size int
	ValueSize                                     int // of a head of V; 0 is Size
	Scale                                         float32
	Causal, Mask                                  bool
	MaskBatch, MaskHead                           int // strides in elements
}

// MaxHeadSize is the largest size of a head that the fused kernels' threadgroup memory holds.
const MaxHeadSize = 128

func (a Attention) launch(kernel, file string, arguments ...Argument) *Launch {
	head := (max(a.Size, a.ValueSize) + 7) &^ 7
	if head > MaxHeadSize {
		panic(fmt.Sprintf("kernels: attention with heads of %d elements, at most %d", head, MaxHeadSize))
	}
	mask := (a.Batches-1)*a.MaskBatch + (a.Heads-1)*a.MaskHead + a.Queries*a.Keys
	inputs := []Argument{in("Q", a.Type, a.queries()*a.Size), in("K", a.Type, a.keys()*a.Size), in("V", a.Type, a.keys()*a.ValueSize), in("mask", a.Type, sizeIf(a.Mask, mask))}
	l := &Launch{Kernel: kernel, Variant: fmt.Sprintf("%v head %d", a.Type, head), Source: source(file, a.Type, fmt.Sprintf("HEAD %d", head)),
		Constants: constants(a.Causal, a.Mask), Arguments: append(inputs, arguments...),
		Params:  params(a.Heads, a.KeyHeads, a.Queries, a.Keys, a.Size, a.ValueSize, a.MaskBatch, a.MaskHead, a.Scale),
		Groups:  [3]int{ceil(a.Queries, 32), a.Batches * a.Heads, 1},
		Threads: [3]int{tileThreads, 1, 1},
		Flops:   2 * int64(a.queries()) * int64(a.Keys) * int64(a.Size+a.ValueSize)}
	return l.account()
}

func (a Attention) queries() int { return a.Batches * a.Heads * a.Queries }

func (a Attention) keys() int { return a.Batches * a.KeyHeads * a.Keys }

// Launch returns the dispatch. Arguments: Q, K, V, mask, out.
func (a Attention) Launch() *Launch {
	if a.ValueSize == 0 {
		a.ValueSize = a.Size
	}
	return a.launch("attention", "attention.metal", out("out", a.Type, a.queries()*a.ValueSize))
}

// Gradient returns the two dispatches of the gradient, given that of the result. Arguments of the first: Q, K, V, mask,
// gradient, dQ, statistics; of the second: Q, K, V, mask, gradient, statistics, dK, dV. Statistics are two floats of
// scratch memory for each query.
func (a Attention) Gradient() [2]*Launch {
	if a.ValueSize == 0 {
		a.ValueSize = a.Size
	}
	gradient := in("gradient", a.Type, a.queries()*a.ValueSize)
	first := a.launch("attention_gradient_queries", "attention_gradient.metal", gradient, out("dQ", a.Type, a.queries()*a.Size), out("statistics", F32, 2*a.queries()))
	second := a.launch("attention_gradient_keys", "attention_gradient.metal", gradient, in("statistics", F32, 2*a.queries()),
		out("dK", a.Type, a.keys()*a.Size), out("dV", a.Type, a.keys()*a.ValueSize))
	second.Groups = [3]int{ceil(a.Keys, 32), a.Batches * a.KeyHeads, 1}
	first.Flops, second.Flops = 5*first.Flops/2, 2*second.Flops
	return [2]*Launch{first, second}
}
