package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// The generator of inputs, the twin of scripts/parity/inputs.py, which describes
// it.

const (
	golden      = 0x9E3779B97F4A7C15
	weightsFrom = 32 // inputs of a case from this number on are weights of outputs
	resultsFrom = 48 // and from this one on choose samples of results
)

// special are the values of the generator of that name.
var special = []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), 0.5, -2.5, 3, -1e-3, 1e4, -1e4, 88, -60, 1e-4}

var dtypes = map[string]lt.DType{"f32": lt.F32, "f16": lt.F16, "bf16": lt.BF16, "f64": lt.F64, "i32": lt.I32, "i64": lt.I64, "u8": lt.U8, "bool": lt.Bool}

// mix is the finaliser of SplitMix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// words returns n words of the stream of input k of a case.
func words(number, k, n int) []uint64 {
	start := mix(uint64(64*number + k + 1))
	z := make([]uint64, n)
	for i := range z {
		z[i] = mix(start + uint64(i+1)*golden)
	}
	return z
}

// baseShape is the shape of the tensor that the input is a view of.
func (in *Input) baseShape() ir.Shape {
	s := slices.Clone(ir.Shape(in.Shape))
	switch in.Layout {
	case "transposed":
		slices.Reverse(s)
	case "sliced":
		for i := range s {
			s[i] = 2*s[i] + 1
		}
	case "expanded":
		s[0] = 1
	}
	return s
}

// numbers returns the elements of the base, not yet rounded.
func (in *Input) numbers(number, k int) []float64 {
	shape := in.baseShape()
	n := shape.Size()
	if in.Gen == "unique" {
		return in.unique(number, k, shape)
	}
	z := words(number, k, n)
	v := make([]float64, n)
	uniform := func(i int) float64 { return in.Lo + float64((in.Hi-in.Lo)*(float64(z[i]>>11)*0x1p-53)) }
	integer := func(i int) float64 { return in.Lo + float64(z[i]>>11%uint64(in.Hi-in.Lo)) }
	element := map[string]func(i int) float64{
		"uniform": uniform,
		"away": func(i int) float64 {
			if z[i]&1 == 1 {
				return -uniform(i)
			}
			return uniform(i)
		},
		"int": integer,
		"negint": func(i int) float64 {
			if z[i]&1 == 1 {
				return integer(i) - float64(in.Limit)
			}
			return integer(i)
		},
		"bool": func(i int) float64 {
			p := 0.5
			if in.P != nil {
				p = *in.P
			}
			if float64(z[i]>>11)*0x1p-53 < p {
				return 1
			}
			return 0
		},
		"special": func(i int) float64 { return special[z[i]>>11%uint64(len(special))] },
		"const":   func(int) float64 { return in.Value },
		"ramp":    func(i int) float64 { return float64(i+1) * in.Value },
	}[in.Gen]
	if in.Gen == "distinct" {
		for rank, i := range ranked(z) {
			v[i] = (float64(rank) - float64(n-1)/2) * in.Step
		}
		return v
	}
	for i := range v {
		v[i] = element(i)
	}
	return v
}

// ranked returns the places of z in ascending order of its words.
func ranked(z []uint64) []int {
	order := make([]int, len(z))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(z[a], z[b]) })
	return order
}

// unique returns numbers below Limit that differ along Axis.
func (in *Input) unique(number, k int, shape ir.Shape) []float64 {
	v := make([]float64, shape.Size())
	inner := ir.Shape(shape[in.Axis+1:]).Size()
	d := shape[in.Axis]
	z := words(number, k, shape.Size()/max(1, d)*in.Limit)
	for line := range shape.Size() / max(1, d) {
		candidates := z[line*in.Limit:][:in.Limit]
		at := line/inner*d*inner + line%inner
		for j, value := range ranked(candidates)[:d] {
			if in.Neg && candidates[j]&1 == 1 {
				value -= in.Limit
			}
			v[at+j*inner] = float64(value)
		}
	}
	return v
}

// base returns the tensor that the input is a view of.
func (in *Input) base(number, k int) *lt.Tensor {
	v := in.numbers(number, k)
	shape := in.baseShape()
	dtype, ok := dtypes[in.DType]
	if !ok {
		panic(fmt.Sprintf("unknown dtype %q", in.DType))
	}
	if dtype == lt.F64 || !dtype.IsFloat() {
		return lt.From(v, dtype).Reshape(shape...).Eval()
	}
	f := make([]float32, len(v))
	for i, x := range v {
		f[i] = float32(x)
	}
	return lt.From(f, dtype).Reshape(shape...).Eval()
}

// view returns the input itself, given its base.
func (in *Input) view(t *lt.Tensor) *lt.Tensor {
	switch in.Layout {
	case "transposed":
		return t.Transpose()
	case "sliced":
		places := make([]any, len(in.Shape))
		for i, d := range in.Shape {
			places[i] = lt.R(1, 2*d+1, 2)
			if i == len(in.Shape)-1 {
				places[i] = lt.R(2*d-1, 0, -2)
			}
		}
		return t.At(places...)
	case "expanded":
		return t.Expand(in.Shape...)
	}
	return t
}
