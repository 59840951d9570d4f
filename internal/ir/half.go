package ir

import "math"

// F16ToF32 decodes an IEEE half-precision number; every one is an f32.
func F16ToF32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case 0:
		f := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// F32ToF16 encodes f as the nearest half-precision number, ties to even.
func F32ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00
	case b >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case b < 0x38800000: // below 2⁻¹⁴: subnormal; adding ½ makes the FPU round
		const magic = 0x3f000000
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+math.Float32frombits(magic))-magic)
	}
	b += 0xfff + b>>13&1
	return sign | uint16((b-0x38000000)>>13)
}

// BF16ToF32 decodes a bfloat16 number.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 encodes f as the nearest bfloat16 number, ties to even.
func F32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// Round returns the value nearest to v, ties to even, that a float dtype holds;
// for other dtypes v itself.
func (d DType) Round(v float64) float64 {
	switch d {
	case F32:
		return float64(float32(v))
	case F16:
		return roundTo(v, -14, 10, 65504)
	case BF16:
		return roundTo(v, -126, 7, 0x1.fep127)
	}
	return v
}

// roundTo rounds once, which by way of f32 would be twice.
func roundTo(v float64, minExp, fracBits int, largest float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	_, e := math.Frexp(v)
	ulp := math.Ldexp(1, max(e-1, minExp)-fracBits)
	r := math.RoundToEven(v/ulp) * ulp
	if math.Abs(r) > largest {
		return math.Inf(int(math.Copysign(1, v)))
	}
	return math.Copysign(r, v)
}
