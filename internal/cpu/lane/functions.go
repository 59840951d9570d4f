package lane

import "math"

// The mathematical functions, written once over abstract vectors. Errors are
// checked against float64 by the tests of package vec.

const log2e = math.Log2E

// reduce splits x into n·ln2 + r with n an integer and |r| ≤ ln2/2.
func (b *Builder) reduce(x Value) (n, r Value) {
	n = b.Add(OpRound, 0, b.Times(x, b.F(log2e)))
	r = b.fnma(n, b.F(ln2Hi), x)
	return n, b.fnma(n, b.F(ln2Lo), r)
}

// ln2Hi has few bits, so that its products with exponents are exact.
const ln2Hi = 0.693145751953125

const ln2Lo = math.Ln2 - ln2Hi

// Exp keeps NaN, overflows to infinity and underflows through the denormals to 0.
func (b *Builder) Exp(x Value) Value {
	x = b.min(b.F(89), x)
	x = b.Max(b.F(-104), x)
	n, r := b.reduce(x)
	p := b.poly(r, expTail...)
	p = b.Fma(p, r, b.F(1))
	p = b.Fma(p, r, b.F(1))
	return b.Add(OpScale, 0, p, n)
}

// expNegative is exp for x ≤ 0 or NaN.
func (b *Builder) expNegative(x Value) Value { return b.expNegativePair(x, -1) }

// expNegativePair is exp(x + low) for x ≤ 0 and a low part of x, or none if that is -1.
func (b *Builder) expNegativePair(x, low Value) Value {
	x = b.Max(b.F(-104), x)
	n, r := b.reduce(x)
	if low >= 0 {
		r = b.Plus(r, low)
	}
	p := b.poly(r, expTail...)
	p = b.Fma(p, r, b.F(1))
	p = b.Fma(p, r, b.F(1))
	return b.Add(OpScale, 0, p, n)
}

// expm1 is 2^n·(e^r - 1) + (2^n - 1), with 2^(n-1) in place of 2^n against overflow.
func (b *Builder) expm1(x Value) Value {
	y := b.min(b.F(89), x)
	y = b.Max(b.F(-30), y)
	n, r := b.reduce(y)
	p := b.poly(r, expTail...)
	p = b.Fma(b.Times(r, p), r, r)
	h := b.Add(OpScale, 0, b.F(.5), n)
	v := b.Fma(h, p, b.Minus(h, b.F(.5)))
	v = b.Plus(v, v)
	// Tiny x, -0 among them, is its own result.
	return b.sel(b.Add(OpLt, 0, b.abs(x), b.F(1e-9)), x, v)
}

// logParts splits positive, normal or denormal x into e·ln2 + log(1+f).
func (b *Builder) logParts(x Value) (e, f Value) {
	small := b.Add(OpLt, 0, x, b.Bits(0x00800000))
	y := b.sel(small, b.Times(x, b.F(1<<24)), x)
	// Exponent and mantissa such that 1+f lies in [√½, √2).
	i := b.Add(OpISub, 0, y, b.Bits(0x3f3504f3))
	e = b.Add(OpToFloat, 0, b.Add(OpSar, 23, i))
	m := b.Add(OpISub, 0, y, b.Add(OpShl, 23, b.Add(OpSar, 23, i)))
	e = b.sel(small, b.Minus(e, b.F(24)), e)
	return e, b.Minus(m, b.F(1))
}

// logOf finishes log from its parts.
func (b *Builder) logOf(e, f Value) Value {
	p := b.poly(f, logTail...)
	s := b.Times(f, f)
	q := b.Times(b.Times(f, s), p)
	q = b.Fma(e, b.F(ln2Lo), q)
	q = b.fnma(s, b.F(.5), q)
	return b.Fma(e, b.F(ln2Hi), b.Plus(f, q))
}

// logSpecial puts in the values of log for x = 0, infinity, negatives and NaN.
func (b *Builder) logSpecial(x, v Value) Value {
	v = b.sel(b.Add(OpEq, 0, x, b.F(0)), b.Bits(0xff800000), v)
	v = b.sel(b.Add(OpLt, 0, x, b.F(0)), b.Bits(0x7fc00000), v)
	keep := b.Add(OpLt, 0, x, b.Bits(0x7f800000)) // false for infinity and NaN
	return b.sel(keep, v, x)
}

// Log is the natural logarithm; of negative numbers NaN, of zeros -Inf.
func (b *Builder) Log(x Value) Value {
	e, f := b.logParts(x)
	return b.logSpecial(x, b.logOf(e, f))
}

// normal is the normal number of a random word: the inverse of the distribution at the
// middle of the interval that the word's upper 24 bits name. Of that probability, (1+x)/2,
// x is exact.
func (b *Builder) normal(word Value) Value {
	odd := b.Add(OpIAdd, 0, b.Add(OpShl, 1, b.Add(OpShr, 8, word)), b.Bits(1<<32-1<<24+1))
	x := b.Times(b.Add(OpToFloat, 0, odd), b.F(0x1p-24))
	w := b.xor(b.logOf(b.logParts(b.Times(b.Minus(b.F(1), x), b.Plus(x, b.F(1))))), b.Bits(0x80000000))
	near := b.poly(b.Minus(w, b.F(2.5)), normalNear...)
	far := b.poly(b.Minus(b.Add(OpSqrt, 0, w), b.F(3.1)), normalFar...)
	return b.Times(x, b.sel(b.Add(OpLt, 0, w, b.F(5)), near, far))
}

// pair is a number as the sum of two floats, the second a correction of the first.
type pair struct{ hi, lo Value }

// split64 is a constant as a pair.
func (b *Builder) split64(c float64) pair {
	hi := float64(float32(c))
	return pair{b.F(hi), b.F(c - hi)}
}

// addPairs is x + y for |x| ≥ |y|, or x = 0.
func (b *Builder) addPairs(x, y pair) pair {
	hi := b.Plus(x.hi, y.hi)
	return pair{hi, b.Plus(b.Plus(b.Minus(x.hi, hi), y.hi), b.Plus(x.lo, y.lo))}
}

// timesPairs is x·y.
func (b *Builder) timesPairs(x, y pair) pair {
	hi := b.Times(x.hi, y.hi)
	lo := b.Fma(x.lo, y.hi, b.Add(OpFMS, 0, x.hi, y.hi, hi))
	return pair{hi, b.Fma(x.hi, y.lo, lo)}
}

// log2Pair is log₂(x) of positive finite x, within 2⁻³⁴ of its value: for s = f/(2+f),
// log(1+f) = 2s + 2s·s²·(1/3 + s²/5 + …).
func (b *Builder) log2Pair(x Value) pair {
	e, f := b.logParts(x)
	d := b.Plus(f, b.F(2))
	dLow := b.Minus(f, b.Minus(d, b.F(2)))
	inverse := b.Add(OpRecip, 0, d)
	s := b.Times(f, inverse)
	left := b.fnma(s, dLow, b.fnma(s, d, f))
	sp := pair{s, b.Times(left, inverse)}
	w := b.timesPairs(sp, sp)
	zero := b.F(0)
	q := b.addPairs(b.split64(1./3), pair{b.Times(w.hi, b.poly(w.hi, atanhTail...)), zero})
	u := b.timesPairs(sp, b.split64(2*log2e))
	l := b.addPairs(u, b.timesPairs(u, b.timesPairs(w, q)))
	return b.addPairs(pair{e, zero}, l)
}

// pow is 2^(y·log₂|x|) with the sign and the special values of C's pow.
func (b *Builder) pow(x, y Value) Value {
	a := b.abs(x)
	// An exponent of 10¹¹ overflows or underflows already with the floats beside 1.
	k := b.Max(b.F(-1e11), b.min(b.F(1e11), y))
	l := b.log2Pair(a)
	hi := b.Times(k, l.hi)
	lo := b.Fma(k, l.lo, b.Add(OpFMS, 0, k, l.hi, hi))
	hi = b.Max(b.F(-160), b.min(b.F(160), hi))
	lo = b.Max(b.F(-1), b.min(b.F(1), lo))
	n := b.Add(OpRound, 0, hi)
	r := b.Times(b.Plus(b.Minus(hi, n), lo), b.F(math.Ln2))
	p := b.poly(r, expTail...)
	p = b.Fma(p, r, b.F(1))
	p = b.Fma(p, r, b.F(1))
	v := b.Add(OpScale, 0, p, n)

	// 0 and infinity.
	zero, inf := b.F(0), b.Bits(0x7f800000)
	down := b.Add(OpLt, 0, y, zero)
	v = b.sel(b.Add(OpEq, 0, a, zero), b.sel(down, inf, zero), v)
	v = b.sel(b.Add(OpEq, 0, a, inf), b.sel(down, zero, inf), v)
	// Negative x: odd y turns the sign, broken y is undefined.
	whole := b.Add(OpFloor, 0, y)
	broken := b.Add(OpNe, 0, whole, y)
	half := b.Times(whole, b.F(.5))
	odd := b.Add(OpNe, 0, b.Add(OpFloor, 0, half), half)
	v = b.or(v, b.sign(b.sel(broken, zero, b.sel(odd, x, zero))))
	undefined := b.sel(b.Add(OpLt, 0, b.Bits(0xff800000), x), b.Bits(0x7fc00000), v)
	v = b.sel(b.Add(OpLt, 0, x, zero), b.sel(broken, undefined, v), v)
	v = b.sel(b.Add(OpNe, 0, x, x), x, v)
	v = b.sel(b.Add(OpNe, 0, y, y), y, v)
	v = b.sel(b.Add(OpEq, 0, y, zero), b.F(1), v)
	return b.sel(b.Add(OpEq, 0, x, b.F(1)), b.F(1), v)
}

// log1p is log(u) + (x - (u-1))/u for u = 1+x rounded.
func (b *Builder) log1p(x Value) Value {
	u := b.Plus(b.F(1), x)
	lost := b.Minus(x, b.Minus(u, b.F(1)))
	lost = b.Add(OpDiv, 0, lost, u)
	// Where u is 0 or infinite nothing was lost.
	lost = b.sel(b.Add(OpLt, 0, b.abs(lost), b.F(1)), lost, b.F(0))
	e, f := b.logParts(u)
	v := b.Plus(b.logOf(e, f), lost)
	v = b.logSpecial(u, v)
	return b.sel(b.Add(OpLt, 0, b.abs(x), b.F(1e-9)), x, v)
}

// tanh is -m/(m+2) for m = e^(-2|x|) - 1, with the sign of x.
func (b *Builder) tanh(x Value) Value {
	a := b.abs(x)
	y := b.Times(b.Max(b.F(-15), b.xor(a, b.Bits(0x80000000))), b.F(2))
	n, r := b.reduce(y)
	p := b.poly(r, expTail...)
	p = b.Fma(b.Times(r, p), r, r)
	h := b.Add(OpScale, 0, b.F(1), n)
	m := b.Fma(h, p, b.Minus(h, b.F(1)))
	v := b.Add(OpDiv, 0, m, b.Plus(m, b.F(2)))
	v = b.or(b.abs(v), b.sign(x))
	return b.sel(b.Add(OpLt, 0, a, b.F(1e-4)), x, v)
}

// sigmoid is e/(1+e) or 1/(1+e) for e = e^-|x|, by the sign of x.
func (b *Builder) sigmoid(x Value) Value {
	e := b.expNegative(b.or(x, b.Bits(0x80000000)))
	return b.sigmoidOf(x, e)
}

func (b *Builder) sigmoidOf(x, e Value) Value {
	d := b.Add(OpRecip, 0, b.Plus(e, b.F(1)))
	n := b.sel(b.Add(OpMask, 0, x), e, b.F(1))
	return b.Times(n, d)
}

// erfcParts returns two factors of erfc(a) for a = √scale·|x|, scale 1 or ½:
// e^(-scale·x²), from the square to twice the precision, and the rest.
func (b *Builder) erfcParts(x Value, scale float64) (e, g Value) {
	a := b.abs(x)
	a = b.min(b.F(10.4/math.Sqrt(scale)), a)
	s := b.Times(a, a)
	lost := b.Add(OpFMS, 0, a, a, s)
	if scale != 1 {
		s, lost = b.Times(s, b.F(scale)), b.Times(lost, b.F(scale))
	}
	minus := b.Bits(0x80000000)
	e = b.expNegativePair(b.xor(s, minus), b.xor(lost, minus))
	slope := b.F(ErfcSlope * math.Sqrt(scale))
	d := b.Fma(a, slope, b.F(1))
	t := b.Add(OpDiv, 0, b.F(1), d)
	// What the roundings of d and of the quotient took from t.
	dLow := b.Fma(a, slope, b.Minus(b.F(1), d))
	tLow := b.Times(t, b.fnma(dLow, t, b.fnma(d, t, b.F(1))))
	p := b.poly(b.Plus(b.Minus(t, b.F(ErfcCentre)), tLow), erfcFar...)
	return e, b.Fma(t, p, b.Times(tLow, p))
}

func (b *Builder) erf(x Value) Value {
	e, g := b.erfcParts(x, 1)
	far := b.fnma(e, g, b.F(1))
	a := b.abs(x)
	near := b.Times(a, b.poly(b.Times(x, x), erfNear...))
	v := b.sel(b.Add(OpLt, 0, a, b.F(.75)), near, far)
	return b.or(v, b.sign(x))
}

// gelu is x·Φ(x), exact for large negative x too, where 1 + erf would cancel.
func (b *Builder) gelu(x Value) Value {
	e, g := b.erfcParts(x, .5)
	e = b.Times(e, b.F(.5)) // e·g is Φ(-|x|)
	finite := b.min(b.F(20), x)
	v := b.Times(finite, e)
	low := b.Add(OpFMS, 0, finite, e, v)
	v = b.Fma(v, g, b.Times(low, g))
	v = b.sel(b.Add(OpMask, 0, x), v, b.Minus(x, v))
	half := b.Times(b.Times(x, x), b.F(.5))
	near := b.Times(x, b.Fma(b.Times(x, b.F(math.Sqrt2/4)), b.poly(half, erfNear...), b.F(.5)))
	// For larger negative x the sum in near would cancel.
	return b.sel(b.Add(OpLt, 0, half, b.F(.2)), near, v)
}

// geluTanh is x·σ(z), z = 2√(2/π)·(x + 0.044715x³): the tanh form, rearranged. z
// is computed to about twice the precision, since its rounding would grow in e^z.
func (b *Builder) geluTanh(x Value) Value {
	const c1, c2 = 2 * math.Sqrt2 / math.SqrtPi, 2 * .044715 * math.Sqrt2 / math.SqrtPi
	x0 := x
	x = b.Max(b.F(-15), b.min(b.F(15), x))
	s := b.Times(x, x)
	sLow := b.Add(OpFMS, 0, x, x, s)
	t := b.Times(s, b.F(c2))
	w := b.Plus(t, b.F(c1))
	back := b.Minus(w, t)
	low := b.Fma(s, b.F(c2-float64(float32(c2))), b.F(c1-float64(float32(c1))))
	low = b.Fma(sLow, b.F(c2), low)
	low = b.Plus(low, b.Add(OpFMS, 0, s, b.F(c2), t))
	low = b.Plus(low, b.Plus(b.Minus(t, b.Minus(w, back)), b.Minus(b.F(c1), back)))
	z := b.Times(x, w)
	zLow := b.Fma(x, low, b.Add(OpFMS, 0, x, w, z))
	// -|z|, and the low part with the sign turned as much.
	minus := b.Bits(0x80000000)
	e := b.expNegativePair(b.or(z, minus), b.xor(b.xor(zLow, b.sign(z)), minus))
	return b.Times(x0, b.sigmoidOf(z, e))
}

// sinCos gives the sine of x + quarter·π/2, for |x| up to about 10⁵.
func (b *Builder) sinCos(x Value, quarter uint32) Value {
	n := b.Add(OpRound, 0, b.Times(x, b.F(2/math.Pi)))
	const hi = float64(float32(math.Pi / 2))
	const mid = float64(float32(math.Pi/2 - hi))
	r := b.fnma(n, b.F(hi), x)
	r = b.fnma(n, b.F(mid), r)
	r = b.fnma(n, b.F(math.Pi/2-hi-mid), r)
	q := b.Add(OpToInt, 0, n)
	if quarter > 0 {
		q = b.Add(OpIAdd, 0, q, b.Bits(quarter))
	}
	s := b.Times(r, r)
	sin := b.Fma(b.Times(b.poly(s, sinTail...), s), r, r)
	c := b.Fma(b.poly(s, cosTail...), s, b.F(-.5))
	cos := b.Fma(c, s, b.F(1))
	v := b.sel(b.Add(OpMask, 0, b.Add(OpShl, 31, q)), cos, sin)
	return b.xor(v, b.and(b.Add(OpShl, 30, q), b.Bits(0x80000000)))
}

// Smaller is the minimum, NaN if either operand is NaN.
func (b *Builder) Smaller(x, y Value) Value {
	return b.sel(b.Add(OpNe, 0, x, x), x, b.min(x, y))
}

// Larger is the maximum, NaN if either operand is NaN.
func (b *Builder) Larger(x, y Value) Value {
	return b.sel(b.Add(OpNe, 0, x, x), x, b.Max(x, y))
}

// toBF16 rounds to nearest even; NaN stays NaN.
func (b *Builder) toBF16(x Value) Value {
	lsb := b.and(b.Add(OpShr, 16, x), b.Bits(1))
	v := b.Add(OpIAdd, 0, b.Add(OpIAdd, 0, x, b.Bits(0x7fff)), lsb)
	v = b.sel(b.Add(OpNe, 0, x, x), b.or(x, b.Bits(0x00400000)), v)
	return b.Add(OpShr, 16, v)
}

// toInt32 goes towards zero and saturates; NaN gives 0.
func (b *Builder) toInt32(x Value) Value {
	v := b.Add(OpToIntTrunc, 0, x)
	v = b.sel(b.Add(OpLe, 0, b.F(1<<31), x), b.Bits(0x7fffffff), v)
	return b.sel(b.Add(OpNe, 0, x, x), b.Bits(0), v)
}

// ErfcSlope times √½, the factor of gelu, is a short binary number: its rounding would show.
const ErfcSlope = .28125 * math.Sqrt2

// ErfcCentre is what the polynomial of erfc counts its argument from.
const ErfcCentre = .5
