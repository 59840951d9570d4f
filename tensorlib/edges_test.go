package tensorlib_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	lt "loris/tensorlib"
	"loris/tensorlib/nn"
)

// What the ops do at the edges: nothing to compute on, numbers that do not fit,
// ties, NaN and infinity, places that repeat or are out of range. It is what NumPy
// and PyTorch do, but where a doc comment says otherwise.
func TestEdges(t *testing.T) {
	minus, inf, nan := math.Inf(-1), math.Inf(1), math.NaN()
	i32 := func(v ...int) *lt.Tensor { return lt.Ints(v...).Cast(lt.I32) }
	grad := func(x *lt.Tensor, f func(x *lt.Tensor) *lt.Tensor) *lt.Tensor { return lt.Grads(f(x).Sum(), x)[0] }
	e := lt.Zeros(0, 3)
	x7 := lt.Of(1, 2, 3)
	q := lt.Arange(8).Reshape(1, 1, 2, 4).Cast(lt.F32).Mul(0.1)
	for _, c := range []struct {
		name string
		f    func() *lt.Tensor
		want string
	}{
		{`empty sum`, func() *lt.Tensor { return e.Sum() }, `f32 [] [0]`},
		{`empty sum0`, func() *lt.Tensor { return e.Sum(0) }, `f32 [3] [0 0 0]`},
		{`empty sum1`, func() *lt.Tensor { return e.Sum(1) }, `f32 [0] []`},
		{`empty mean`, func() *lt.Tensor { return e.Mean() }, `f32 [] [nan]`},
		{`empty prod0`, func() *lt.Tensor { return e.Prod(0) }, `f32 [3] [1 1 1]`},
		{`empty var`, func() *lt.Tensor { return e.Var() }, `f32 [] [nan]`},
		{`empty lse`, func() *lt.Tensor { return e.LogSumExp(0) }, `f32 [3] [-inf -inf -inf]`},
		{`empty any0`, func() *lt.Tensor { return e.Cast(lt.Bool).Any(0) }, `bool [3] [false false false]`},
		{`empty all0`, func() *lt.Tensor { return e.Cast(lt.Bool).All(0) }, `bool [3] [true true true]`},
		{`empty matmul`, func() *lt.Tensor { return lt.Zeros(2, 0).MatMul(lt.Zeros(0, 3)) }, `f32 [2 3] [0 0 0 0 0 0]`},
		{`empty softmax`, func() *lt.Tensor { return e.Softmax(0) }, `f32 [0 3] []`},
		{`empty sort`, func() *lt.Tensor { return e.Sort(0) }, `f32 [0 3] []`},
		{`empty cat`, func() *lt.Tensor { return lt.Concat(0, e, lt.Ones(1, 3)) }, `f32 [1 3] [1 1 1]`},
		{`empty cumsum`, func() *lt.Tensor { return e.CumSum(0) }, `f32 [0 3] []`},
		{`empty take`, func() *lt.Tensor { return lt.Ones(3, 2).Take(lt.Ints(), 0) }, `f32 [0 2] []`},
		{`empty scatter`, func() *lt.Tensor { return lt.Ones(3).Scatter(0, lt.Ints(), lt.Of()) }, `f32 [3] [1 1 1]`},
		{`empty norm`, func() *lt.Tensor { return e.Norm() }, `f32 [] [0]`},
		{`empty einsum`, func() *lt.Tensor { return lt.Einsum("ij,kj->ik", e, lt.Ones(2, 3)) }, `f32 [0 2] []`},
		{`empty std`, func() *lt.Tensor { return e.Std(1) }, `f32 [0] []`},
		{`empty reshape`, func() *lt.Tensor { return e.Reshape(3, 0) }, `f32 [3 0] []`},
		{`empty conv`, func() *lt.Tensor { return lt.Zeros(0, 1, 3, 3).Conv2d(lt.Ones(2, 1, 2, 2)) }, `f32 [0 2 2 2] []`},
		{`empty attn`, func() *lt.Tensor { return lt.Zeros(1, 1, 0, 4).Attention(lt.Zeros(1, 1, 3, 4), lt.Zeros(1, 1, 3, 4)) }, `f32 [1 1 0 4] []`},
		{`empty attnk`, func() *lt.Tensor { return lt.Ones(1, 1, 2, 4).Attention(lt.Zeros(1, 1, 0, 4), lt.Zeros(1, 1, 0, 4)) }, `f32 [1 1 2 4] [0 0 0 0 0 0 0 0]`},
		{`0d softmax`, func() *lt.Tensor { return lt.Full(2.0).Softmax(0) }, `ERR Softmax: axis 0 is out of range for shape []`},
		{`0d sum`, func() *lt.Tensor { return lt.Full(2.0).Sum() }, `f32 [] [2]`},
		{`0d sort`, func() *lt.Tensor { return lt.Full(2.0).Sort() }, `ERR Sort: axis -1 is out of range for shape []`},
		{`0d var`, func() *lt.Tensor { return lt.Full(2.0).Var() }, `f32 [] [0]`},
		{`0d T`, func() *lt.Tensor { return lt.Full(2.0).Transpose() }, `f32 [] [2]`},
		{`0d argmax`, func() *lt.Tensor { return lt.Full(2.0).ArgMax() }, `i64 [] [0]`},
		{`neg step`, func() *lt.Tensor { return lt.Arange(10).At(lt.R(8, 2, -2)) }, `i64 [3] [8 6 4]`},
		{`neg step flip`, func() *lt.Tensor { return lt.Arange(5).Flip() }, `i64 [5] [4 3 2 1 0]`},
		{`scatter add dup`, func() *lt.Tensor { return lt.Zeros(3).ScatterAdd(0, lt.Ints(1, 1, 1, 0), lt.Of(1, 2, 4, 8)) }, `f32 [3] [8 7 0]`},
		{`take grad dup`, func() *lt.Tensor {
			return grad(x7, func(x *lt.Tensor) *lt.Tensor { return x.Take(lt.Ints(1, 1, -1, 0), 0).Mul(lt.Of(1, 2, 4, 8)) })
		}, `f32 [3] [8 3 4]`},
		{`takealong neg`, func() *lt.Tensor { return lt.Arange(6).Reshape(2, 3).TakeAlong(lt.Ints(-1, 0).Reshape(2, 1), 1) }, `i64 [2 1] [2 3]`},
		{`take oob`, func() *lt.Tensor { return x7.Take(lt.Ints(3), 0) }, `ERR Take: index 3 is out of range for an axis of 3`},
		{`softmax allinf`, func() *lt.Tensor { return lt.Of(minus, minus).Softmax() }, `f32 [2] [nan nan]`},
		{`softmax inf`, func() *lt.Tensor { return lt.Of(inf, 1).Softmax() }, `f32 [2] [nan nan]`},
		{`softmax nan`, func() *lt.Tensor { return lt.Of(nan, 1).Softmax() }, `f32 [2] [nan nan]`},
		{`logsoftmax allinf`, func() *lt.Tensor { return lt.Of(minus, minus).LogSoftmax() }, `f32 [2] [nan nan]`},
		{`softmax part`, func() *lt.Tensor { return lt.Of(minus, 0, 0).Softmax() }, `f32 [3] [0 0.5 0.5]`},
		{`lse allinf`, func() *lt.Tensor { return lt.Of(minus, minus).LogSumExp() }, `f32 [] [-inf]`},
		{`lse inf`, func() *lt.Tensor { return lt.Of(inf, minus).LogSumExp() }, `f32 [] [inf]`},
		{`softmax axis0`, func() *lt.Tensor { return lt.From([][]float32{{float32(minus), 1}, {float32(minus), 2}}).Softmax(0) }, `f32 [2 2] [nan 0.26894 nan 0.73106]`},
		{`mod int`, func() *lt.Tensor { return lt.Ints(7, -7, 7, -7).Mod(lt.Ints(3, 3, -3, -3)) }, `i64 [4] [1 2 -2 -1]`},
		{`mod float`, func() *lt.Tensor { return lt.Of(7, -7, 7, -7, 5).Mod(lt.Of(3, 3, -3, -3, inf)) }, `f32 [5] [1 2 -2 -1 5]`},
		{`mod float0`, func() *lt.Tensor { return lt.Of(1, 0).Mod(0.0) }, `f32 [2] [nan nan]`},
		{`mod float negtiny`, func() *lt.Tensor { return lt.Of(-1e-9).Mod(3.0) }, `f32 [1] [3]`},
		{`mod int0`, func() *lt.Tensor { return lt.Ints(7).Mod(0) }, `i64 [1] [0]`},
		{`mod minint`, func() *lt.Tensor { return lt.Ints(math.MinInt64).Mod(-1) }, `i64 [1] [0]`},
		{`div int`, func() *lt.Tensor { return lt.Ints(7, -7).Div(2) }, `f32 [2] [3.5 -3.5]`},
		{`i64 overflow`, func() *lt.Tensor { return lt.Ints(math.MaxInt64).Add(1) }, `i64 [1] [-9223372036854775808]`},
		{`i32 overflow`, func() *lt.Tensor { return i32(math.MaxInt32).Mul(2) }, `i32 [1] [-2]`},
		{`i64 big eq`, func() *lt.Tensor { return lt.Ints(1<<62 + 1).Eq(lt.Ints(1 << 62)) }, `bool [1] [false]`},
		{`i64 big weak`, func() *lt.Tensor { return lt.Ints(1<<53 + 1).Sub(1<<53 + 1) }, `i64 [1] [0]`},
		{`i64 big from`, func() *lt.Tensor { return lt.Ints(1<<53 + 1) }, `i64 [1] [9007199254740993]`},
		{`i64 full`, func() *lt.Tensor { return lt.Full(1<<53+1, 2) }, `i64 [2] [9007199254740993 9007199254740993]`},
		{`i64 sum big`, func() *lt.Tensor { return lt.Ints(1<<53, 1).Sum() }, `i64 [] [9007199254740993]`},
		{`neg minint`, func() *lt.Tensor { return lt.Ints(math.MinInt64).Neg() }, `i64 [1] [-9223372036854775808]`},
		{`abs minint`, func() *lt.Tensor { return lt.Ints(math.MinInt64).Abs() }, `i64 [1] [-9223372036854775808]`},
		{`u8 wrap`, func() *lt.Tensor { return lt.Ints(250).Cast(lt.U8).Add(lt.Ints(10).Cast(lt.U8)) }, `u8 [1] [4]`},
		{`u8 neg`, func() *lt.Tensor { return lt.Ints(5).Cast(lt.U8).Neg() }, `u8 [1] [251]`},
		{`u8 cast neg`, func() *lt.Tensor { return lt.Ints(-1, 300).Cast(lt.U8) }, `u8 [2] [255 44]`},
		{`i32 cast wrap`, func() *lt.Tensor { return lt.Ints(1<<32 + 5).Cast(lt.I32) }, `i32 [1] [5]`},
		{`u8 sub scalar`, func() *lt.Tensor { return lt.Ints(5).Cast(lt.U8).Sub(10) }, `u8 [1] [251]`},
		{`u8 add 300`, func() *lt.Tensor { return lt.Ints(5).Cast(lt.U8).Add(300) }, `i64 [1] [305]`},
		{`cast nan i64`, func() *lt.Tensor { return lt.Of(nan, inf, minus, 1e20).Cast(lt.I64) }, `i64 [4] [0 9223372036854775807 -9223372036854775808 9223372036854775807]`},
		{`cast nan bool`, func() *lt.Tensor { return lt.Of(nan, 0, math.Copysign(0, -1), 0.3).Cast(lt.Bool) }, `bool [4] [true false false true]`},
		{`cast trunc`, func() *lt.Tensor { return lt.Of(1.9, -1.9, -0.5).Cast(lt.I32) }, `i32 [3] [1 -1 0]`},
		{`max nan`, func() *lt.Tensor { return lt.Of(1, nan, 3).Max() }, `f32 [] [nan]`},
		{`min nan`, func() *lt.Tensor { return lt.Of(1, nan, 3).Min() }, `f32 [] [nan]`},
		{`maximum nan`, func() *lt.Tensor { return lt.Of(1, nan).Maximum(lt.Of(nan, 1)) }, `f32 [2] [nan nan]`},
		{`clip nan`, func() *lt.Tensor { return lt.Of(nan, 5).Clip(0, 1) }, `f32 [2] [nan 1]`},
		{`clip lohi`, func() *lt.Tensor { return lt.Of(5, 0.5).Clip(2, 1) }, `f32 [2] [1 1]`},
		{`relu nan`, func() *lt.Tensor { return lt.Of(nan, -1).Relu() }, `f32 [2] [nan 0]`},
		{`sign nan`, func() *lt.Tensor { return lt.Of(nan, math.Copysign(0, -1), -3).Sign() }, `f32 [3] [nan 0 -1]`},
		{`argmax tie`, func() *lt.Tensor { return lt.Of(1, 3, 3, 2).ArgMax() }, `i64 [] [1]`},
		{`argmax nan`, func() *lt.Tensor { return lt.Of(1, nan, 3, nan).ArgMax() }, `i64 [] [1]`},
		{`argmin nan`, func() *lt.Tensor { return lt.Of(1, nan, 3, nan).ArgMin() }, `i64 [] [1]`},
		{`argmin tie`, func() *lt.Tensor { return lt.Of(2, 1, 1).ArgMin() }, `i64 [] [1]`},
		{`sort nan`, func() *lt.Tensor { return lt.Of(nan, 2, minus, inf, nan, -1).Sort() }, `f32 [6] [-inf -1 2 inf nan nan]`},
		{`argsort stable`, func() *lt.Tensor { return lt.Of(1, 0, 1, 0, 1, 0).ArgSort() }, `i64 [6] [1 3 5 0 2 4]`},
		{`argsort nan`, func() *lt.Tensor { return lt.Of(nan, 2, nan, 1).ArgSort() }, `i64 [4] [3 1 0 2]`},
		{`topk nan`, func() *lt.Tensor { v, _ := lt.Of(nan, 2, 5, 1).TopK(2); return v }, `f32 [2] [5 2]`},
		{`sort -0`, func() *lt.Tensor { return lt.Of(0, math.Copysign(0, -1), 1).ArgSort() }, `i64 [3] [0 1 2]`},
		{`einsum trace`, func() *lt.Tensor { return lt.Einsum("ii->", lt.Arange(9).Reshape(3, 3).Cast(lt.F32)) }, `f32 [] [12]`},
		{`einsum diag`, func() *lt.Tensor { return lt.Einsum("ii->i", lt.Arange(9).Reshape(3, 3).Cast(lt.F32)) }, `f32 [3] [0 4 8]`},
		{`einsum sum`, func() *lt.Tensor { return lt.Einsum("ij->", lt.Arange(6).Reshape(2, 3).Cast(lt.F32)) }, `f32 [] [15]`},
		{`einsum implicit`, func() *lt.Tensor { return lt.Einsum("ba", lt.Arange(6).Reshape(2, 3).Cast(lt.F32)) }, `f32 [3 2] [0 3 1 4 2 5]`},
		{`einsum three`, func() *lt.Tensor {
			return lt.Einsum("i,ij,j->", lt.Of(1, 2), lt.Arange(6).Reshape(2, 3).Cast(lt.F32), lt.Of(1, 2, 3))
		}, `f32 [] [60]`},
		{`einsum ellipsis`, func() *lt.Tensor { return lt.Einsum("...ij,...jk->...ik", lt.Ones(2, 2, 3), lt.Ones(3, 2)) }, `f32 [2 2 2] [3 3 3 3 3 3 3 3]`},
		{`einsum outer`, func() *lt.Tensor { return lt.Einsum("i,j->ji", lt.Of(1, 2), lt.Of(3, 4, 5)) }, `f32 [3 2] [3 6 4 8 5 10]`},
		{`einsum rep`, func() *lt.Tensor {
			return lt.Einsum("iij,j->ij", lt.Arange(12).Reshape(2, 2, 3).Cast(lt.F32), lt.Of(1, 2, 3))
		}, `f32 [2 3] [0 2 6 9 20 33]`},
		{`einsum int`, func() *lt.Tensor { return lt.Einsum("i,i->", lt.Ints(1, 2), lt.Ints(3, 4)) }, `i64 [] [11]`},
		{`f16 overflow`, func() *lt.Tensor { return lt.Of(60000, 65504, 65520).Cast(lt.F16).Mul(1.5) }, `f16 [3] [inf inf inf]`},
		{`f16 cast overflow`, func() *lt.Tensor { return lt.Of(65519, 65520, 1e-8, 6e-8).Cast(lt.F16) }, `f16 [4] [65504 inf 0 5.9605e-08]`},
		{`f16 weak`, func() *lt.Tensor { return lt.Of(1000, 3, 0.1).Cast(lt.F16).Mul(0.1) }, `f16 [3] [100 0.30005 0.0099945]`},
		{`f16 weak2`, func() *lt.Tensor { return lt.Of(0.5).Cast(lt.F16).Mul(70000) }, `f16 [1] [35008]`},
		{`f16 weak3`, func() *lt.Tensor { return lt.Of(0.001).Cast(lt.F16).Div(1e-8).Mul(1e-8) }, `f16 [1] [0.0010004]`},
		{`bf16 weak`, func() *lt.Tensor { return lt.Of(3, 7, 100).Cast(lt.BF16).Mul(0.3) }, `bf16 [3] [0.89844 2.0938 30]`},
		{`bf16 weak add`, func() *lt.Tensor { return lt.Of(1, 2).Cast(lt.BF16).Add(1.005) }, `bf16 [2] [2 3]`},
		{`bf16 pow`, func() *lt.Tensor { return lt.Of(3, 7, 100).Cast(lt.BF16).Pow(0.3) }, `bf16 [3] [1.3906 1.7969 4]`},
		{`bf16 cmp`, func() *lt.Tensor { return lt.Of(0.1).Cast(lt.BF16).Eq(0.1) }, `bool [1] [true]`},
		{`f16 cmp`, func() *lt.Tensor { return lt.Of(0.1).Cast(lt.F16).Lt(0.1) }, `bool [1] [false]`},
		{`f32 cmp`, func() *lt.Tensor { return lt.Of(0.1).Eq(0.1) }, `bool [1] [true]`},
		{`i64 cmp float`, func() *lt.Tensor { return lt.Ints(1, 2).Lt(1.5) }, `bool [2] [true false]`},
		{`ce allignored`, func() *lt.Tensor { return nn.CrossEntropy(lt.Ones(2, 3), lt.Ints(-100, -100)) }, `f32 [] [nan]`},
		{`ce part`, func() *lt.Tensor { return nn.CrossEntropy(lt.Arange(6).Reshape(2, 3).Cast(lt.F32), lt.Ints(-100, 1)) }, `f32 [] [1.4076]`},
		{`ce oob`, func() *lt.Tensor { return nn.CrossEntropy(lt.Ones(2, 3), lt.Ints(3, 0)) }, `ERR CrossEntropy: target 3 of row 0 is none of the 3 classes`},
		{`ce neg`, func() *lt.Tensor { return nn.CrossEntropy(lt.Ones(2, 3), lt.Ints(-1, 0)) }, `ERR CrossEntropy: target -1 of row 0 is none of the 3 classes`},
		{`ce inf`, func() *lt.Tensor {
			return nn.CrossEntropy(lt.From([][]float32{{float32(minus), 0}, {0, 0}}), lt.Ints(0, 1))
		}, `f32 [] [inf]`},
		{`ce grad ign`, func() *lt.Tensor {
			return grad(lt.Arange(6).Reshape(2, 3).Cast(lt.F32), func(x *lt.Tensor) *lt.Tensor { return nn.CrossEntropy(x, lt.Ints(-100, 1)) })
		}, `f32 [2 3] [0 0 0 0.090031 -0.75527 0.66524]`},
		{`pow negbase`, func() *lt.Tensor { return lt.Of(-2, -2, -2, 0, 0, 0, 1, -1).Pow(lt.Of(2, 3, 0.5, 0, -1, 1, nan, inf)) }, `f32 [8] [4 -8 nan 1 inf 0 1 1]`},
		{`pow int`, func() *lt.Tensor { return lt.Ints(2, -3, 0).Pow(lt.Ints(10, 3, 0)) }, `i64 [3] [1024 -27 1]`},
		{`pow grad`, func() *lt.Tensor { return grad(lt.Of(0, -2, 2), func(x *lt.Tensor) *lt.Tensor { return x.Pow(2) }) }, `f32 [3] [0 -4 4]`},
		{`pow grad3`, func() *lt.Tensor { return grad(lt.Of(0, -2, 2), func(x *lt.Tensor) *lt.Tensor { return x.Pow(3) }) }, `f32 [3] [0 12 12]`},
		{`pow grad0`, func() *lt.Tensor { return grad(lt.Of(0, -2, 2), func(x *lt.Tensor) *lt.Tensor { return x.Pow(0) }) }, `f32 [3] [0 0 0]`},
		{`pow gradb`, func() *lt.Tensor {
			return lt.Grads(lt.Of(0, 2).Pow(x7.At(lt.R(0, 2))).Sum(), x7)[0]
		}, `f32 [3] [0 2.7726 0]`},
		{`2 pow`, func() *lt.Tensor { return lt.Full(2.0).Pow(lt.Of(0.5, -1)) }, `f32 [2] [1.4142 0.5]`},
		{`std`, func() *lt.Tensor { return lt.Of(1, 2, 3, 4).Std() }, `f32 [] [1.118]`},
		{`var eq`, func() *lt.Tensor { return lt.Full(0.1, 3).Contiguous().Var() }, `f32 [] [0]`},
		{`var eq7`, func() *lt.Tensor { return lt.Full(0.7, 5, 7).Contiguous().Var(1) }, `f32 [5] [0 0 0 0 0]`},
		{`var eq1000`, func() *lt.Tensor { return lt.Full(0.3, 1000).Contiguous().Var() }, `f32 [] [0]`},
		{`var eq0`, func() *lt.Tensor { return lt.Full(0.3, 11, 3).Contiguous().Var(0) }, `f32 [3] [0 0 0]`},
		{`var eq01`, func() *lt.Tensor { return lt.Full(0.3, 11, 3).Contiguous().Var(0, 1) }, `f32 [] [0]`},
		{`var big`, func() *lt.Tensor { return lt.Of(10000001, 10000002, 10000003).Var() }, `f32 [] [0.66667]`},
		{`mean 3`, func() *lt.Tensor { return lt.Of(0.1, 0.1, 0.1).Mean().Sub(0.1) }, `f32 [] [0]`},
		{`mean int`, func() *lt.Tensor { return lt.Ints(1, 2).Mean() }, `f32 [] [1.5]`},
		{`mean bool`, func() *lt.Tensor { return lt.Ints(1, 2).Gt(1).Mean() }, `f32 [] [0.5]`},
		{`cumsum 0`, func() *lt.Tensor { return lt.Arange(6).Reshape(2, 3).CumSum(0) }, `i64 [2 3] [0 1 2 3 5 7]`},
		{`cumsum -1`, func() *lt.Tensor { return lt.Arange(6).Reshape(2, 3).CumSum(-1) }, `i64 [2 3] [0 1 3 3 7 12]`},
		{`conv kernel too large`, func() *lt.Tensor { return lt.Ones(1, 1, 2, 2).Conv2d(lt.Ones(1, 1, 3, 3)) }, `ERR Conv2d: the kernel [1 1 3 3] is larger than the padded input [1 1 2 2]`},
		{`svd zero`, func() *lt.Tensor { _, s, _ := lt.Zeros(3, 2).SVD(); return s }, `f32 [2] [0 0]`},
		{`svd rec`, func() *lt.Tensor {
			a := lt.From([][]float32{{1, 2}, {2, 4}, {3, 6}})
			u, s, v := a.SVD()
			return u.Mul(s).MatMul(v).Sub(a).Abs().Max().Lt(1e-5)
		}, `bool [] [true]`},
		{`svd orth`, func() *lt.Tensor {
			u, _, _ := lt.From([][]float32{{1, 2}, {2, 4}, {3, 6}}).SVD()
			return u.T().MatMul(u).Sub(lt.Eye(2)).Abs().Max().Lt(1e-5)
		}, `bool [] [true]`},
		{`svd zero orth`, func() *lt.Tensor {
			u, _, v := lt.Zeros(3, 2).SVD()
			return u.T().MatMul(u).Sub(lt.Eye(2)).Abs().Max().Add(v.T().MatMul(v).Sub(lt.Eye(2)).Abs().Max()).Lt(1e-5)
		}, `bool [] [true]`},
		{`svd nan`, func() *lt.Tensor { _, s, _ := lt.From([][]float32{{float32(nan), 2}, {2, 4}}).SVD(); return s }, `f32 [2] [nan nan]`},
		{`qr def`, func() *lt.Tensor {
			a := lt.From([][]float32{{1, 2}, {2, 4}, {3, 6}})
			q, r := a.QR()
			return lt.Stack(0, q.MatMul(r).Sub(a).Abs().Max(), q.T().MatMul(q).Sub(lt.Eye(2)).Abs().Max()).Lt(1e-5)
		}, `bool [2] [true true]`},
		{`qr zero`, func() *lt.Tensor {
			q, _ := lt.Zeros(3, 2).QR()
			return q.T().MatMul(q).Sub(lt.Eye(2)).Abs().Max().Lt(1e-5)
		}, `bool [] [true]`},
		{`solve singular`, func() *lt.Tensor { return lt.From([][]float32{{1, 2}, {2, 4}}).Solve(lt.Of(1, 2)) }, `f32 [2] [nan nan]`},
		{`solve vec`, func() *lt.Tensor { return lt.From([][]float32{{1, 2}, {3, 4}}).Solve(lt.Of(1, 2)) }, `f32 [2] [0 0.5]`},
		{`attn masked`, func() *lt.Tensor {
			m := lt.From([][]bool{{false, false}, {true, false}})
			return q.Attention(q, q, lt.AttentionOptions{Mask: m})
		}, `f32 [1 1 2 4] [0 0 0 0 0 0.1 0.2 0.3]`},
		{`attn masked grad`, func() *lt.Tensor {
			m := lt.From([][]bool{{false, false}, {true, false}})
			return lt.Grads(q.Attention(q, q, lt.AttentionOptions{Mask: m}).Sum(), q)[0]
		}, `f32 [1 1 2 4] [1 1 1 1 0 0 0 0]`},
		{`attn causal rect`, func() *lt.Tensor {
			k := lt.Arange(12).Reshape(1, 1, 3, 4).Cast(lt.F32).Mul(0.1)
			return q.Attention(k, k, lt.AttentionOptions{Causal: true})
		}, `f32 [1 1 2 4] [0.21199 0.31199 0.41199 0.51199 0.5137 0.6137 0.7137 0.8137]`},
		{`attn causal rect2`, func() *lt.Tensor {
			k := lt.Arange(12).Reshape(1, 1, 3, 4).Cast(lt.F32).Mul(0.1)
			return k.Attention(q, q, lt.AttentionOptions{Causal: true})
		}, `f32 [1 1 3 4] [0 0 0 0 0 0.1 0.2 0.3 0.27254 0.37254 0.47254 0.57254]`},
		{`sqrt grad0`, func() *lt.Tensor { return grad(lt.Of(0, 4), func(x *lt.Tensor) *lt.Tensor { return x.Sqrt() }) }, `f32 [2] [inf 0.25]`},
		{`norm grad0`, func() *lt.Tensor { return grad(lt.Zeros(2), func(x *lt.Tensor) *lt.Tensor { return x.Norm() }) }, `f32 [2] [0 0]`},
		{`max grad tie`, func() *lt.Tensor { return grad(lt.Of(1, 3, 3), func(x *lt.Tensor) *lt.Tensor { return x.Max() }) }, `f32 [3] [0 0.5 0.5]`},
		{`max grad nan`, func() *lt.Tensor { return grad(lt.Of(1, nan, 3), func(x *lt.Tensor) *lt.Tensor { return x.Max() }) }, `f32 [3] [nan nan nan]`},
		{`maximum grad tie`, func() *lt.Tensor {
			return grad(lt.Of(1, 3), func(x *lt.Tensor) *lt.Tensor { return x.Maximum(lt.Of(1, 1)) })
		}, `f32 [2] [0.5 1]`},
		{`abs grad0`, func() *lt.Tensor { return grad(lt.Of(0, -1), func(x *lt.Tensor) *lt.Tensor { return x.Abs() }) }, `f32 [2] [0 -1]`},
		{`prod grad0`, func() *lt.Tensor { return grad(lt.Of(0, 2, 3), func(x *lt.Tensor) *lt.Tensor { return x.Prod() }) }, `f32 [3] [6 0 0]`},
		{`prod grad00`, func() *lt.Tensor { return grad(lt.Of(0, 2, 0), func(x *lt.Tensor) *lt.Tensor { return x.Prod() }) }, `f32 [3] [0 0 0]`},
		{`where grad nan`, func() *lt.Tensor {
			return grad(lt.Of(0, 4), func(x *lt.Tensor) *lt.Tensor { return lt.Where(x.Gt(0), x.Sqrt(), 0) })
		}, `f32 [2] [nan 0.25]`},
		{`clip grad edge`, func() *lt.Tensor {
			return grad(lt.Of(0, 0.5, 1, 2), func(x *lt.Tensor) *lt.Tensor { return x.Clip(0, 1) })
		}, `f32 [4] [0 1 0 0]`},
		{`std grad0`, func() *lt.Tensor { return grad(lt.Ones(3), func(x *lt.Tensor) *lt.Tensor { return x.Std() }) }, `f32 [3] [0 0 0]`},
		{`sort grad`, func() *lt.Tensor {
			return grad(lt.Of(3, 1, 2), func(x *lt.Tensor) *lt.Tensor { return x.Sort().Mul(lt.Of(1, 2, 4)) })
		}, `f32 [3] [4 1 2]`},
		{`lse grad inf`, func() *lt.Tensor {
			return grad(lt.Of(minus, 0), func(x *lt.Tensor) *lt.Tensor { return x.LogSumExp() })
		}, `f32 [2] [0 1]`},
		{`scatter grad dup`, func() *lt.Tensor {
			return grad(lt.Of(1, 2, 4), func(x *lt.Tensor) *lt.Tensor { return lt.Zeros(3).ScatterAdd(0, lt.Ints(1, 1, 0), x).Square() })
		}, `f32 [3] [6 6 8]`},
		{`setat neg`, func() *lt.Tensor { return lt.Arange(6).Reshape(2, 3).SetAt(9, -1, lt.R(0, 2)) }, `i64 [2 3] [0 1 2 9 9 5]`},
		{`sizes that overflow`, func() *lt.Tensor { return lt.Ones(1<<30, 1, 1).Add(lt.Ones(1<<30, 1)).Mul(lt.Ones(1 << 30)) }, `ERR Add: shape [1073741824 1073741824 1] has more than 2^40 elements`},
		{`sizes that overflow where`, func() *lt.Tensor { return lt.Where(lt.Ones(1<<30, 1).Gt(0), lt.Ones(1<<30), 0) }, `ERR Where: shape [1073741824 1073741824] has more than 2^40 elements`},
		{`sizes that overflow matmul`, func() *lt.Tensor { return lt.Ones(1<<20, 1, 1, 2).MatMul(lt.Ones(1<<21, 2, 1)) }, `ERR MatMul: shape [1048576 2097152 1 1] has more than 2^40 elements`},
		{`sizes that overflow take`, func() *lt.Tensor { return lt.Ones(2, 1<<30).Take(lt.Zeros(1<<30).Cast(lt.I64), 0) }, `ERR Take: shape [1073741824 1073741824] has more than 2^40 elements`},
		{`trunc`, func() *lt.Tensor { return lt.Of(1.7, -1.7, -0.2, nan, inf, minus).Trunc() }, `f32 [6] [1 -1 0 nan inf -inf]`},
		{`trunc int`, func() *lt.Tensor { return lt.Ints(-3).Trunc() }, `i64 [1] [-3]`},
		{`is finite`, func() *lt.Tensor { return lt.Of(1, nan, inf, minus).IsFinite() }, `bool [4] [true false false false]`},
		{`is finite int`, func() *lt.Tensor { return lt.Ints(1).IsFinite() }, `bool [1] [true]`},
		{`nan to num`, func() *lt.Tensor { return lt.Of(1, nan, inf, minus).NaNToNum() }, `f32 [4] [1 0 3.4028e+38 -3.4028e+38]`},
		{`nan to num f16`, func() *lt.Tensor { return lt.Of(1, nan, inf, minus).Cast(lt.F16).NaNToNum() }, `f16 [4] [1 0 65504 -65504]`},
		{`nan to num int`, func() *lt.Tensor { return lt.Ints(7).NaNToNum() }, `i64 [1] [7]`},
		{`erfinv`, func() *lt.Tensor { return lt.Of(0, 1, -1, 2, nan, 0.5).ErfInv() }, `f32 [6] [0 inf -inf nan nan 0.47694]`},
		{`round half`, func() *lt.Tensor { return lt.Of(0.5, 1.5, 2.5, -0.5, -1.5).Round() }, `f32 [5] [0 2 2 0 -2]`},
		{`exp range`, func() *lt.Tensor { return lt.Of(88.7, 88.8, -103, -104, 1000, -1000, inf, minus, nan).Exp() }, `f32 [9] [3.326e+38 inf 1.4013e-45 0 inf 0 inf 0 nan]`},
		{`log edge`, func() *lt.Tensor { return lt.Of(0, -1, inf, nan, 1e-40).Log() }, `f32 [5] [-inf nan inf nan -92.103]`},
		{`expm1 small`, func() *lt.Tensor { return lt.Of(1e-8, -1e-8, 100, -100).Expm1() }, `f32 [4] [1e-08 -1e-08 inf -1]`},
		{`log1p small`, func() *lt.Tensor { return lt.Of(1e-8, -1, -2, inf).Log1p() }, `f32 [4] [1e-08 -inf nan inf]`},
		{`tanh edge`, func() *lt.Tensor { return lt.Of(1e-8, 10, minus, nan, 0.3).Tanh() }, `f32 [5] [1e-08 1 -1 nan 0.29131]`},
		{`sigmoid edge`, func() *lt.Tensor { return lt.Of(-200, 200, -88, inf, minus).Sigmoid() }, `f32 [5] [0 1 6.0546e-39 1 0]`},
		{`gelu edge`, func() *lt.Tensor { return lt.Of(-10, 10, inf, -5, nan).Gelu() }, `f32 [5] [-7.6199e-23 10 inf -1.4333e-06 nan]`},
		{`gelu -inf`, func() *lt.Tensor { return lt.Of(minus).Gelu() }, `f32 [1] [nan]`},
		{`silu -inf`, func() *lt.Tensor { return lt.Of(minus, -1000, 1000, inf).Silu() }, `f32 [4] [nan 0 1000 inf]`},
		{`gelutanh -inf`, func() *lt.Tensor { return lt.Of(minus, -20, inf).GeluTanh() }, `f32 [3] [nan 0 inf]`},
		{`erf edge`, func() *lt.Tensor { return lt.Of(minus, inf, nan, 1e-10, 5).Erf() }, `f32 [5] [-1 1 nan 1.1284e-10 1]`},
		{`sqrt neg`, func() *lt.Tensor { return lt.Of(-1, math.Copysign(0, -1), inf).Sqrt() }, `f32 [3] [nan 0 inf]`},
		{`rsqrt 0`, func() *lt.Tensor { return lt.Of(0, inf, -1).Rsqrt() }, `f32 [3] [inf 0 nan]`},
		{`div0`, func() *lt.Tensor { return lt.Of(1, -1, 0).Div(0) }, `f32 [3] [inf -inf nan]`},
		{`denormal`, func() *lt.Tensor { return lt.Of(1e-40, 1e-44).Mul(1.0) }, `f32 [2] [9.9999e-41 9.8091e-45]`},
		{`rms zero`, func() *lt.Tensor { return lt.Zeros(1, 4).RMSNorm(lt.Ones(4), 1e-6) }, `f32 [1 4] [0 0 0 0]`},
		{`layernorm big`, func() *lt.Tensor {
			return lt.Of(1e4, 1e4+1, 1e4+2, 1e4+3).Reshape(1, 4).LayerNorm(lt.Ones(4), lt.Zeros(4), 1e-5)
		}, `f32 [1 4] [-1.3416 -0.44721 0.44721 1.3416]`},
		{`tril rect`, func() *lt.Tensor { return lt.Ones(2, 4).Tril(1) }, `f32 [2 4] [1 1 0 0 1 1 1 0]`},
		{`arange neg`, func() *lt.Tensor { return lt.Arange(5, 0, -2) }, `i64 [3] [5 3 1]`},
		{`arange empty`, func() *lt.Tensor { return lt.Arange(0) }, `i64 [0] []`},
		{`linspace1`, func() *lt.Tensor { return lt.Linspace(2, 5, 1) }, `f32 [1] [2]`},
		{`linspace`, func() *lt.Tensor { return lt.Linspace(0, 1, 4) }, `f32 [4] [0 0.33333 0.66667 1]`},
		{`bool add`, func() *lt.Tensor { b := lt.Of(1, 0).Gt(0); return b.Add(b) }, `i64 [2] [2 0]`},
		{`bool sum`, func() *lt.Tensor { return lt.Of(1, 2).Gt(0).Sum() }, `i64 [] [2]`},
		{`bool mul float`, func() *lt.Tensor { return lt.Of(1, 0).Gt(0).Mul(lt.Of(2, 3)) }, `f32 [2] [2 0]`},
		{`bool max`, func() *lt.Tensor { return lt.Of(1, 0).Gt(0).Max() }, `bool [] [true]`},
		{`promote`, func() *lt.Tensor { return lt.Ints(1).Add(lt.Of(1).Cast(lt.F16)) }, `f16 [1] [2]`},
		{`promote2`, func() *lt.Tensor { return lt.Of(1).Cast(lt.F16).Add(lt.Of(1).Cast(lt.BF16)) }, `f32 [1] [2]`},
		{`promote u8 i32`, func() *lt.Tensor { return i32(-5).Add(lt.Ints(3).Cast(lt.U8)) }, `i32 [1] [-2]`},
		{`matmul vecvec`, func() *lt.Tensor { return lt.Of(1, 2).MatMul(lt.Of(3, 4)) }, `f32 [] [11]`},
		{`matmul vecmat`, func() *lt.Tensor { return lt.Of(1, 2).MatMul(lt.Ones(2, 3)) }, `f32 [3] [3 3 3]`},
		{`matmul matvec`, func() *lt.Tensor { return lt.Ones(3, 2).MatMul(lt.Of(1, 2)) }, `f32 [3] [3 3 3]`},
		{`matmul bcast`, func() *lt.Tensor { return lt.Ones(2, 1, 1, 2).MatMul(lt.Ones(3, 2, 1)).Sum() }, `f32 [] [12]`},
		{`matmul int`, func() *lt.Tensor { return lt.Ints(1, 2, 3, 4).Reshape(2, 2).MatMul(lt.Ints(1, 1).Reshape(2, 1)) }, `i64 [2 1] [3 7]`},
		{`matmul inf0`, func() *lt.Tensor { return lt.Of(inf, 0).Reshape(1, 2).MatMul(lt.Of(0, 1).Reshape(2, 1)) }, `f32 [1 1] [nan]`},
		{`rope`, func() *lt.Tensor { return lt.Arange(16).Reshape(1, 1, 2, 8).Cast(lt.F32).RoPE() }, `f32 [1 1 2 8] [0 1 2 3 4 5 6 7 -5.7752 7.6572 9.8595 10.985 13.215 13.834 14.099 15.011]`},
		{`pad neg`, func() *lt.Tensor { return lt.Ones(3).Pad(0, -1, 1) }, `ERR Pad: margins -1 and 1 on axis 0; 0 … 2^40 is possible`},
		{`flip axes`, func() *lt.Tensor { return lt.Arange(6).Reshape(2, 3).Flip(0) }, `i64 [2 3] [3 4 5 0 1 2]`},
		{`logsoftmax big`, func() *lt.Tensor { return lt.Of(1000, 0, -1000).LogSoftmax() }, `f32 [3] [0 -1000 -2000]`},
		{`index tensor neg`, func() *lt.Tensor { return lt.Arange(6).Reshape(2, 3).At(lt.All, lt.Ints(-1, 0)) }, `i64 [2 2] [2 0 5 3]`},
		{`norm overflow`, func() *lt.Tensor { return lt.Of(1e30, 1e30).Norm() }, `f32 [] [inf]`},
		{`split neg`, func() *lt.Tensor { return lt.Concat(0, lt.Arange(5).Split(-1, 2, 3)[1]) }, `i64 [3] [2 3 4]`},
		{`chunk uneven`, func() *lt.Tensor {
			c := lt.Arange(7).Chunk(3, 0)
			return lt.Ints(c[0].Size(), c[1].Size(), c[2].Size())
		}, `i64 [3] [3 3 1]`},
		{`second pow`, func() *lt.Tensor {
			return grad(lt.Of(2, 3), func(x *lt.Tensor) *lt.Tensor { return lt.Grads(x.Pow(3).Sum(), x)[0] })
		}, `f32 [2] [12 18]`},
		{`var grad`, func() *lt.Tensor { return grad(lt.Of(1, 2, 4), func(x *lt.Tensor) *lt.Tensor { return x.Var() }) }, `f32 [3] [-0.88889 -0.22222 1.1111]`},
		{`topk k=n`, func() *lt.Tensor { _, i := lt.Of(1, 3, 3, 2).TopK(4); return i }, `i64 [4] [1 2 3 0]`},
		{`topk k>n`, func() *lt.Tensor { v, _ := lt.Of(1, 3).TopK(4); return v }, `ERR TopK: k = 4, but axis 0 of shape [2] has 2 elements`},
		{`squeeze bad`, func() *lt.Tensor { return lt.Ones(2, 3).Squeeze(0) }, `ERR Squeeze: axis 0 of shape [2 3] has size 2, not 1`},
		{`reshape bad`, func() *lt.Tensor { return lt.Ones(2, 3).Reshape(-1, 4) }, `ERR Reshape: [2 3] has 6 elements, which [-1 4] does not divide`},
		{`reshape -1 empty`, func() *lt.Tensor { return lt.Zeros(0, 3).Reshape(-1, 3) }, `f32 [0 3] []`},
		{`reshape -1 0`, func() *lt.Tensor { return lt.Zeros(0, 3).Reshape(-1, 0) }, `ERR Reshape: [0 3] has 0 elements, which [-1 0] does not divide`},
		{`mod f64 negtiny`, func() *lt.Tensor { return lt.From([]float64{-1e-30}).Mod(3.0) }, `f64 [1] [3]`},
		{`expand -1`, func() *lt.Tensor { return lt.Ones(1, 3).Expand(2, -1) }, `f32 [2 3] [1 1 1 1 1 1]`},
		{`at int oob`, func() *lt.Tensor { return lt.Ones(3).At(3) }, `ERR At: place 3 is out of range for axis 0 of shape [3]`},
		{`at range clip`, func() *lt.Tensor { return lt.Arange(3).At(lt.R(1, 10)) }, `i64 [2] [1 2]`},
		{`at range empty`, func() *lt.Tensor { return lt.Arange(3).At(lt.R(2, 1)) }, `i64 [0] []`},
	} {
		got := ""
		if err := lt.Try(func() { got = digits(c.f()) }); err != nil {
			got = "ERR " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// digits writes dtype, shape and elements, floats to five digits.
func digits(x *lt.Tensor) string {
	var p []string
	switch x.DType() {
	case lt.I64, lt.I32, lt.U8:
		for _, v := range x.Ints() {
			p = append(p, strconv.Itoa(v))
		}
	case lt.Bool:
		for _, v := range x.Bools() {
			p = append(p, strconv.FormatBool(v))
		}
	default:
		for _, v := range x.Floats() {
			p = append(p, strings.NewReplacer("NaN", "nan", "+Inf", "inf", "-Inf", "-inf").Replace(strconv.FormatFloat(v+0, 'g', 5, 64)))
		}
	}
	return fmt.Sprintf("%s %v [%s]", x.DType(), []int(x.Shape()), strings.Join(p, " "))
}

// TestLongSums adds ten million times the same number: rounding errors of one
// sign, which a plain loop collects.
func TestLongSums(t *testing.T) {
	const n = 10_000_000
	want := float64(float32(0.1)) * n
	flat := lt.Full(0.1, n).Contiguous().Eval()
	for name, x := range map[string]*lt.Tensor{
		"constant": lt.Full(0.1, n), "all": flat, "rows": flat.Reshape(5, n/5).Sum(-1).Mul(5).At(0), "columns": flat.Reshape(n/2, 2).Sum(0).Mul(2).At(1),
		"middle": flat.Reshape(2, n/20, 10).Sum(1).Mul(20).At(1, 3), "outer and inner": flat.Reshape(n/200, 2, 100).Sum(0, 2).Mul(2).At(1), "running": flat.CumSum(0).At(-1),
	} {
		if got := x.Sum().Item(); math.Abs(got-want) > 1e-6*want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestConstantZerosKeepTheirSigns(t *testing.T) {
	x, minus := lt.Of(1, 2, 3).Mul(1.5).Eval(), math.Copysign(0, -1)
	zero, negative := x.Mul(0), x.Mul(minus)
	lt.Eval(zero, negative)
	chosen := lt.Where(x.Gt(2), lt.Full(minus, 3), lt.Full(0, 3))
	for name, c := range map[string]struct {
		got  *lt.Tensor
		want []float64
	}{"0": {zero, []float64{1, 1, 1}}, "-0": {negative, []float64{-1, -1, -1}}, "chosen": {chosen, []float64{1, -1, -1}}} {
		if got := c.got.Reciprocal().Maximum(-1).Minimum(1).Floats(); !slices.Equal(got, c.want) {
			t.Errorf("%s: signs %v, want %v", name, got, c.want)
		}
	}
}
