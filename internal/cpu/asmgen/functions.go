package main

import "math"

// The mathematical functions, written once over abstract vectors. Errors are
// checked against float64 by the tests of package vec.

const log2e = math.Log2E

// reduce splits x into n·ln2 + r with n an integer and |r| ≤ ln2/2.
func (b *builder) reduce(x value) (n, r value) {
	n = b.add(opRound, 0, b.times(x, b.f(log2e)))
	r = b.fnma(n, b.f(ln2Hi), x)
	return n, b.fnma(n, b.f(ln2Lo), r)
}

// ln2Hi has few bits, so that its products with exponents are exact.
const ln2Hi = 0.693145751953125

const ln2Lo = math.Ln2 - ln2Hi

// exp keeps NaN, overflows to infinity and underflows through the denormals to 0.
func (b *builder) exp(x value) value {
	x = b.min(b.f(89), x)
	x = b.max(b.f(-104), x)
	n, r := b.reduce(x)
	p := b.poly(r, expTail...)
	p = b.fma(p, r, b.f(1))
	p = b.fma(p, r, b.f(1))
	return b.add(opScale, 0, p, n)
}

// expNegative is exp for x ≤ 0 or NaN.
func (b *builder) expNegative(x value) value { return b.expNegativePair(x, -1) }

// expNegativePair is exp(x + low) for x ≤ 0 and a low part of x, or none if that is -1.
func (b *builder) expNegativePair(x, low value) value {
	x = b.max(b.f(-104), x)
	n, r := b.reduce(x)
	if low >= 0 {
		r = b.plus(r, low)
	}
	p := b.poly(r, expTail...)
	p = b.fma(p, r, b.f(1))
	p = b.fma(p, r, b.f(1))
	return b.add(opScale, 0, p, n)
}

// expm1 is 2^n·(e^r - 1) + (2^n - 1), with 2^(n-1) in place of 2^n against overflow.
func (b *builder) expm1(x value) value {
	y := b.min(b.f(89), x)
	y = b.max(b.f(-30), y)
	n, r := b.reduce(y)
	p := b.poly(r, expTail...)
	p = b.fma(b.times(r, p), r, r)
	h := b.add(opScale, 0, b.f(.5), n)
	v := b.fma(h, p, b.minus(h, b.f(.5)))
	v = b.plus(v, v)
	// Tiny x, -0 among them, is its own result.
	return b.sel(b.add(opLt, 0, b.abs(x), b.f(1e-9)), x, v)
}

// logParts splits positive, normal or denormal x into e·ln2 + log(1+f).
func (b *builder) logParts(x value) (e, f value) {
	small := b.add(opLt, 0, x, b.bits(0x00800000))
	y := b.sel(small, b.times(x, b.f(1<<24)), x)
	// Exponent and mantissa such that 1+f lies in [√½, √2).
	i := b.add(opISub, 0, y, b.bits(0x3f3504f3))
	e = b.add(opToFloat, 0, b.add(opSar, 23, i))
	m := b.add(opISub, 0, y, b.add(opShl, 23, b.add(opSar, 23, i)))
	e = b.sel(small, b.minus(e, b.f(24)), e)
	return e, b.minus(m, b.f(1))
}

// logOf finishes log from its parts.
func (b *builder) logOf(e, f value) value {
	p := b.poly(f, logTail...)
	s := b.times(f, f)
	q := b.times(b.times(f, s), p)
	q = b.fma(e, b.f(ln2Lo), q)
	q = b.fnma(s, b.f(.5), q)
	return b.fma(e, b.f(ln2Hi), b.plus(f, q))
}

// logSpecial puts in the values of log for x = 0, infinity, negatives and NaN.
func (b *builder) logSpecial(x, v value) value {
	v = b.sel(b.add(opEq, 0, x, b.f(0)), b.bits(0xff800000), v)
	v = b.sel(b.add(opLt, 0, x, b.f(0)), b.bits(0x7fc00000), v)
	keep := b.add(opLt, 0, x, b.bits(0x7f800000)) // false for infinity and NaN
	return b.sel(keep, v, x)
}

func (b *builder) log(x value) value {
	e, f := b.logParts(x)
	return b.logSpecial(x, b.logOf(e, f))
}

// pair is a number as the sum of two floats, the second a correction of the first.
type pair struct{ hi, lo value }

// split64 is a constant as a pair.
func (b *builder) split64(c float64) pair {
	hi := float64(float32(c))
	return pair{b.f(hi), b.f(c - hi)}
}

// addPairs is x + y for |x| ≥ |y|, or x = 0.
func (b *builder) addPairs(x, y pair) pair {
	hi := b.plus(x.hi, y.hi)
	return pair{hi, b.plus(b.plus(b.minus(x.hi, hi), y.hi), b.plus(x.lo, y.lo))}
}

// timesPairs is x·y.
func (b *builder) timesPairs(x, y pair) pair {
	hi := b.times(x.hi, y.hi)
	lo := b.fma(x.lo, y.hi, b.add(opFMS, 0, x.hi, y.hi, hi))
	return pair{hi, b.fma(x.hi, y.lo, lo)}
}

// log2Pair is log₂(x) of positive finite x, within 2⁻³⁴ of its value: for s = f/(2+f),
// log(1+f) = 2s + 2s·s²·(1/3 + s²/5 + …).
func (b *builder) log2Pair(x value) pair {
	e, f := b.logParts(x)
	d := b.plus(f, b.f(2))
	dLow := b.minus(f, b.minus(d, b.f(2)))
	inverse := b.add(opRecip, 0, d)
	s := b.times(f, inverse)
	left := b.fnma(s, dLow, b.fnma(s, d, f))
	sp := pair{s, b.times(left, inverse)}
	w := b.timesPairs(sp, sp)
	zero := b.f(0)
	q := b.addPairs(b.split64(1./3), pair{b.times(w.hi, b.poly(w.hi, atanhTail...)), zero})
	u := b.timesPairs(sp, b.split64(2*log2e))
	l := b.addPairs(u, b.timesPairs(u, b.timesPairs(w, q)))
	return b.addPairs(pair{e, zero}, l)
}

// pow is 2^(y·log₂|x|) with the sign and the special values of C's pow.
func (b *builder) pow(x, y value) value {
	a := b.abs(x)
	// An exponent of 10¹¹ overflows or underflows already with the floats beside 1.
	k := b.max(b.f(-1e11), b.min(b.f(1e11), y))
	l := b.log2Pair(a)
	hi := b.times(k, l.hi)
	lo := b.fma(k, l.lo, b.add(opFMS, 0, k, l.hi, hi))
	hi = b.max(b.f(-160), b.min(b.f(160), hi))
	lo = b.max(b.f(-1), b.min(b.f(1), lo))
	n := b.add(opRound, 0, hi)
	r := b.times(b.plus(b.minus(hi, n), lo), b.f(math.Ln2))
	p := b.poly(r, expTail...)
	p = b.fma(p, r, b.f(1))
	p = b.fma(p, r, b.f(1))
	v := b.add(opScale, 0, p, n)

	// 0 and infinity.
	zero, inf := b.f(0), b.bits(0x7f800000)
	down := b.add(opLt, 0, y, zero)
	v = b.sel(b.add(opEq, 0, a, zero), b.sel(down, inf, zero), v)
	v = b.sel(b.add(opEq, 0, a, inf), b.sel(down, zero, inf), v)
	// Negative x: odd y turns the sign, broken y is undefined.
	whole := b.add(opFloor, 0, y)
	broken := b.add(opNe, 0, whole, y)
	half := b.times(whole, b.f(.5))
	odd := b.add(opNe, 0, b.add(opFloor, 0, half), half)
	v = b.or(v, b.sign(b.sel(broken, zero, b.sel(odd, x, zero))))
	undefined := b.sel(b.add(opLt, 0, b.bits(0xff800000), x), b.bits(0x7fc00000), v)
	v = b.sel(b.add(opLt, 0, x, zero), b.sel(broken, undefined, v), v)
	v = b.sel(b.add(opNe, 0, x, x), x, v)
	v = b.sel(b.add(opNe, 0, y, y), y, v)
	v = b.sel(b.add(opEq, 0, y, zero), b.f(1), v)
	return b.sel(b.add(opEq, 0, x, b.f(1)), b.f(1), v)
}

// log1p is log(u) + (x - (u-1))/u for u = 1+x rounded.
func (b *builder) log1p(x value) value {
	u := b.plus(b.f(1), x)
	lost := b.minus(x, b.minus(u, b.f(1)))
	lost = b.add(opDiv, 0, lost, u)
	// Where u is 0 or infinite nothing was lost.
	lost = b.sel(b.add(opLt, 0, b.abs(lost), b.f(1)), lost, b.f(0))
	e, f := b.logParts(u)
	v := b.plus(b.logOf(e, f), lost)
	v = b.logSpecial(u, v)
	return b.sel(b.add(opLt, 0, b.abs(x), b.f(1e-9)), x, v)
}

// tanh is -m/(m+2) for m = e^(-2|x|) - 1, with the sign of x.
func (b *builder) tanh(x value) value {
	a := b.abs(x)
	y := b.times(b.max(b.f(-15), b.xor(a, b.bits(0x80000000))), b.f(2))
	n, r := b.reduce(y)
	p := b.poly(r, expTail...)
	p = b.fma(b.times(r, p), r, r)
	h := b.add(opScale, 0, b.f(1), n)
	m := b.fma(h, p, b.minus(h, b.f(1)))
	v := b.add(opDiv, 0, m, b.plus(m, b.f(2)))
	v = b.or(b.abs(v), b.sign(x))
	return b.sel(b.add(opLt, 0, a, b.f(1e-4)), x, v)
}

// sigmoid is e/(1+e) or 1/(1+e) for e = e^-|x|, by the sign of x.
func (b *builder) sigmoid(x value) value {
	e := b.expNegative(b.or(x, b.bits(0x80000000)))
	return b.sigmoidOf(x, e)
}

func (b *builder) sigmoidOf(x, e value) value {
	d := b.add(opRecip, 0, b.plus(e, b.f(1)))
	n := b.sel(b.add(opMask, 0, x), e, b.f(1))
	return b.times(n, d)
}

// erfcParts returns two factors of erfc(a) for a = √scale·|x|, scale 1 or ½:
// e^(-scale·x²), from the square to twice the precision, and the rest.
func (b *builder) erfcParts(x value, scale float64) (e, g value) {
	a := b.abs(x)
	a = b.min(b.f(10.4/math.Sqrt(scale)), a)
	s := b.times(a, a)
	lost := b.add(opFMS, 0, a, a, s)
	if scale != 1 {
		s, lost = b.times(s, b.f(scale)), b.times(lost, b.f(scale))
	}
	minus := b.bits(0x80000000)
	e = b.expNegativePair(b.xor(s, minus), b.xor(lost, minus))
	slope := b.f(erfcSlope * math.Sqrt(scale))
	d := b.fma(a, slope, b.f(1))
	t := b.add(opDiv, 0, b.f(1), d)
	// What the roundings of d and of the quotient took from t.
	dLow := b.fma(a, slope, b.minus(b.f(1), d))
	tLow := b.times(t, b.fnma(dLow, t, b.fnma(d, t, b.f(1))))
	p := b.poly(b.plus(b.minus(t, b.f(erfcCentre)), tLow), erfcFar...)
	return e, b.fma(t, p, b.times(tLow, p))
}

func (b *builder) erf(x value) value {
	e, g := b.erfcParts(x, 1)
	far := b.fnma(e, g, b.f(1))
	a := b.abs(x)
	near := b.times(a, b.poly(b.times(x, x), erfNear...))
	v := b.sel(b.add(opLt, 0, a, b.f(.75)), near, far)
	return b.or(v, b.sign(x))
}

// gelu is x·Φ(x), exact for large negative x too, where 1 + erf would cancel.
func (b *builder) gelu(x value) value {
	e, g := b.erfcParts(x, .5)
	e = b.times(e, b.f(.5)) // e·g is Φ(-|x|)
	finite := b.min(b.f(20), x)
	v := b.times(finite, e)
	low := b.add(opFMS, 0, finite, e, v)
	v = b.fma(v, g, b.times(low, g))
	v = b.sel(b.add(opMask, 0, x), v, b.minus(x, v))
	half := b.times(b.times(x, x), b.f(.5))
	near := b.times(x, b.fma(b.times(x, b.f(math.Sqrt2/4)), b.poly(half, erfNear...), b.f(.5)))
	// For larger negative x the sum in near would cancel.
	return b.sel(b.add(opLt, 0, half, b.f(.2)), near, v)
}

// geluTanh is x·σ(z), z = 2√(2/π)·(x + 0.044715x³): the tanh form, rearranged. z
// is computed to about twice the precision, since its rounding would grow in e^z.
func (b *builder) geluTanh(x value) value {
	const c1, c2 = 2 * math.Sqrt2 / math.SqrtPi, 2 * .044715 * math.Sqrt2 / math.SqrtPi
	x0 := x
	x = b.max(b.f(-15), b.min(b.f(15), x))
	s := b.times(x, x)
	sLow := b.add(opFMS, 0, x, x, s)
	t := b.times(s, b.f(c2))
	w := b.plus(t, b.f(c1))
	back := b.minus(w, t)
	low := b.fma(s, b.f(c2-float64(float32(c2))), b.f(c1-float64(float32(c1))))
	low = b.fma(sLow, b.f(c2), low)
	low = b.plus(low, b.add(opFMS, 0, s, b.f(c2), t))
	low = b.plus(low, b.plus(b.minus(t, b.minus(w, back)), b.minus(b.f(c1), back)))
	z := b.times(x, w)
	zLow := b.fma(x, low, b.add(opFMS, 0, x, w, z))
	// -|z|, and the low part with the sign turned as much.
	minus := b.bits(0x80000000)
	e := b.expNegativePair(b.or(z, minus), b.xor(b.xor(zLow, b.sign(z)), minus))
	return b.times(x0, b.sigmoidOf(z, e))
}

// sinCos gives the sine of x + quarter·π/2, for |x| up to about 10⁵.
func (b *builder) sinCos(x value, quarter uint32) value {
	n := b.add(opRound, 0, b.times(x, b.f(2/math.Pi)))
	const hi = float64(float32(math.Pi / 2))
	const mid = float64(float32(math.Pi/2 - hi))
	r := b.fnma(n, b.f(hi), x)
	r = b.fnma(n, b.f(mid), r)
	r = b.fnma(n, b.f(math.Pi/2-hi-mid), r)
	q := b.add(opToInt, 0, n)
	if quarter > 0 {
		q = b.add(opIAdd, 0, q, b.bits(quarter))
	}
	s := b.times(r, r)
	sin := b.fma(b.times(b.poly(s, sinTail...), s), r, r)
	c := b.fma(b.poly(s, cosTail...), s, b.f(-.5))
	cos := b.fma(c, s, b.f(1))
	v := b.sel(b.add(opMask, 0, b.add(opShl, 31, q)), cos, sin)
	return b.xor(v, b.and(b.add(opShl, 30, q), b.bits(0x80000000)))
}

// smaller and larger give NaN if either operand is NaN.
func (b *builder) smaller(x, y value) value {
	return b.sel(b.add(opNe, 0, x, x), x, b.min(x, y))
}

func (b *builder) larger(x, y value) value {
	return b.sel(b.add(opNe, 0, x, x), x, b.max(x, y))
}

// toBF16 rounds to nearest even; NaN stays NaN.
func (b *builder) toBF16(x value) value {
	lsb := b.and(b.add(opShr, 16, x), b.bits(1))
	v := b.add(opIAdd, 0, b.add(opIAdd, 0, x, b.bits(0x7fff)), lsb)
	v = b.sel(b.add(opNe, 0, x, x), b.or(x, b.bits(0x00400000)), v)
	return b.add(opShr, 16, v)
}

// toInt32 goes towards zero and saturates; NaN gives 0.
func (b *builder) toInt32(x value) value {
	v := b.add(opToIntTrunc, 0, x)
	v = b.sel(b.add(opLe, 0, b.f(1<<31), x), b.bits(0x7fffffff), v)
	return b.sel(b.add(opNe, 0, x, x), b.bits(0), v)
}
