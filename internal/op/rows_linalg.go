package op

import (
	"slices"

	"loris/internal/ir"
)

func init() {
	addRows(Linalg,
		Row{Op: QR, Name: "QR", API: "QR", NumOutputs: 2, Infer: inferQR, VJP: vjpQR, Cost: cubicCost(2),
			Doc:     "QR factors x [… m n] into q [… m k] with orthonormal columns and an upper triangular r [… k n], k = min(m, n), with a diagonal ≥ 0.",
			Example: "lt.Eye(3).QR()"},
		Row{Op: SVD, Name: "SVD", API: "SVD", NumOutputs: 3, Infer: inferSVD, VJP: vjpSVD, Cost: cubicCost(12),
			Doc:     "SVD factors x [… m n] into u [… m k], the singular values s [… k] in descending order and vh [… k n], k = min(m, n); x = u·diag(s)·vh. In each column of u the element of largest magnitude is positive.",
			Example: "lt.Eye(3).SVD()"},
		Row{Op: Solve, Name: "Solve", API: "Solve", Infer: inferSolve, VJP: vjpSolve, Cost: cubicCost(1),
			Doc:     "Solve returns w with x·w = b for square x [… n n] and b [… n m], or b [n]. A singular x gives Inf or NaN.",
			Example: "lt.Of(2, 0, 0, 4).Reshape(2, 2).Solve(lt.Of(2, 4))"},
	)
}

func cubicCost(factor float64) func(n *ir.Node) (float64, float64) {
	return func(n *ir.Node) (float64, float64) {
		s := n.Inputs()[0].Shape
		return factor * float64(s.Size()) * float64(min(s[len(s)-1], s[len(s)-2])), Traffic(n)
	}
}

func checkMatrix(in []*ir.Node) *ir.Error {
	return firstError(checkDense(in), checkSame(in), checkWide(in[0]), checkRank(in[0], "x", 2))
}

func checkWide(x *ir.Node) *ir.Error {
	if x.DType != ir.F32 && x.DType != ir.F64 {
		return hinted("cast it: x.Cast(lt.F32)").with(problem(ir.CodeDType, "x is %s; f32 or f64 is needed", x.DType))
	}
	return nil
}

func inferQR(in []*ir.Node, _ ir.Attrs, output int) (ir.DType, ir.Shape, *ir.Error) {
	if err := checkMatrix(in); err != nil {
		return 0, nil, err
	}
	s := slices.Clone(in[0].Shape)
	m, n := s[len(s)-2], s[len(s)-1]
	if output == 0 {
		s[len(s)-1] = min(m, n)
	} else {
		s[len(s)-2] = min(m, n)
	}
	return in[0].DType, s, nil
}

func inferSVD(in []*ir.Node, _ ir.Attrs, output int) (ir.DType, ir.Shape, *ir.Error) {
	if err := checkMatrix(in); err != nil {
		return 0, nil, err
	}
	s := slices.Clone(in[0].Shape)
	rank := len(s)
	k := min(s[rank-2], s[rank-1])
	switch output {
	case 0:
		s[rank-1] = k
	case 1:
		s = append(s[:rank-2], k)
	case 2:
		s[rank-2] = k
	}
	return in[0].DType, s, nil
}

func inferSolve(in []*ir.Node, _ ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	if err := firstError(checkMatrix(in), checkRank(in[1], "b", 2)); err != nil {
		return 0, nil, err
	}
	a, b := in[0].Shape, in[1].Shape
	ra, rb := len(a), len(b)
	if a[ra-1] != a[ra-2] {
		return 0, nil, problem(ir.CodeShape, "x %v is not square", a)
	}
	if a[ra-1] != b[rb-2] {
		return 0, nil, problem(ir.CodeShape, "x %v and b %v have different numbers of rows", a, b)
	}
	batch, ok := ir.Broadcast(a[:ra-2], b[:rb-2])
	if !ok {
		return 0, nil, problem(ir.CodeShape, "batch axes of %v and %v do not broadcast", a, b)
	}
	return in[0].DType, append(slices.Clone(batch), b[rb-2], b[rb-1]), nil
}

// db = x⁻ᵀ·g, dx = −db·wᵀ.
func vjpSolve(n, g *ir.Node, i int) *ir.Node {
	a, b := n.Inputs()[0], n.Inputs()[1]
	db := Apply(Solve, nil, SwapLast(a), g)
	if i == 1 {
		return sumTo(db, b.Shape)
	}
	return sumTo(neg(matmul(db, SwapLast(n))), a.Shape)
}

// For m ≥ n, with M = r·drᵀ − dqᵀ·q: dx = (dq + q·(tril(M) + tril(M,−1)ᵀ))·r⁻ᵀ
// (Walter and Lehmann 2012). Of a wide x = [x₁ x₂], q and r₁ are the factors of the
// square x₁, and r₂ = qᵀ·x₂. The two outputs come one at a time.
func vjpQR(n, g *ir.Node, _ int) *ir.Node {
	x := n.Inputs()[0]
	rank := len(x.Shape)
	rows, cols := x.Shape[rank-2], x.Shape[rank-1]
	q, r := ApplyOutput(QR, nil, 0, x), ApplyOutput(QR, nil, 1, x)
	if rows >= cols {
		if n.Output == 0 {
			return tallQR(q, r, g, nil)
		}
		return tallQR(q, r, nil, g)
	}
	columns := func(y *ir.Node, from, to int) *ir.Node {
		start, size := make([]int, rank), slices.Clone(y.Shape)
		start[rank-1], size[rank-1] = from, to-from
		return SliceOf(y, start, size)
	}
	r1 := columns(r, 0, rows)
	rest := slices.Clone(x.Shape)
	rest[rank-1] = cols - rows
	if n.Output == 0 {
		return Apply(Concat, Axis{rank - 1}, tallQR(q, r1, g, nil), Filled(0, x.DType, rest))
	}
	g1, g2 := columns(g, 0, rows), columns(g, rows, cols)
	dq := matmul(columns(x, rows, cols), SwapLast(g2))
	return Apply(Concat, Axis{rank - 1}, tallQR(q, r1, dq, g1), matmul(q, g2))
}

// tallQR is the gradient of x [… m n], m ≥ n, for those of its factors, of which one
// may be nil.
func tallQR(q, r, dq, dr *ir.Node) *ir.Node {
	var m *ir.Node
	if dr != nil {
		m = matmul(r, SwapLast(dr))
	}
	if dq != nil {
		if p := matmul(SwapLast(dq), q); m == nil {
			m = neg(p)
		} else {
			m = sub(m, p)
		}
	}
	d := matmul(q, add(tril(m, 0), SwapLast(tril(m, -1))))
	if dq != nil {
		d = add(dq, d)
	}
	return SwapLast(Apply(Solve, nil, r, SwapLast(d)))
}

// With F[i,j] = 1/(s_j²−s_i²) off the diagonal (Townsend 2016). Equal singular
// values have no derivative of u and v: the result is Inf or NaN there.
func vjpSVD(n, g *ir.Node, _ int) *ir.Node {
	x := n.Inputs()[0]
	u, s, vh := ApplyOutput(SVD, nil, 0, x), ApplyOutput(SVD, nil, 1, x), ApplyOutput(SVD, nil, 2, x)
	rank := len(x.Shape)
	k := s.Shape[len(s.Shape)-1]
	column := append(slices.Clone(s.Shape), 1)
	row := append(slices.Clone(s.Shape[:len(s.Shape)-1]), 1, k)
	sc, sr := ReshapeTo(s, column), ReshapeTo(s, row)
	if n.Output == 1 {
		return matmul(mul(u, ReshapeTo(g, row)), vh)
	}
	eye := Binary(Eq, countAlong(ir.Shape{k, k}, 0, ir.I64), countAlong(ir.Shape{k, k}, 1, ir.I64))
	zero := scalar(0, x.DType)
	gap := sub(square(sr), square(sc))
	f := where(eye, zero, div(onesScalar(x), where(eye, onesScalar(x), gap)))
	if n.Output == 0 {
		ug := matmul(SwapLast(u), g)
		inner := mul(mul(f, sub(ug, SwapLast(ug))), sr)
		d := matmul(matmul(u, inner), vh)
		if x.Shape[rank-2] > k {
			rest := sub(g, matmul(u, ug))
			d = add(d, matmul(div(rest, sr), vh))
		}
		return d
	}
	v, gv := SwapLast(vh), SwapLast(g)
	vg := matmul(vh, gv)
	inner := mul(mul(f, sub(vg, SwapLast(vg))), sc)
	d := matmul(matmul(u, inner), vh)
	if x.Shape[rank-1] > k {
		rest := sub(gv, matmul(v, vg))
		d = add(d, matmul(u, SwapLast(div(rest, sr))))
	}
	return d
}
