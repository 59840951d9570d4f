package vec

import (
	"math"
	"unsafe"
)

// longRow is the length from which rows go block by block.
const longRow = callElements

// Softmax sets each row of dst to exp(x - max) / Σ exp(x - max). dst may be x.
func Softmax(dst, x Rows, rows, n int) {
	if n > longRow {
		for i := range rows {
			softmaxLong(rowAt(dst, i, n), rowAt(x, i, n), 1)
		}
		return
	}
	r := rowArgs{dst: dst.Data, x: x.Data, ldd: dst.bytes(), ldx: x.bytes(), rows: rows, n: n}
	r.s[0] = 1
	call(kSoftmaxRows, r)
}

func rowAt(x Rows, i, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(x.Data, 4*i*x.Stride)), n)
}

// softmaxLong scales the softmax of a long row and returns log Σ exp.
func softmaxLong(dst, x []float32, scale float32) float32 {
	top, sum := expLong(dst, x)
	blocks(len(x), func(i, j int) { BinaryScalar(Mul, dst[i:j], dst[i:j], float32(float64(scale)/sum)) })
	return float32(float64(top) + math.Log(sum))
}

// expLong sets dst to exp(x - max), or, if dst is nil, only sums.
func expLong(dst, x []float32) (top float32, sum float64) {
	s := scraps.Get().(*scrap)
	defer scraps.Put(s)
	buf := s.numbers(blockElements)
	Max(buf[:1], RowsOf(x, len(x)), 1, len(x))
	top = buf[0]
	blocks(len(x), func(i, j int) {
		e := buf
		if dst != nil {
			e = dst[i:j]
		}
		e = e[:j-i]
		BinaryScalar(ExpSub, e, x[i:j], top)
		sum += one(kSumRows, e, 0)
	})
	return top, sum
}

func blocks(n int, f func(i, j int)) {
	for i := 0; i < n; i += blockElements {
		f(i, min(n, i+blockElements))
	}
}

// LogSoftmax sets each row of dst to x - max - log Σ exp(x - max). dst may be x.
func LogSoftmax(dst, x Rows, rows, n int) {
	if n > longRow {
		for i := range rows {
			d, s := rowAt(dst, i, n), rowAt(x, i, n)
			top, sum := expLong(nil, s)
			blocks(n, func(i, j int) {
				BinaryScalar(Sub, d[i:j], s[i:j], top)
				BinaryScalar(Sub, d[i:j], d[i:j], float32(math.Log(sum)))
			})
		}
		return
	}
	r := rowArgs{dst: dst.Data, x: x.Data, ldd: dst.bytes(), ldx: x.bytes(), rows: rows, n: n}
	call(kLogSoftmaxRows, r)
}

// LogSumExp sets out[i] to log Σ exp of row i.
func LogSumExp(out []float32, x Rows, rows, n int) {
	if rows == 0 {
		return
	}
	if n > longRow {
		for i := range rows {
			top, sum := expLong(nil, rowAt(x, i, n))
			out[i] = float32(float64(top) + math.Log(sum))
		}
		return
	}
	r := rowArgs{x: x.Data, ldx: x.bytes(), rows: rows, n: n, out: unsafe.Pointer(&out[0])}
	call(kLogSumExpRows, r)
}

// CrossEntropy sets loss[i] = log Σ exp(x[i]) - x[i][label[i]], and the rows of grad
// to scale·(softmax(x) - onehot(label)), the gradient of scale·Σ loss. grad may be x;
// if its Data is nil only the loss is computed. Rows whose label equals ignore have
// loss and gradient 0. Labels must lie in [0, n).
func CrossEntropy(loss []float32, grad, x Rows, label []int64, ignore int64, scale float32, rows, n int) {
	for i := range rows {
		if label[i] == ignore {
			loss[i] = 0
			if grad.Data != nil {
				clear(rowAt(grad, i, n))
			}
			continue
		}
		s := rowAt(x, i, n)
		at := s[label[i]]
		if grad.Data == nil {
			LogSumExp(loss[i:i+1], RowsOf(s, n), 1, n)
			loss[i] -= at
			continue
		}
		d := rowAt(grad, i, n)
		if n > longRow {
			loss[i] = softmaxLong(d, s, scale) - at
		} else {
			r := rowArgs{dst: unsafe.Pointer(&d[0]), x: unsafe.Pointer(&s[0]), rows: 1, n: n, out: unsafe.Pointer(&loss[i])}
			r.s[0] = scale
			call(kCrossEntropyRows, r)
			loss[i] -= at
		}
		d[label[i]] -= scale
	}
}
