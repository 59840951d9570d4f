package op

// The calls of the API that are made of other rows. Package tensorlib builds
// them; check, inference, derivative and cost are those of their parts.
func init() {
	const fn, method = true, false
	for _, r := range []struct {
		row      Row
		function bool
	}{
		{Row{Op: Of, Name: "Of", Doc: "Of returns a tensor [n] of f32.", Example: "lt.Of(1, 2, 3)"}, fn},
		{Row{Op: Ints, Name: "Ints", Doc: "Ints returns a tensor [n] of i64.", Example: "lt.Ints(1, 2, 3)"}, fn},
		{Row{Op: From, Name: "From", Doc: "From returns a tensor with the elements of nested slices.", Example: "lt.From([][]float32{{1, 2}, {3, 4}})"}, fn},
		{Row{Op: Full, Name: "Full", Doc: "Full returns a tensor filled with a number or bool.", Example: "lt.Full(0.5, 2, 3)"}, fn},
		{Row{Op: Zeros, Name: "Zeros", Doc: "Zeros returns f32 zeros.", Example: "lt.Zeros(2, 3)"}, fn},
		{Row{Op: Ones, Name: "Ones", Doc: "Ones returns f32 ones.", Example: "lt.Ones(2, 3)"}, fn},
		{Row{Op: Eye, Name: "Eye", Doc: "Eye returns an f32 matrix with ones on the diagonal.", Example: "lt.Eye(3)"}, fn},
		{Row{Op: Arange, Name: "Arange", Doc: "Arange returns integers (i64) below stop, from start, by step.", Example: "lt.Arange(2, 10, 3)"}, fn},
		{Row{Op: Linspace, Name: "Linspace", Doc: "Linspace returns evenly spaced f32 numbers, both ends included.", Example: "lt.Linspace(0, 1, 5)"}, fn},
		{Row{Op: Stack, Name: "Stack", Doc: "Stack joins tensors of one shape along a new axis.", Example: "lt.Stack(0, lt.Of(1, 2), lt.Of(3, 4))"}, fn},
		{Row{Op: Einsum, Name: "Einsum", Doc: "Einsum sums products over repeated axes, which letters name.", Example: `lt.Einsum("ij,jk->ik", lt.Ones(2, 3), lt.Ones(3, 4))`}, fn},
		{Row{Op: Normal, Name: "Normal", Doc: "Normal draws from the standard normal distribution.", Example: "lt.NewRand(1).Normal(2, 3)"}, method},
		{Row{Op: Uniform, Name: "Uniform", Doc: "Uniform draws from [lo, hi).", Example: "lt.NewRand(1).Uniform(-1, 1, 4)"}, method},
		{Row{Op: Randint, Name: "Randint", Doc: "Randint draws integers from lo … hi-1.", Example: "lt.NewRand(1).Randint(0, 10, 4)"}, method},
		{Row{Op: Bernoulli, Name: "Bernoulli", Doc: "Bernoulli draws bools that are true with a probability.", Example: "lt.NewRand(1).Bernoulli(0.5, 4)"}, method},
		{Row{Op: Categorical, Name: "Categorical", Doc: "Categorical draws a class for each row of logits.", Example: "lt.NewRand(1).Categorical(lt.Zeros(2, 5))"}, method},
		{Row{Op: Permutation, Name: "Permutation", Doc: "Permutation returns 0 … n-1 in random order.", Example: "lt.NewRand(1).Permutation(5)"}, method},
		{Row{Op: Clip, Name: "Clip", Doc: "Clip limits x to lo … hi; nil sets no limit.", Example: "lt.Of(-2, 0, 2).Clip(-1, 1)"}, method},
		{Row{Op: Trunc, Name: "Trunc", Doc: "Trunc rounds towards zero.", Example: "lt.Of(1.7, -1.7).Trunc()"}, method},
		{Row{Op: IsFinite, Name: "IsFinite", Doc: "IsFinite is true where x is neither NaN nor infinite.", Example: "lt.Of(1).Div(0).IsFinite()"}, method},
		{Row{Op: NaNToNum, Name: "NaNToNum", Doc: "NaNToNum replaces NaN by 0 and infinities by the largest numbers.", Example: "lt.Of(0).Div(0).NaNToNum()"}, method},
		{Row{Op: ErfInv, Name: "ErfInv", Doc: "ErfInv is the inverse of Erf.", Example: "lt.Of(0.5).ErfInv()"}, method},
		{Row{Op: Mean, Name: "Mean", Doc: "Mean is the sum over the axes divided by the number of elements.", Example: "lt.Of(1, 2, 3).Mean()"}, method},
		{Row{Op: Var, Name: "Var", Doc: "Var is the mean squared distance from the mean (NumPy's ddof = 0).", Example: "lt.Of(1, 2, 3).Var()"}, method},
		{Row{Op: Std, Name: "Std", Doc: "Std is the square root of Var.", Example: "lt.Of(1, 2, 3).Std()"}, method},
		{Row{Op: LogSumExp, Name: "LogSumExp", Doc: "LogSumExp is log Σeˣ, without overflow.", Example: "lt.Of(1, 2, 3).LogSumExp()"}, method},
		{Row{Op: ArgSort, Name: "ArgSort", Doc: "ArgSort returns the indices that sort x along an axis.", Example: "lt.Of(3, 1, 2).ArgSort()"}, method},
		{Row{Op: T, Name: "T", Doc: "T exchanges the last two axes.", Example: "lt.Zeros(2, 3).T()"}, method},
		{Row{Op: Flatten, Name: "Flatten", Doc: "Flatten returns x with one axis.", Example: "lt.Zeros(2, 3).Flatten()"}, method},
		{Row{Op: Squeeze, Name: "Squeeze", Doc: "Squeeze removes axes of size 1.", Example: "lt.Zeros(2, 1, 3).Squeeze()"}, method},
		{Row{Op: Unsqueeze, Name: "Unsqueeze", Doc: "Unsqueeze inserts axes of size 1.", Example: "lt.Of(1, 2).Unsqueeze(0)"}, method},
		{Row{Op: Repeat, Name: "Repeat", Doc: "Repeat repeats x along each axis.", Example: "lt.Of(1, 2).Repeat(2, 3)"}, method},
		{Row{Op: Flip, Name: "Flip", Doc: "Flip reverses the order along axes.", Example: "lt.Of(1, 2, 3).Flip()"}, method},
		{Row{Op: Split, Name: "Split", Doc: "Split cuts x along an axis into parts of given sizes.", Example: "lt.Arange(5).Split(0, 2, 3)"}, method},
		{Row{Op: Chunk, Name: "Chunk", Doc: "Chunk cuts x along an axis into a number of parts.", Example: "lt.Arange(6).Chunk(3, 0)"}, method},
		{Row{Op: At, Name: "At", Doc: "At selects by place: int, lt.All, lt.R(start, stop) or a tensor of indices.", Example: "lt.Eye(3).At(lt.All, lt.R(0, 2))"}, method},
		{Row{Op: Gather, Name: "Gather", Doc: "Gather is TakeAlong with the arguments of torch.gather.", Example: "lt.Eye(3).Gather(1, lt.Ints(0, 2, 1).Unsqueeze(-1))"}, method},
		{Row{Op: SetAt, Name: "SetAt", Doc: "SetAt returns x with the places that At selects replaced.", Example: "lt.Zeros(3).SetAt(5, 1)"}, method},
		{Row{Op: Tril, Name: "Tril", Doc: "Tril keeps the lower triangle.", Example: "lt.Ones(3, 3).Tril()"}, method},
		{Row{Op: Triu, Name: "Triu", Doc: "Triu keeps the upper triangle.", Example: "lt.Ones(3, 3).Triu(1)"}, method},
		{Row{Op: Norm2, Name: "Norm", Doc: "Norm is √Σx² over the axes.", Example: "lt.Of(3, 4).Norm()"}, method},
		{Row{Op: Conv1d, Name: "Conv1d", Doc: "Conv1d slides the kernels w [out in/groups k] over x [n in length].", Example: "lt.Ones(1, 2, 5).Conv1d(lt.Ones(3, 2, 2))"}, method},
		{Row{Op: ScatterSum, Name: "ScatterAdd", Doc: "ScatterAdd is Scatter that adds the updates to what is there.", Example: "lt.Zeros(3).ScatterAdd(0, lt.Ints(1, 1), lt.Of(5, 6))"}, method},
	} {
		r.row.API, r.row.Function = r.row.Name, r.function
		addRows(Composition, r.row)
	}
}

// Missing lists what a row lacks; it is empty for a complete one.
func (r *Row) Missing() []string {
	var missing []string
	need := func(ok bool, what string) {
		if !ok {
			missing = append(missing, what)
		}
	}
	need(r.Name != "", "name")
	need(r.Doc != "", "doc")
	need(r.API == "" || r.Example != "", "example")
	need(r.Kind != Composition || r.API != "", "API name")
	if r.Kind == Composition || r.Kind == Fused {
		return missing
	}
	need(r.NumOutputs >= 1, "number of outputs")
	need(r.Infer != nil, "check and inference")
	need(r.Cost != nil, "cost")
	need(r.Differentiable() || r.NoGrad != "", "derivative, or the reason why there is none")
	need(r.NoGrad == "" || r.VJP == nil && r.VJPs == nil, "decision between derivative and none")
	return missing
}
