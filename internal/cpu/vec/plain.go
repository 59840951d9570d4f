package vec

import (
	"unsafe"
)

// This file has the casts and the arithmetic that no assembly does as loops: a function
// called for each element would take several times as long.

type real interface {
	~float32 | ~float64 | ~int32 | ~int64
}

// some returns the elements from i on of an operand whose step is 1, or those of a block of
// equal values, whose step is 0.
func some[T any](p unsafe.Pointer, i, step int) *[lanes]T {
	var v T
	return (*[lanes]T)(unsafe.Add(p, i*step*int(unsafe.Sizeof(v))))
}

func plainAdd[T real](dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[T](dst, i, 1), some[T](a, i, sa), some[T](b, i, sb)
		for k := range d {
			d[k] = x[k] + y[k]
		}
	}
}

func plainSub[T real](dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[T](dst, i, 1), some[T](a, i, sa), some[T](b, i, sb)
		for k := range d {
			d[k] = x[k] - y[k]
		}
	}
}

func plainMul[T real](dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[T](dst, i, 1), some[T](a, i, sa), some[T](b, i, sb)
		for k := range d {
			d[k] = x[k] * y[k]
		}
	}
}

func plainDiv(dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[float64](dst, i, 1), some[float64](a, i, sa), some[float64](b, i, sb)
		for k := range d {
			d[k] = x[k] / y[k]
		}
	}
}

func plainMin[T real](dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[T](dst, i, 1), some[T](a, i, sa), some[T](b, i, sb)
		for k := range d {
			d[k] = min(x[k], y[k])
		}
	}
}

func plainMax[T real](dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[T](dst, i, 1), some[T](a, i, sa), some[T](b, i, sb)
		for k := range d {
			d[k] = max(x[k], y[k])
		}
	}
}

func plainLt[T real](dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[int32](dst, i, 1), some[T](a, i, sa), some[T](b, i, sb)
		for k := range d {
			d[k] = mask(x[k] < y[k])
		}
	}
}

func plainLe[T real](dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[int32](dst, i, 1), some[T](a, i, sa), some[T](b, i, sb)
		for k := range d {
			d[k] = mask(x[k] <= y[k])
		}
	}
}

func plainEq[T real](dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[int32](dst, i, 1), some[T](a, i, sa), some[T](b, i, sb)
		for k := range d {
			d[k] = mask(x[k] == y[k])
		}
	}
}

func plainNe[T real](dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
	for i := 0; i < n; i += lanes {
		d, x, y := some[int32](dst, i, 1), some[T](a, i, sa), some[T](b, i, sb)
		for k := range d {
			d[k] = mask(x[k] != y[k])
		}
	}
}

// plainSelect takes all elements of 64 bits.
func plainSelect(dst, m, a, b unsafe.Pointer, sm, sa, sb, n int) {
	for i := 0; i < n; i += lanes {
		d, c, x, y := some[uint64](dst, i, 1), some[int32](m, i, sm), some[uint64](a, i, sa), some[uint64](b, i, sb)
		for k := range d {
			d[k] = y[k] ^ (x[k]^y[k])&uint64(int64(c[k]>>31)) // masks are random: no branch
		}
	}
}

// once runs a cast of one element for operands that repeat it, and tells if it did.
func once[A, R any](dst, a unsafe.Pointer, step, n int, cast micro) bool {
	if step != 0 || n <= 1 {
		return false
	}
	cast(dst, a, nil, nil, 1, 0, 0, 1)
	d := unsafe.Slice((*R)(dst), n)
	for i := range d {
		d[i] = d[0]
	}
	return true
}

// convert casts as Go does, which rounds to nearest.
func convert[A, R real](dst, a, _, _ unsafe.Pointer, sa, _, _, n int) {
	if once[A, R](dst, a, sa, n, convert[A, R]) {
		return
	}
	d := unsafe.Slice((*R)(dst), n)
	for i, v := range unsafe.Slice((*A)(a), n) {
		d[i] = R(v)
	}
}

// truncate casts floats to integers as toInt does.
func truncate[F float, I int32 | int64](dst, a, _, _ unsafe.Pointer, sa, _, _, n int) {
	if once[F, I](dst, a, sa, n, truncate[F, I]) {
		return
	}
	limit := F(0x1p31)
	if unsafe.Sizeof(I(0)) == 8 {
		limit = 0x1p63
	}
	d := unsafe.Slice((*I)(dst), n)
	for i, v := range unsafe.Slice((*F)(a), n) {
		if v >= -limit && v < limit {
			d[i] = I(v)
		} else {
			d[i] = toInt[I](v)
		}
	}
}

// truth casts to Bool: the sign of -|v| where that is a number of 32 or 64 bits.
func truth[A int32 | int64](dst, a, _, _ unsafe.Pointer, sa, _, _, n int) {
	if once[A, int32](dst, a, sa, n, truth[A]) {
		return
	}
	d := unsafe.Slice((*int32)(dst), n)
	for i, v := range unsafe.Slice((*A)(a), n) {
		d[i] = int32((v | -v) >> (8*unsafe.Sizeof(v) - 1))
	}
}

// floatTruth is truth for the bits of floats, whose zeros have either sign.
func floatTruth[A int32 | int64](dst, a, _, _ unsafe.Pointer, sa, _, _, n int) {
	if once[A, int32](dst, a, sa, n, floatTruth[A]) {
		return
	}
	d := unsafe.Slice((*int32)(dst), n)
	for i, v := range unsafe.Slice((*A)(a), n) {
		v <<= 1
		d[i] = int32((v | -v) >> (8*unsafe.Sizeof(v) - 1))
	}
}

// number casts from Bool.
func number[R real](dst, a, _, _ unsafe.Pointer, sa, _, _, n int) {
	if once[int32, R](dst, a, sa, n, number[R]) {
		return
	}
	d := unsafe.Slice((*R)(dst), n)
	for i, v := range unsafe.Slice((*int32)(a), n) {
		d[i] = R(-v)
	}
}

// casts convert between register types; missing ones go by way of F64 or are no work.
var casts = map[[2]Type]func() micro{
	{F32, I32}:  func() micro { return active[kFloatToInt] },
	{I32, F32}:  func() micro { return active[kIntToFloat] },
	{F32, F64}:  goMicro(convert[float32, float64]),
	{F64, F32}:  goMicro(convert[float64, float32]),
	{F32, I64}:  goMicro(truncate[float32, int64]),
	{F64, I32}:  goMicro(truncate[float64, int32]),
	{F64, I64}:  goMicro(truncate[float64, int64]),
	{I32, F64}:  goMicro(convert[int32, float64]),
	{I64, F64}:  goMicro(convert[int64, float64]),
	{I64, F32}:  goMicro(convert[int64, float32]),
	{I32, I64}:  goMicro(convert[int32, int64]),
	{I64, I32}:  goMicro(convert[int64, int32]),
	{Bool, F32}: goMicro(number[float32]),
	{Bool, F64}: goMicro(number[float64]),
	{Bool, I32}: goMicro(number[int32]),
	{Bool, I64}: goMicro(number[int64]),
	{F32, Bool}: goMicro(floatTruth[int32]),
	{F64, Bool}: goMicro(floatTruth[int64]),
	{I32, Bool}: goMicro(truth[int32]),
	{I64, Bool}: goMicro(truth[int64]),
}

func goMicro(m micro) func() micro { return func() micro { return m } }

// Cast converts n elements between F32, F64, I32 and I64, which may not be the same;
// floats become integers towards zero, saturated, NaN 0. dst may be src where elements
// are as wide.
func Cast(dst unsafe.Pointer, to Type, src unsafe.Pointer, from Type, n int) {
	m := casts[[2]Type{from, to}]()
	whole := n - n%lanes
	if whole > 0 {
		m(dst, src, nil, nil, 1, 0, 0, whole)
	}
	if whole == n {
		return
	}
	t := scraps.Get().(*scrap)
	in, out := unsafe.Pointer(&t.tail[0]), unsafe.Pointer(&t.tail[2]) // two rows of 4 bytes are one of 8
	copy(unsafe.Slice((*byte)(in), lanes*8), unsafe.Slice((*byte)(unsafe.Add(src, whole*from.Size())), (n-whole)*from.Size()))
	m(out, in, nil, nil, 1, 0, 0, lanes)
	copy(unsafe.Slice((*byte)(unsafe.Add(dst, whole*to.Size())), (n-whole)*to.Size()), unsafe.Slice((*byte)(out), lanes*8))
	scraps.Put(t)
}
