package tensorlib_test

import (
	"context"
	"fmt"

	lt "loris/tensorlib"
)

func Example() {
	x := lt.From([][]float32{{1, 2, 3}, {4, 5, 6}})
	y := x.Mul(2).Add(lt.Of(1, 1, 1)).Sum(-1) // nothing is computed yet
	fmt.Println(y)                            // now it is
	// Output: [15 33]  f32[2]
}

func ExampleGrads() {
	x := lt.Of(1, 2, 3)
	loss := x.Square().Sum()
	g := lt.Grads(loss, x)
	fmt.Println(g[0])
	// Output: [2 4 6]  f32[3]
}

func ExampleGrad() {
	square := func(x ...*lt.Tensor) *lt.Tensor { return x[0].Square().Sum() }
	fmt.Println(lt.Grad(square)(lt.Of(3))[0])
	// Output: [6]  f32[1]
}

func ExampleTry() {
	err := lt.Try(func() { lt.Ones(2, 3).Add(lt.Ones(4)) })
	fmt.Println(err)
	// Output: Add: shapes [2 3] and [4] do not broadcast
}

func ExampleEvalAsync() {
	x := lt.Ones(3, 3)
	p := lt.EvalAsync(x.MatMul(x)) // returns at once
	fmt.Println(p.Wait(context.Background()))
	// Output: <nil>
}

func ExampleEinsum() {
	a, b := lt.Arange(6).Reshape(2, 3), lt.Arange(6).Reshape(2, 3)
	fmt.Println(lt.Einsum("ij,kj->ik", a, b))
	// Output:
	// [[ 5 14]
	//  [14 50]]  i64[2 2]
}

func ExampleTensor_At() {
	x := lt.Arange(12).Reshape(3, 4)
	fmt.Println(x.At(0))
	fmt.Println(x.At(lt.All, 1))
	fmt.Println(x.At(lt.R(0, 2), -1))
	// Output:
	// [0 1 2 3]  i64[4]
	// [1 5 9]  i64[3]
	// [3 7]  i64[2]
}

func ExampleTensor_SetAt() {
	fmt.Println(lt.Zeros(2, 3).SetAt(5, lt.All, 1))
	// Output:
	// [[0 5 0]
	//  [0 5 0]]  f32[2 3]
}

func ExampleTensor_TopK() {
	values, indices := lt.Of(3, 9, 1, 7).TopK(2)
	fmt.Println(values, indices)
	// Output: [9 7]  f32[2] [1 3]  i64[2]
}

func ExampleTensor_Softmax() {
	fmt.Println(lt.Of(0, 0, 1).Softmax())
	// Output: [0.2119 0.2119 0.5761]  f32[3]
}

func ExampleTensor_MatMul() {
	x := lt.From([][]float32{{1, 2}, {3, 4}})
	fmt.Println(x.MatMul(x.T()))
	fmt.Println(x.MatMul(lt.Of(1, 1)))
	// Output:
	// [[ 5 11]
	//  [11 25]]  f32[2 2]
	// [3 7]  f32[2]
}

func ExampleTensor_Solve() {
	a := lt.From([][]float32{{2, 0}, {0, 4}})
	fmt.Println(a.Solve(lt.Of(2, 4)))
	// Output: [1 1]  f32[2]
}

func ExampleCompile() {
	f := lt.Compile(func(x ...*lt.Tensor) []*lt.Tensor {
		return []*lt.Tensor{x[0].MatMul(x[1].T()).Silu()}
	})
	f.Call(lt.Ones(2, 3), lt.Ones(4, 3))
	y := f.Call(lt.Ones(2, 3), lt.Ones(4, 3))
	fmt.Println(y[0].Shape(), f.Hits, f.Misses)
	// Output: [2 4] 1 1
}

func ExampleCheckpoint() {
	layer := lt.Checkpoint(func(x ...*lt.Tensor) *lt.Tensor { return x[0].Tanh().Square() })
	x := lt.Of(0.5)
	fmt.Println(lt.Grads(layer(layer(x)).Sum(), x)[0])
	// Output: [0.2923]  f32[1]
}

func ExampleRand_Split() {
	streams := lt.NewRand(42).Split(2)
	a, b := streams[0].Randint(0, 100, 3), streams[1].Randint(0, 100, 3)
	fmt.Println(a.Shape(), b.Shape())
	// Output: [3] [3]
}

func ExampleKernel() {
	square := &lt.Kernel{Name: "square", Inputs: []string{"x"}, Outputs: []string{"y"},
		Metal: `y[i] = x[i] * x[i];`,
		CPU: func(in, out [][]float32, lo, hi int) {
			for i := lo; i < hi; i++ {
				out[0][i] = in[0][i] * in[0][i]
			}
		}}
	y := square.Run(lt.KernelCall{Shapes: [][]int{{3}}}, lt.Of(1, 2, 3))
	fmt.Println(y[0])
	// Output: [1 4 9]  f32[3]
}

func ExampleJVP() {
	f := func(x ...*lt.Tensor) *lt.Tensor { return x[0].Square() }
	y, dy := lt.JVP(f, []*lt.Tensor{lt.Of(1, 2)}, []*lt.Tensor{lt.Of(1, 10)})
	fmt.Println(y, dy)
	// Output: [1 4]  f32[2] [ 2 40]  f32[2]
}

func ExampleTensor_Quantize() {
	w := lt.Linspace(-1, 1, 128).Reshape(2, 64)
	q := w.Quantize(lt.Q8)
	x := lt.Ones(1, 64)
	fmt.Println(q.DType(), x.MatMul(q.T()).Round())
	// Output: q8 [[-32  32]]  f32[1 2]
}
