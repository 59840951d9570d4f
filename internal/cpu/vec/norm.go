package vec

import (
	"math"
	"unsafe"
)

// outOr returns out's address, or that of n numbers of scrap if out is nil.
func (s *scrap) outOr(out []float32, n int) unsafe.Pointer {
	if out == nil {
		out = s.numbers(n)
	}
	return unsafe.Pointer(&out[0])
}

// RMSNorm sets each row of dst to x / √(mean(x²) + eps) · gain, plus the row of
// residual if its Data is not nil. gain has n elements. If inverse is not nil, it
// gets 1/√(…) of each row, which the backward pass needs. dst may be x or residual.
func RMSNorm(dst, x Rows, gain []float32, residual Rows, inverse []float32, eps float32, rows, n int) {
	if rows == 0 || n == 0 {
		return
	}
	if n > longRow {
		for i := range rows {
			k := rmsLong(rowAt(x, i, n), eps)
			if inverse != nil {
				inverse[i] = k
			}
			d, s := rowAt(dst, i, n), rowAt(x, i, n)
			blocks(n, func(a, b int) {
				if residual.Data == nil {
					BinaryScalar(Mul, d[a:b], s[a:b], k)
					Binary(Mul, d[a:b], d[a:b], gain[a:b])
					return
				}
				t := scraps.Get().(*scrap)
				h := t.numbers(blockElements)[:b-a] // dst may be residual
				BinaryScalar(Mul, h, s[a:b], k)
				Ternary(MulAdd, d[a:b], h, gain[a:b], rowAt(residual, i, n)[a:b])
				scraps.Put(t)
			})
		}
		return
	}
	scratch := scraps.Get().(*scrap)
	defer scraps.Put(scratch)
	r := rowArgs{dst: dst.Data, x: x.Data, a: unsafe.Pointer(&gain[0]), ldd: dst.bytes(), ldx: x.bytes(), rows: rows, n: n, out: scratch.outOr(inverse, rows)}
	r.s[0], r.s[1] = 1/float32(n), eps
	k := kRMSNormRows
	if residual.Data != nil {
		k, r.b, r.ldb = kRMSNormResidualRows, residual.Data, residual.bytes()
	}
	call(k, r)
}

func rmsLong(x []float32, eps float32) float32 {
	return float32(1 / math.Sqrt(one(kSumSquaresRows, x, 0)/float64(len(x))+float64(eps)))
}

// AddRMSNorm sets the rows of sum to x + y and those of dst to RMSNorm(sum) · gain,
// as between the layers of a transformer. sum may be x or y.
func AddRMSNorm(dst, sum, x, y Rows, gain, inverse []float32, eps float32, rows, n int) {
	if rows == 0 || n == 0 {
		return
	}
	if n > longRow {
		for i := range rows {
			blocks(n, func(a, b int) {
				Binary(Add, rowAt(sum, i, n)[a:b], rowAt(x, i, n)[a:b], rowAt(y, i, n)[a:b])
			})
		}
		RMSNorm(dst, sum, gain, Rows{}, inverse, eps, rows, n)
		return
	}
	scratch := scraps.Get().(*scrap)
	defer scraps.Put(scratch)
	r := rowArgs{dst: dst.Data, x: x.Data, a: unsafe.Pointer(&gain[0]), b: y.Data, c: sum.Data, ldd: dst.bytes(), ldx: x.bytes(), ldb: y.bytes(), ldc: sum.bytes(),
		rows: rows, n: n, out: scratch.outOr(inverse, rows)}
	r.s[0], r.s[1] = 1/float32(n), eps
	call(kAddRMSNormRows, r)
}

// LayerNorm sets each row of dst to (x - mean) / √(variance + eps) · gain + bias.
// stats, if not nil, gets mean and 1/√(…) of each row, two numbers a row. dst may be x.
func LayerNorm(dst, x Rows, gain, bias, stats []float32, eps float32, rows, n int) {
	if rows == 0 || n == 0 {
		return
	}
	if n <= longRow {
		scratch := scraps.Get().(*scrap)
		defer scraps.Put(scratch)
		r := rowArgs{dst: dst.Data, x: x.Data, a: unsafe.Pointer(&gain[0]), c: unsafe.Pointer(&bias[0]), ldd: dst.bytes(), ldx: x.bytes(), rows: rows, n: n,
			out: scratch.outOr(stats, 2*rows)}
		r.s[0], r.s[1] = 1/float32(n), eps
		call(kLayerNormRows, r)
		return
	}
	for i := range rows {
		d, s := rowAt(dst, i, n), rowAt(x, i, n)
		mean := float32(one(kSumRows, s, 0) / float64(n))
		k := float32(1 / math.Sqrt(one(kCenteredSquaresRows, s, mean)/float64(n)+float64(eps)))
		if stats != nil {
			stats[2*i], stats[2*i+1] = mean, k
		}
		blocks(n, func(a, b int) {
			BinaryScalar(Sub, d[a:b], s[a:b], mean)
			BinaryScalar(Mul, d[a:b], d[a:b], k)
			Ternary(MulAdd, d[a:b], d[a:b], gain[a:b], bias[a:b])
		})
	}
}
