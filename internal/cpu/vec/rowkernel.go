package vec

import (
	"math"
	"unsafe"

	"loris/internal/cpu/feature"
)

// rowArgs is the argument of a row kernel. The assembly knows this layout. Rows of
// dst, x, b and c advance by their strides, in bytes; a is the same for all rows.
type rowArgs struct {
	dst, x, a, b, c, out unsafe.Pointer
	ldd, ldx, ldb, ldc   uintptr
	rows, n              int
	s                    [8]float32
}

type rowMicro = func(r *rowArgs)

// rowsFor returns the row kernels of a level; where assembly is missing, their twins.
func rowsFor(l feature.Level) *[rowKernelCount]rowMicro {
	s := rowMicros[l]
	for i := range s {
		if s[i] == nil {
			s[i] = rowTwins[i]
		}
	}
	return &s
}

func row(p unsafe.Pointer, ld uintptr, i, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(p, uintptr(i)*ld)), n)
}

// eachRow makes a twin of a function of one row.
func eachRow(outs int, f func(r *rowArgs, dst, x, b, c, out []float32)) rowMicro {
	return func(r *rowArgs) {
		for i := range r.rows {
			var dst, x, b, c, out []float32
			if r.dst != nil {
				dst = row(r.dst, r.ldd, i, r.n)
			}
			if r.x != nil {
				x = row(r.x, r.ldx, i, r.n)
			}
			if r.b != nil {
				b = row(r.b, r.ldb, i, r.n)
			}
			if r.c != nil {
				c = row(r.c, r.ldc, i, r.n)
			}
			if outs > 0 {
				out = row(r.out, uintptr(4*outs), i, outs)
			}
			f(r, dst, x, b, c, out)
		}
	}
}

func foldRow(init float64, f func(acc float64, x float32) float64) rowMicro {
	return eachRow(1, func(_ *rowArgs, _, x, _, _, out []float32) {
		acc := init
		for _, v := range x {
			acc = f(acc, v)
		}
		out[0] = float32(acc)
	})
}

func foldColumns(f func(x, y float32) float32) rowMicro {
	return eachRow(0, func(_ *rowArgs, dst, x, b, c, _ []float32) {
		for i := range dst {
			dst[i] = f(dst[i], f(f(x[i], b[i]), c[i]))
		}
	})
}

// expSum returns the largest of x and Σ exp(x - largest).
func expSum(x []float32) (top float32, sum float64) {
	top = float32(math.Inf(-1))
	for _, v := range x {
		top = max(top, v)
	}
	for _, v := range x {
		sum += math.Exp(float64(v - top))
	}
	return top, sum
}

func softmaxRow(dst, x []float32, scale float32) (top float32, sum float64) {
	top, sum = expSum(x)
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v-top)) / sum * float64(scale))
	}
	return top, sum
}

func inverseRMS(r *rowArgs, x []float32) float32 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return float32(1 / math.Sqrt(sum*float64(r.s[0])+float64(r.s[1])))
}

// rowTwins are the plain Go forms of the row kernels.
var rowTwins = [rowKernelCount]rowMicro{
	kAddColumns:     foldColumns(func(x, y float32) float32 { return x + y }),
	kMaxColumns:     foldColumns(func(x, y float32) float32 { return float32(larger(float64(x), float64(y))) }),
	kMinColumns:     foldColumns(func(x, y float32) float32 { return float32(smaller(float64(x), float64(y))) }),
	kSumRows:        foldRow(0, func(acc float64, x float32) float64 { return acc + float64(x) }),
	kSumSquaresRows: foldRow(0, func(acc float64, x float32) float64 { return acc + float64(x)*float64(x) }),
	kProdRows:       foldRow(1, func(acc float64, x float32) float64 { return float64(float32(acc) * x) }),
	kMaxRows:        foldRow(math.Inf(-1), func(acc float64, x float32) float64 { return larger(acc, float64(x)) }),
	kMinRows:        foldRow(math.Inf(1), func(acc float64, x float32) float64 { return smaller(acc, float64(x)) }),
	kSumIntsRows: eachRow(2, func(_ *rowArgs, _, x, _, _, out []float32) {
		lower, upper := int32(0), int32(0)
		for _, v := range x {
			b := int32(math.Float32bits(v))
			lower += b & 0xffff
			upper += b >> 16
		}
		out[0], out[1] = math.Float32frombits(uint32(lower)), math.Float32frombits(uint32(upper))
	}),
	kDotRows: eachRow(1, func(_ *rowArgs, _, x, b, _, out []float32) {
		sum := 0.0
		for i, v := range x {
			sum += float64(v) * float64(b[i])
		}
		out[0] = float32(sum)
	}),
	kCenteredSquaresRows: eachRow(1, func(r *rowArgs, _, x, _, _, out []float32) {
		sum := 0.0
		for _, v := range x {
			d := float64(v) - float64(r.s[0])
			sum += d * d
		}
		out[0] = float32(sum)
	}),
	kSoftmaxRows: eachRow(0, func(r *rowArgs, dst, x, _, _, _ []float32) { softmaxRow(dst, x, r.s[0]) }),
	kLogSoftmaxRows: eachRow(0, func(_ *rowArgs, dst, x, _, _, _ []float32) {
		top, sum := expSum(x)
		l := math.Log(sum)
		for i, v := range x {
			dst[i] = float32(float64(v) - float64(top) - l)
		}
	}),
	kLogSumExpRows: eachRow(1, func(_ *rowArgs, _, x, _, _, out []float32) {
		top, sum := expSum(x)
		out[0] = float32(float64(top) + math.Log(sum))
	}),
	kCrossEntropyRows: eachRow(1, func(r *rowArgs, dst, x, _, _, out []float32) {
		top, sum := softmaxRow(dst, x, r.s[0])
		out[0] = float32(float64(top) + math.Log(sum))
	}),
	kRMSNormRows: eachRow(1, func(r *rowArgs, dst, x, _, _, out []float32) {
		k, a := inverseRMS(r, x), row(r.a, 0, 0, r.n)
		out[0] = k
		for i, v := range x {
			dst[i] = v * k * a[i]
		}
	}),
	kRMSNormResidualRows: eachRow(1, func(r *rowArgs, dst, x, b, _, out []float32) {
		k, a := inverseRMS(r, x), row(r.a, 0, 0, r.n)
		out[0] = k
		for i, v := range x {
			dst[i] = v*k*a[i] + b[i]
		}
	}),
	kAddRMSNormRows: eachRow(1, func(r *rowArgs, dst, x, b, c, out []float32) {
		for i, v := range x {
			c[i] = v + b[i]
		}
		k, a := inverseRMS(r, c), row(r.a, 0, 0, r.n)
		out[0] = k
		for i, v := range c {
			dst[i] = v * k * a[i]
		}
	}),
	kLayerNormRows: eachRow(2, func(r *rowArgs, dst, x, _, c, out []float32) {
		mean, squares := 0.0, 0.0
		for _, v := range x {
			mean += float64(v)
		}
		mean *= float64(r.s[0])
		for _, v := range x {
			squares += (float64(v) - mean) * (float64(v) - mean)
		}
		k, a := 1/math.Sqrt(squares*float64(r.s[0])+float64(r.s[1])), row(r.a, 0, 0, r.n)
		out[0], out[1] = float32(mean), float32(k)
		for i, v := range x {
			dst[i] = float32((float64(v)-mean)*k)*a[i] + c[i]
		}
	}),
	kThreefryRows: threefryTwin,
	kAdamWRows: eachRow(0, func(r *rowArgs, w, g, m, v, _ []float32) {
		k, old := &r.s, row(r.a, 0, 0, r.n)
		for i, x := range g {
			m[i] = m[i]*k[0] + x*k[1]
			v[i] = v[i]*k[2] + x*x*k[3]
			w[i] = old[i]*k[4] - m[i]*k[5]/(float32(math.Sqrt(float64(v[i])))*k[6]+k[7])
		}
	}),
}
