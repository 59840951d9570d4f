package vec

import (
	"math"
	"unsafe"

	"github.com/x448/float16"

	"loris/internal/cpu/feature"
)

// micro runs one operation over n elements, a multiple of [lanes]. Operand x
// advances from element to element if sx is 1; if it is 0, x points to a block of
// splatBytes bytes of equal values.
type micro = func(dst, a, b, c unsafe.Pointer, sa, sb, sc, n int)

const (
	lanes      = 16  // a multiple of every level's vector
	splatBytes = 256 // what four AVX-512 vectors read
)

// level is the one of the kernels in use, which active and activeRows hold.
var (
	level      = feature.Active()
	active     = kernelsFor(level)
	activeRows = rowsFor(level)
)

// kernelsFor returns the kernels of a level; where assembly is missing, their twins.
func kernelsFor(l feature.Level) *[kernelCount]micro {
	ks := micros[l]
	for i := range ks {
		if ks[i] == nil {
			ks[i] = twins[i]
		}
	}
	ks[kSinSmall] = guarded(ks[kSinSmall], math.Sin)
	ks[kCosSmall] = guarded(ks[kCosSmall], math.Cos)
	return &ks
}

// sinLimit bounds the arguments for which the short argument reduction is exact enough.
const sinLimit = 5e4

// guarded computes large arguments again with the function of package math.
func guarded(m micro, f func(float64) float64) micro {
	const block = 256
	return func(dst, a, b, c unsafe.Pointer, sa, sb, sc, n int) {
		for o := 0; o < n; o += block {
			k := min(block, n-o)
			in := unsafe.Add(a, 4*o*sa)
			out := unsafe.Add(dst, 4*o)
			if !anyAbove(unsafe.Slice((*uint32)(in), max(1, k*sa))) {
				m(out, in, nil, nil, sa, 0, 0, k)
				continue
			}
			t := scraps.Get().(*scrap)
			x := t.numbers(block)[:k] // dst may be a
			for i := range x {
				x[i] = *(*float32)(unsafe.Add(in, 4*i*sa))
			}
			m(out, unsafe.Pointer(&x[0]), nil, nil, 1, 0, 0, k)
			for i, v := range x {
				if v > sinLimit || v < -sinLimit {
					*(*float32)(unsafe.Add(out, 4*i)) = float32(f(float64(v)))
				}
			}
			scraps.Put(t)
		}
	}
}

// anyAbove reports whether the magnitude of a float32 is above sinLimit.
func anyAbove(x []uint32) bool {
	const margin = 0x7fffffff - 0x47435000 // sinLimit's bits: larger ones carry into the sign
	any := uint32(0)
	for _, v := range x {
		any |= v&0x7fffffff + margin
	}
	return int32(any) < 0
}

// each1, each2 and each3 make a micro of a function of one element.
func each1[A, R any](f func(A) R) micro {
	return func(dst, a, _, _ unsafe.Pointer, sa, _, _, n int) {
		d, x := unsafe.Slice((*R)(dst), n), unsafe.Slice((*A)(a), max(1, n*sa))
		for i := range d {
			d[i] = f(x[i*sa])
		}
	}
}

func each2[A, R any](f func(a, b A) R) micro {
	return func(dst, a, b, _ unsafe.Pointer, sa, sb, _, n int) {
		d, x, y := unsafe.Slice((*R)(dst), n), unsafe.Slice((*A)(a), max(1, n*sa)), unsafe.Slice((*A)(b), max(1, n*sb))
		for i := range d {
			d[i] = f(x[i*sa], y[i*sb])
		}
	}
}

func each3[A, B, R any](f func(a A, b, c B) R) micro {
	return func(dst, a, b, c unsafe.Pointer, sa, sb, sc, n int) {
		d, x := unsafe.Slice((*R)(dst), n), unsafe.Slice((*A)(a), max(1, n*sa))
		y, z := unsafe.Slice((*B)(b), max(1, n*sb)), unsafe.Slice((*B)(c), max(1, n*sc))
		for i := range d {
			d[i] = f(x[i*sa], y[i*sb], z[i*sc])
		}
	}
}

// of64 makes a float32 function of a float64 one.
func of64(f func(float64) float64) micro {
	return each1(func(x float32) float32 { return float32(f(float64(x))) })
}

// mask is a truth value in a 32-bit lane.
func mask(b bool) int32 {
	if b {
		return -1
	}
	return 0
}

type float interface{ ~float32 | ~float64 }

func smaller[T float](a, b T) T {
	if a != a || a < b {
		return a
	}
	return b
}

func larger[T float](a, b T) T {
	if a != a || a > b {
		return a
	}
	return b
}

func sign[T float | ~int32 | ~int64](x T) T {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return T(0) - 1
	}
	return x // zeros keep their sign, NaN stays
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// gelu is x·Φ(x).
func gelu(x float64) float64 { return x * .5 * math.Erfc(-x/math.Sqrt2) }

func geluTanh(x float64) float64 {
	return x * sigmoid(2*math.Sqrt2/math.SqrtPi*(x+.044715*x*x*x))
}

func toBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16 | 0x40)
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// toInt goes towards zero and saturates; NaN gives 0.
func toInt[I int32 | int64, F float](x F) I {
	top, limit := I(math.MaxInt32), F(0x1p31)
	if unsafe.Sizeof(top) == 8 {
		var widest int64 = math.MaxInt64
		top, limit = I(widest), F(0x1p63)
	}
	switch {
	case x != x:
		return 0
	case x >= limit:
		return top
	case x < -limit:
		return -top - 1
	}
	return I(x)
}

// fma32 rounds once: the product is exact in float64, and rounding the sum to odd
// before the last rounding keeps that one right.
func fma32(a, b, c float32) float32 {
	p := float64(a) * float64(b)
	s := p + float64(c)
	if bits := math.Float64bits(s); bits&0x1fffffff == 0x10000000 || math.Abs(s) < 0x1p-120 {
		// s may be a tie that the first rounding made: lean towards what was lost.
		t := s - p
		lost := (p - (s - t)) + (float64(c) - t)
		if lost != 0 && lost == lost && bits&1 == 0 {
			if (lost > 0) == (s > 0) {
				s = math.Float64frombits(bits + 1)
			} else {
				s = math.Float64frombits(bits - 1)
			}
		}
	}
	return float32(s)
}

// twins are the plain Go forms of the assembly kernels.
var twins = [kernelCount]micro{
	kAdd:          each2(func(a, b float32) float32 { return a + b }),
	kSub:          each2(func(a, b float32) float32 { return a - b }),
	kMul:          each2(func(a, b float32) float32 { return a * b }),
	kDiv:          each2(func(a, b float32) float32 { return a / b }),
	kMulAdd:       each3(fma32),
	kMulSub:       each3(func(a, b, c float32) float32 { return fma32(a, b, -c) }),
	kSubMul:       each3(func(a, b, c float32) float32 { return fma32(-a, b, c) }),
	kMinimum:      each2(smaller[float32]),
	kMaximum:      each2(larger[float32]),
	kEq:           each2(func(a, b float32) int32 { return mask(a == b) }),
	kNe:           each2(func(a, b float32) int32 { return mask(a != b) }),
	kLt:           each2(func(a, b float32) int32 { return mask(a < b) }),
	kLe:           each2(func(a, b float32) int32 { return mask(a <= b) }),
	kSelect:       each3(selectOf[uint32]),
	kAnd:          each2(func(a, b uint32) uint32 { return a & b }),
	kOr:           each2(func(a, b uint32) uint32 { return a | b }),
	kXor:          each2(func(a, b uint32) uint32 { return a ^ b }),
	kAddInt:       each2(func(a, b int32) int32 { return a + b }),
	kSubInt:       each2(func(a, b int32) int32 { return a - b }),
	kMulInt:       each2(func(a, b int32) int32 { return a * b }),
	kMinInt:       each2(func(a, b int32) int32 { return min(a, b) }),
	kMaxInt:       each2(func(a, b int32) int32 { return max(a, b) }),
	kEqInt:        each2(func(a, b int32) int32 { return mask(a == b) }),
	kGtInt:        each2(func(a, b int32) int32 { return mask(a > b) }),
	kNeg:          each1(func(x uint32) uint32 { return x ^ 1<<31 }),
	kAbs:          each1(func(x uint32) uint32 { return x &^ (1 << 31) }),
	kSign:         each1(sign[float32]),
	kNot:          each1(func(x uint32) uint32 { return ^x }),
	kSquare:       each1(func(x float32) float32 { return x * x }),
	kSqrt:         of64(math.Sqrt),
	kRsqrt:        of64(func(x float64) float64 { return 1 / math.Sqrt(x) }),
	kReciprocal:   each1(func(x float32) float32 { return 1 / x }),
	kRelu:         each1(func(x float32) float32 { return larger(x, 0) }),
	kFloor:        of64(math.Floor),
	kCeil:         of64(math.Ceil),
	kTrunc:        of64(math.Trunc),
	kRound:        of64(math.RoundToEven),
	kPow:          each2(func(a, b float32) float32 { return float32(math.Pow(float64(a), float64(b))) }),
	kExp:          of64(math.Exp),
	kExpm1:        of64(math.Expm1),
	kLog:          of64(math.Log),
	kLog1p:        of64(math.Log1p),
	kTanh:         of64(math.Tanh),
	kSigmoid:      of64(sigmoid),
	kSilu:         of64(func(x float64) float64 { return x * sigmoid(x) }),
	kErf:          of64(math.Erf),
	kGelu:         of64(gelu),
	kGeluTanh:     of64(geluTanh),
	kSinSmall:     of64(math.Sin),
	kCosSmall:     of64(math.Cos),
	kExpMul:       each2(func(a, b float32) float32 { return float32(math.Exp(float64(a * b))) }),
	kExpSub:       each2(func(a, b float32) float32 { return float32(math.Exp(float64(a - b))) }),
	kSigmoidMul:   each2(func(a, b float32) float32 { return float32(sigmoid(float64(a * b))) }),
	kTanhMul:      each2(func(a, b float32) float32 { return float32(math.Tanh(float64(a * b))) }),
	kSiluMul:      each2(func(a, b float32) float32 { return float32(float64(a) * sigmoid(float64(a)) * float64(b)) }),
	kWordToNormal: each1(func(x uint32) float32 { return float32(normalOf(x)) }),
	kFloatToInt:   each1(toInt[int32, float32]),
	kIntToFloat:   each1(func(x int32) float32 { return float32(x) }),
	kBF16ToFloat:  each1(func(x uint16) float32 { return math.Float32frombits(uint32(x) << 16) }),
	kFloatToBF16:  each1(toBF16),
	kF16ToFloat:   each1(func(x uint16) float32 { return float16.Frombits(x).Float32() }),
	kFloatToF16:   each1(func(x float32) uint16 { return float16.Fromfloat32(x).Bits() }),
	kU8ToInt:      each1(func(x uint8) int32 { return int32(x) }),
	kIntToU8:      each1(func(x int32) uint8 { return uint8(x) }),
	kBoolToMask:   each1(func(x uint8) int32 { return -int32(x) }),
	kMaskToBool:   each1(func(x int32) uint8 { return uint8(uint32(x) >> 31) }),
}

func selectOf[T any](m int32, a, b T) T {
	if m < 0 {
		return a
	}
	return b
}
