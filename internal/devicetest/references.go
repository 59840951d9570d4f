package devicetest

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"

	"loris/internal/ir"
	"loris/internal/op"
)

// references holds the ops that are not elementwise.
var references map[ir.Op]func(n *ir.Node, in []*Array) (*Array, error)

func init() {
	same := func(n *ir.Node, in []*Array) (*Array, error) { return in[0], nil }
	reshape := func(n *ir.Node, in []*Array) (*Array, error) { return &Array{n.Shape, in[0].Data}, nil }
	references = map[ir.Op]func(n *ir.Node, in []*Array) (*Array, error){
		op.Const: func(n *ir.Node, _ []*Array) (*Array, error) {
			out := NewArray(n.Shape)
			for i := range out.Data {
				out.Data[i] = n.Const
			}
			return out, nil
		},
		op.Iota: func(n *ir.Node, _ []*Array) (*Array, error) {
			a, out := n.Attrs.(op.Range), NewArray(n.Shape)
			walk(n.Shape, func(i int, at []int) { out.Data[i] = castTo(a.Start+float64(at[a.Axis])*a.Step, n.DType) })
			return out, nil
		},
		op.Random:             random,
		op.Reshape:            reshape,
		op.Transpose:          transpose,
		op.Expand:             func(n *ir.Node, in []*Array) (*Array, error) { return in[0].broadcast(n.Shape), nil },
		op.Slice:              slice,
		op.Barrier:            same,
		op.Region:             same,
		op.CustomVJP:          same,
		op.Cast:               cast,
		op.Pad:                pad,
		op.Concat:             concat,
		op.Sum:                reduction(0, func(acc, x float64) float64 { return acc + x }),
		op.Prod:               reduction(1, func(acc, x float64) float64 { return acc * x }),
		op.Max:                reduction(math.Inf(-1), larger),
		op.Min:                reduction(math.Inf(1), smaller),
		op.Any:                reduction(0, func(acc, x float64) float64 { return truth(acc != 0 || x != 0) }),
		op.All:                reduction(1, func(acc, x float64) float64 { return truth(acc != 0 && x != 0) }),
		op.ArgMax:             arg(func(x, best float64) bool { return x > best }),
		op.ArgMin:             arg(func(x, best float64) bool { return x < best }),
		op.CumSum:             cumsum,
		op.Sort:               sorting,
		op.TopK:               topK,
		op.MatMul:             matmul,
		op.Conv2d:             conv2d,
		op.Conv2dInputGrad:    conv2dInputGrad,
		op.Conv2dWeightGrad:   conv2dWeightGrad,
		op.Attention:          attention,
		op.AttentionGrad:      attentionGrad,
		op.Take:               take,
		op.TakeAlong:          takeAlong,
		op.Scatter:            scatter,
		op.UpdateSlice:        updateSlice,
		op.DynamicSlice:       dynamicSlice,
		op.DynamicUpdateSlice: dynamicUpdateSlice,
		op.Softmax:            softmax,
		op.LogSoftmax:         logSoftmax,
		op.RMSNorm:            norm(false),
		op.LayerNorm:          norm(true),
		op.RoPE:               rope,
		op.CrossEntropy:       crossEntropy,
		op.CrossEntropyGrad:   crossEntropyGrad,
		op.QR:                 qr,
		op.SVD:                svd,
		op.Solve:              solve,
		op.Quantize:           quantize,
		op.Dequantize:         same,
		op.QMatMul:            qmatmul,
		op.AdamW:              adamW,
		op.Custom:             custom,
	}
}

// castTo converts as op.Cast documents.
func castTo(v float64, dtype ir.DType) float64 {
	switch {
	case dtype.IsFloat():
		return dtype.Round(v)
	case dtype == ir.Bool:
		return truth(v != 0)
	case v != v:
		return 0
	}
	v = math.Trunc(v)
	switch dtype {
	case ir.I32:
		return max(math.MinInt32, min(math.MaxInt32, v))
	case ir.U8:
		return max(0, min(255, v))
	}
	return max(math.MinInt64, min(math.MaxInt64, v))
}

// cast truncates and saturates floats; between integers it wraps.
func cast(n *ir.Node, in []*Array) (*Array, error) {
	out := NewArray(n.Shape)
	from := n.Inputs()[0].DType
	for i, v := range in[0].Data {
		if !from.IsFloat() && !n.DType.IsFloat() && n.DType != ir.Bool {
			out.Data[i] = wrap(v, n.DType)
		} else {
			out.Data[i] = castTo(v, n.DType)
		}
	}
	return out, nil
}

// threefry is Threefry-2x32 with 20 rounds (Salmon et al. 2011).
func threefry(key [2]uint32, c0, c1 uint32) (uint32, uint32) {
	rotations := [8]int{13, 15, 26, 6, 17, 29, 16, 24}
	ks := [3]uint32{key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA}
	x0, x1 := c0+ks[0], c1+ks[1]
	for round := range 20 {
		x0 += x1
		x1 = bits.RotateLeft32(x1, rotations[round%8]) ^ x0
		if round%4 == 3 {
			s := round/4 + 1
			x0 += ks[s%3]
			x1 += ks[(s+1)%3] + uint32(s)
		}
	}
	return x0, x1
}

func random(n *ir.Node, _ []*Array) (*Array, error) {
	a, out := n.Attrs.(op.Draw), NewArray(n.Shape)
	for i := range out.Data {
		block := a.Counter + uint64(i)
		if a.Dist == op.RandintDist || a.DType == ir.F64 {
			w0, w1 := threefry(a.Key, uint32(block), uint32(block>>32))
			w := uint64(w0)<<32 | uint64(w1)
			switch a.Dist {
			case op.RandintDist:
				hi, _ := bits.Mul64(w, uint64(a.Hi-a.Lo))
				out.Data[i] = castTo(float64(a.Lo+int64(hi)), n.DType)
			case op.UniformDist:
				out.Data[i] = float64(w>>11) * 0x1p-53
			case op.NormalDist:
				out.Data[i] = math.Sqrt2 * math.Erfinv(2*(float64(w>>11)+0.5)*0x1p-53-1)
			}
			continue
		}
		block = a.Counter + uint64(i/2)
		w0, w1 := threefry(a.Key, uint32(block), uint32(block>>32))
		if i%2 == 1 {
			w0 = w1
		}
		if a.Dist == op.UniformDist {
			out.Data[i] = n.DType.Round(float64(w0>>8) * 0x1p-24)
		} else {
			out.Data[i] = math.Sqrt2 * math.Erfinv(2*(float64(w0>>8)+0.5)*0x1p-24-1)
		}
	}
	return out, nil
}

func transpose(n *ir.Node, in []*Array) (*Array, error) {
	axes, st, out := n.Attrs.(op.Perm).Axes, in[0].Shape.Strides(), NewArray(n.Shape)
	steps := make([]int, len(axes))
	for i, a := range axes {
		steps[i] = st[a]
	}
	walk(n.Shape, func(i int, at []int) { out.Data[i] = in[0].Data[dot(at, steps)] })
	return out, nil
}

func slice(n *ir.Node, in []*Array) (*Array, error) {
	w, st, out := n.Attrs.(op.Window), in[0].Shape.Strides(), NewArray(n.Shape)
	walk(n.Shape, func(i int, at []int) {
		k := 0
		for a, p := range at {
			k += (w.Start[a] + p*w.Step[a]) * st[a]
		}
		out.Data[i] = in[0].Data[k]
	})
	return out, nil
}

func updateSlice(n *ir.Node, in []*Array) (*Array, error) {
	w, st := n.Attrs.(op.Window), n.Shape.Strides()
	out := &Array{n.Shape, slices.Clone(in[0].Data)}
	walk(in[1].Shape, func(i int, at []int) {
		k := 0
		for a, p := range at {
			k += (w.Start[a] + p*w.Step[a]) * st[a]
		}
		out.Data[k] = in[1].Data[i]
	})
	return out, nil
}

func pad(n *ir.Node, in []*Array) (*Array, error) {
	m, st, out := n.Attrs.(op.Margins), n.Shape.Strides(), NewArray(n.Shape)
	for i := range out.Data {
		out.Data[i] = castTo(m.Value, n.DType)
	}
	walk(in[0].Shape, func(i int, at []int) { out.Data[dot(at, st)+dot(m.Before, st)] = in[0].Data[i] })
	return out, nil
}

func concat(n *ir.Node, in []*Array) (*Array, error) {
	axis, st, out := n.Attrs.(op.Axis).Axis, n.Shape.Strides(), NewArray(n.Shape)
	offset := 0
	for _, x := range in {
		walk(x.Shape, func(i int, at []int) { out.Data[dot(at, st)+offset] = x.Data[i] })
		offset += x.Shape[axis] * st[axis]
	}
	return out, nil
}

// reduction folds elements in order.
func reduction(start float64, f func(acc, x float64) float64) func(n *ir.Node, in []*Array) (*Array, error) {
	return func(n *ir.Node, in []*Array) (*Array, error) {
		a, out := n.Attrs.(op.Reduce), NewArray(n.Shape)
		for i := range out.Data {
			out.Data[i] = start
		}
		kept := slices.Clone(in[0].Shape)
		for _, x := range a.Axes {
			kept[x] = 1
		}
		st := kept.Strides()
		for _, x := range a.Axes {
			st[x] = 0
		}
		walk(in[0].Shape, func(i int, at []int) {
			k := dot(at, st)
			out.Data[k] = f(out.Data[k], in[0].Data[i])
		})
		return out, nil
	}
}

// lines calls f with the places of each line along axis.
func lines(shape ir.Shape, axis int, f func(places []int)) {
	st := shape.Strides()
	outer := slices.Clone(shape)
	outer[axis] = 1
	places := make([]int, shape[axis])
	walk(outer, func(_ int, at []int) {
		for j := range places {
			places[j] = dot(at, st) + j*st[axis]
		}
		f(places)
	})
}

func arg(better func(x, best float64) bool) func(n *ir.Node, in []*Array) (*Array, error) {
	return func(n *ir.Node, in []*Array) (*Array, error) {
		out := NewArray(n.Shape)
		k := 0
		lines(in[0].Shape, n.Attrs.(op.Reduce).Axes[0], func(p []int) {
			best := 0
			for j := range p {
				x, b := in[0].Data[p[j]], in[0].Data[p[best]]
				if b == b && (x != x || better(x, b)) {
					best = j
				}
			}
			out.Data[k] = float64(best)
			k++
		})
		return out, nil
	}
}

func cumsum(n *ir.Node, in []*Array) (*Array, error) {
	a, out := n.Attrs.(op.Scan), NewArray(n.Shape)
	lines(n.Shape, a.Axis, func(p []int) {
		sum := 0.0
		for j := range p {
			q := p[j]
			if a.Reverse {
				q = p[len(p)-1-j]
			}
			sum += in[0].Data[q]
			out.Data[q] = wrap(sum, n.DType)
		}
	})
	return out, nil
}

// ranked returns the indices of v in order, stable, NaN last.
func ranked(v []float64, descending bool) []int {
	idx := make([]int, len(v))
	for i := range idx {
		idx[i] = i
	}
	sort.SliceStable(idx, func(i, j int) bool {
		a, b := v[idx[i]], v[idx[j]]
		if a != a || b != b {
			return a == a
		}
		if descending {
			return a > b
		}
		return a < b
	})
	return idx
}

func pickRanked(n *ir.Node, x *Array, axis, k int, descending bool) (*Array, error) {
	out := NewArray(n.Shape)
	st := n.Shape.Strides()
	outer := slices.Clone(n.Shape)
	outer[axis] = 1
	var starts []int
	walk(outer, func(_ int, at []int) { starts = append(starts, dot(at, st)) })
	line := 0
	lines(x.Shape, axis, func(p []int) {
		v := make([]float64, len(p))
		for j, q := range p {
			v[j] = x.Data[q]
		}
		for j, r := range ranked(v, descending)[:k] {
			value := v[r]
			if n.Output == 1 {
				value = float64(r)
			}
			out.Data[starts[line]+j*st[axis]] = value
		}
		line++
	})
	return out, nil
}

func sorting(n *ir.Node, in []*Array) (*Array, error) {
	a := n.Attrs.(op.Order)
	return pickRanked(n, in[0], a.Axis, n.Shape[a.Axis], a.Descending)
}

func topK(n *ir.Node, in []*Array) (*Array, error) {
	a := n.Attrs.(op.Top)
	if a.K == 0 {
		return NewArray(n.Shape), nil
	}
	return pickRanked(n, in[0], a.Axis, a.K, !a.Smallest)
}

// place resolves an index that may count from the end.
func place(v float64, size int) (int, error) {
	i := int(v)
	if i < 0 {
		i += size
	}
	if i < 0 || i >= size {
		return 0, fmt.Errorf("index %v is out of range for an axis of %d", v, size)
	}
	return i, nil
}

func take(n *ir.Node, in []*Array) (*Array, error) {
	axis, out := n.Attrs.(op.Axis).Axis, NewArray(n.Shape)
	x, idx := in[0], in[1]
	inner := ir.Shape(x.Shape[axis+1:]).Size()
	outer := ir.Shape(x.Shape[:axis]).Size()
	for o := range outer {
		for i, v := range idx.Data {
			k, err := place(v, x.Shape[axis])
			if err != nil {
				return nil, err
			}
			copy(out.Data[(o*len(idx.Data)+i)*inner:][:inner], x.Data[(o*x.Shape[axis]+k)*inner:][:inner])
		}
	}
	return out, nil
}

func takeAlong(n *ir.Node, in []*Array) (*Array, error) {
	axis, out, st := n.Attrs.(op.Axis).Axis, NewArray(n.Shape), in[0].Shape.Strides()
	var failed error
	walk(n.Shape, func(i int, at []int) {
		k, err := place(in[1].Data[i], in[0].Shape[axis])
		if err != nil {
			failed = err
			return
		}
		out.Data[i] = in[0].Data[dot(at, st)+(k-at[axis])*st[axis]]
	})
	return out, failed
}

func scatter(n *ir.Node, in []*Array) (*Array, error) {
	a := n.Attrs.(op.Scattering)
	out := &Array{n.Shape, slices.Clone(in[0].Data)}
	idx, update, st := in[1], in[2], n.Shape.Strides()
	put := func(k int, v float64) {
		if a.Mode == op.ScatterAdd {
			v = wrap(out.Data[k]+v, n.DType)
		}
		out.Data[k] = v
	}
	var failed error
	walk(update.Shape, func(i int, at []int) {
		j := i
		if !a.Along {
			j = dot(at[a.Axis:a.Axis+len(idx.Shape)], idx.Shape.Strides())
		}
		k, err := place(idx.Data[j], n.Shape[a.Axis])
		if err != nil {
			failed = err
			return
		}
		p := 0
		if a.Along {
			p = dot(at, st) + (k-at[a.Axis])*st[a.Axis]
		} else {
			p = dot(at[:a.Axis], st[:a.Axis]) + k*st[a.Axis] + dot(at[a.Axis+len(idx.Shape):], st[a.Axis+1:])
		}
		put(p, update.Data[i])
	})
	return out, failed
}

// clamped returns the start of a box moved so that it fits.
func clamped(starts *Array, size, shape ir.Shape) []int {
	s := make([]int, len(shape))
	for a := range s {
		s[a] = max(0, min(int(starts.Data[a]), shape[a]-size[a]))
	}
	return s
}

func dynamicSlice(n *ir.Node, in []*Array) (*Array, error) {
	out, st := NewArray(n.Shape), in[0].Shape.Strides()
	start := dot(clamped(in[1], n.Shape, in[0].Shape), st)
	walk(n.Shape, func(i int, at []int) { out.Data[i] = in[0].Data[start+dot(at, st)] })
	return out, nil
}

func dynamicUpdateSlice(n *ir.Node, in []*Array) (*Array, error) {
	out, st := &Array{n.Shape, slices.Clone(in[0].Data)}, n.Shape.Strides()
	start := dot(clamped(in[2], in[1].Shape, n.Shape), st)
	walk(in[1].Shape, func(i int, at []int) { out.Data[start+dot(at, st)] = in[1].Data[i] })
	return out, nil
}
