package op

import "loris/internal/ir"

func init() {
	addRows(Multi, Row{Op: AdamW, Name: "AdamW", NumOutputs: 3, Infer: inferAdamW, Expand: expandAdamW, Cost: elementCost(14),
		Doc: "One AdamW update (Loshchilov and Hutter 2019) of a parameter and its two moments."})
	addRows(UserKernel, Row{Op: Custom, Name: "Custom", API: "Run", Infer: inferCustom, VJPs: vjpCustom,
		Doc:     "Run calls a kernel of your own.",
		Example: `(&lt.Kernel{Name: "twice", CPU: func(in, out [][]float32, lo, hi int) { for i := lo; i < hi; i++ { out[0][i] = 2 * in[0][i] } }}).Run(lt.KernelCall{Shapes: [][]int{{2}}}, lt.Of(1, 2))`})
	for _, r := range []Row{
		{Op: Gemm, Name: "Gemm", Doc: "A matrix product with the elementwise ops around it."},
		{Op: MixedMatMul, Name: "MixedMatMul", Doc: "A product of float32 with a matrix of halves, which is read as it is."},
		{Op: LoRALinear, Name: "LoRALinear", Doc: "x·Wᵀ + s·(x·Aᵀ)·Bᵀ in one step."},
	} {
		addRows(Fused, r)
	}
}

func inferAdamW(in []*ir.Node, _ ir.Attrs, output int) (ir.DType, ir.Shape, *ir.Error) {
	p, g, m, v, h := in[0], in[1], in[2], in[3], in[4]
	if err := firstError(checkDense(in), checkFloat(p, "the parameter")); err != nil {
		return 0, nil, err
	}
	if !g.Shape.Equal(p.Shape) || !m.Shape.Equal(p.Shape) || !v.Shape.Equal(p.Shape) {
		return 0, nil, problem(ir.CodeShape, "parameter %v, gradient %v and moments %v, %v differ", p.Shape, g.Shape, m.Shape, v.Shape)
	}
	if !h.Shape.Equal(ir.Shape{3}) || h.DType != m.DType || m.DType != v.DType || m.DType != momentDType(p.DType) || !g.DType.IsFloat() {
		return 0, nil, problem(ir.CodeDType, "moments %s, %s and step constants %s%v; %s and [3] are needed", m.DType, v.DType, h.DType, h.Shape, momentDType(p.DType))
	}
	return [...]ir.DType{p.DType, m.DType, v.DType}[output], p.Shape, nil
}

// momentDType is the dtype in which moments are kept and the update computed.
func momentDType(p ir.DType) ir.DType {
	if p == ir.F64 {
		return ir.F64
	}
	return ir.F32
}

func expandAdamW(n *ir.Node) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(AdamWStep)
	g, m, v, h := CastTo(in[1], in[2].DType), in[2], in[3], in[4]
	m = add(scale(m, a.Beta1), scale(g, 1-a.Beta1))
	if n.Output == 1 {
		return m
	}
	v = add(scale(v, a.Beta2), scale(square(g), 1-a.Beta2))
	if n.Output == 2 {
		return v
	}
	p := CastTo(in[0], m.DType)
	at := func(i int) *ir.Node { return ReshapeTo(SliceOf(h, []int{i}, ir.Shape{1}), nil) }
	lr := at(0)
	step := div(mul(m, at(1)), plus(Unary(Sqrt, mul(v, at(2))), a.Eps))
	return CastTo(sub(p, mul(lr, add(scale(p, a.Decay), step))), n.DType)
}

func inferCustom(in []*ir.Node, attrs ir.Attrs, output int) (ir.DType, ir.Shape, *ir.Error) {
	k := attrs.(*Kernel)
	if err := firstError(checkDense(in), CheckShape(k.Shapes[output])); err != nil {
		return 0, nil, err
	}
	for i, x := range in {
		if x.DType != ir.F32 {
			return 0, nil, hinted("cast it: x.Cast(lt.F32)").with(problem(ir.CodeDType, "input %d of kernel %s is %s; f32 is needed", i, k.Name, x.DType))
		}
	}
	return k.DTypes[output], k.Shapes[output], nil
}

// vjpCustom asks the kernel's own VJP; the gradients of outputs come one at a
// time, so that the others are zero.
func vjpCustom(n, g *ir.Node) []*ir.Node {
	k, in := n.Attrs.(*Kernel), n.Inputs()
	if k.VJP == nil {
		panic(hinted("set its VJP field").with(problem(ir.CodeGradient, "kernel %q has no derivative", k.Name)))
	}
	out, gs := make([]*ir.Node, len(k.Shapes)), make([]*ir.Node, len(k.Shapes))
	for o := range out {
		out[o] = ApplyOutput(Custom, k, o, in...)
		gs[o] = zerosLike(out[o])
	}
	gs[n.Output] = g
	d := k.VJP(in, out, gs)
	checkGradients("the VJP of kernel \""+k.Name+"\"", in, d)
	return d
}

// vjpOfUser asks the function's own derivative.
func vjpOfUser(n, g *ir.Node) []*ir.Node {
	in := n.Inputs()
	d := n.Attrs.(*Derivative).VJP(in[1:], in[0], g)
	checkGradients("the derivative given to CustomVJP", in[1:], d)
	return append([]*ir.Node{nil}, d...)
}

// checkGradients checks what a user's derivative returned.
func checkGradients(what string, in, d []*ir.Node) {
	if len(d) != len(in) {
		panic(problem(ir.CodeUser, "%s returned %d gradients for %d inputs", what, len(d), len(in)))
	}
	for i := range d {
		if d[i] != nil && (!d[i].Shape.Equal(in[i].Shape) || d[i].DType != in[i].DType) {
			panic(problem(ir.CodeUser, "%s returned %s%v for input %d, %s%v", what, d[i].DType, d[i].Shape, i, in[i].DType, in[i].Shape))
		}
	}
}
