package op

import "loris/internal/ir"

// The ops. Primitives come first: a device runs them, or package plan splits
// them with the row's Expand. Fused ops are made by plan passes only.
// Compositions never stand on a node as Op: they are calls of the API that
// build several primitives, and mark what they return with Node.Via.
const (
	Invalid ir.Op = iota

	// Sources.
	Leaf   // a value from outside: data, a parameter
	Const  // every element is Node.Const; attrs Fill
	Iota   // start + i·step along an axis; attrs Range
	Random // attrs Draw

	// Views: the result may share the input's memory under other strides.
	Reshape   // attrs Fill (the new shape)
	Transpose // attrs Perm
	Expand    // NumPy broadcast; attrs Fill (the new shape)
	Slice     // attrs Window (negative steps allowed)
	Detach    // identity that stops gradients
	Named     // identity with a name for graph views; attrs Name
	Barrier   // identity of input 0, after input 1 if there is one; never merged with an equal node
	Region    // identity of input 0, a checkpointed region; inputs 1… are where it begins
	CustomVJP // identity of input 0, whose gradient goes to inputs 1… as attrs Derivative says

	// Copies.
	Contiguous // row-major copy
	Cast       // attrs To
	Pad        // attrs Margins
	Concat     // attrs Axis

	// Elementwise, one input.
	Neg
	Abs
	Sign
	Sqrt
	Rsqrt
	Square
	Reciprocal
	Exp
	Expm1
	Log
	Log1p
	Sin
	Cos
	Tanh
	Erf
	Sigmoid
	Relu
	Gelu
	GeluTanh
	Silu
	Not
	Floor
	Ceil
	Round // half to even
	IsNaN
	IsInf

	// Elementwise, two inputs, broadcast; both have the same dtype (casts are
	// separate nodes).
	Add
	Sub
	Mul
	Div // floats only
	Pow
	Mod // result has the sign of the divisor
	Maximum
	Minimum
	Eq
	Ne
	Lt
	Le
	Gt
	Ge
	And
	Or

	Where // inputs: condition (bool), a, b; broadcast

	// Reductions; attrs Reduce.
	Sum
	Prod
	Max
	Min
	Any
	All
	ArgMax // attrs Reduce with one axis; dtype i64; first of equals; NaN wins
	ArgMin

	// Along one axis.
	CumSum // attrs Scan
	Sort   // outputs: values, indices (i64); attrs Order; stable, NaN last
	TopK   // outputs: values, indices (i64); attrs Top; best first

	// Contractions.
	MatMul           // [… m k] @ [… k n], ranks ≥ 2, batch dimensions broadcast
	Conv2d           // x [n c h w], w [o c/groups kh kw]; attrs Conv
	Conv2dInputGrad  // inputs: g (like the output), w; attrs Conv with Shape of x
	Conv2dWeightGrad // inputs: x, g; attrs Conv with Shape of w
	Attention        // q [b h t d], k [b hk s d], v [b hk s dv], mask?; attrs Attend
	AttentionGrad    // inputs: q, k, v, g, mask?; outputs: dq, dk, dv; attrs Attend
	QMatMul          // x [… k] @ (quantised w [n k])ᵀ

	// Indexing. Indices are i32 or i64, negative ones count from the end; one
	// out of range is an execution error.
	Take               // inputs: x, indices of any shape; attrs Axis
	TakeAlong          // inputs: x, indices of x's rank; attrs Axis
	Scatter            // inputs: x, indices, updates; attrs Scattering
	UpdateSlice        // inputs: x, update; attrs Window: x with the window replaced
	DynamicSlice       // inputs: x, starts (i64 [rank], clamped); attrs Fill (the window's shape)
	DynamicUpdateSlice // inputs: x, update, starts (clamped)

	// Whole rows.
	Softmax          // attrs Axis
	LogSoftmax       // attrs Axis
	RMSNorm          // inputs: x, weight?; over the last axis; attrs Norm
	LayerNorm        // inputs: x, weight?, bias?; over the last axis; attrs Norm
	RoPE             // inputs: x [… t d], offset (i64 scalar), frequencies (f32 [dims/2])?; attrs Rotary
	CrossEntropy     // inputs: logits [… v], targets (int […]); out: loss per target; attrs Targets
	CrossEntropyGrad // inputs: logits, targets, g […]; out like logits; attrs Targets

	// Linear algebra over the last two axes, batched.
	QR    // outputs: q [m k], r [k n], k = min(m, n)
	SVD   // outputs: u [m k], s [k] descending, vh [k n]
	Solve // inputs: a [n n], b [n m]

	// Quantised weights: dtype q8 or q4, shape of the matrix, packed storage.
	Quantize   // attrs Quant
	Dequantize // attrs To

	AdamW  // inputs: p, g, m, v, h (f32 [3]); outputs: p, m, v; attrs AdamWStep
	Custom // a user's kernel; attrs Kernel

	// NumPrimitives is the first number that is no primitive.
	NumPrimitives
)

// Made by plan passes only; package plan documents their inputs and attrs. (Most
// of what passes fuse is a Program and needs no op.)
const (
	Gemm        ir.Op = NumPrimitives + iota // a sum of two products
	LoRALinear                               // x·W + s·(x·A)·B
	MixedMatMul                              // f32 @ f16 or bf16

	numFused
)

// Compositions of the API.
const (
	Of ir.Op = numFused + iota
	Ints
	From
	Full
	Zeros
	Ones
	Eye
	Arange
	Linspace
	Stack
	Einsum
	Normal
	Uniform
	Randint
	Bernoulli
	Categorical
	Permutation
	Clip
	Trunc
	IsFinite
	NaNToNum
	ErfInv
	Mean
	Var
	Std
	LogSumExp
	ArgSort
	T
	Flatten
	Squeeze
	Unsqueeze
	Repeat
	Flip
	Split
	Chunk
	At
	Gather
	SetAt
	Tril
	Triu
	Norm2
	Conv1d
	ScatterSum

	// NumOps is the number of ops, primitives, fused and compositions.
	NumOps
)
