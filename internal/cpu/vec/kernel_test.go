package vec

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"loris/internal/cpu/feature"
)

// tolerance is how far, in units in the last place of the exact value, a kernel's
// result may be; 0 means equal to the twin's bits.
var tolerance = map[kernel]float64{
	kRsqrt: 2, kPow: 4, kExp: 4, kExpm1: 4, kLog: 4, kLog1p: 4, kTanh: 4, kSigmoid: 4, kSilu: 4, kErf: 4, kGelu: 4, kGeluTanh: 4,
	kSinSmall: 4, kCosSmall: 4, kExpMul: 4, kExpSub: 4, kSigmoidMul: 4, kTanhMul: 4, kSiluMul: 4, kWordToNormal: 4,
}

// exact gives the functions in float64.
var exact = map[kernel]func(a, b float64) float64{
	kPow:   math.Pow,
	kRsqrt: func(a, _ float64) float64 { return 1 / math.Sqrt(a) },
	kExp:   func(a, _ float64) float64 { return math.Exp(a) }, kExpm1: func(a, _ float64) float64 { return math.Expm1(a) },
	kLog: func(a, _ float64) float64 { return math.Log(a) }, kLog1p: func(a, _ float64) float64 { return math.Log1p(a) },
	kTanh: func(a, _ float64) float64 { return math.Tanh(a) }, kSigmoid: func(a, _ float64) float64 { return sigmoid(a) },
	kSilu: func(a, _ float64) float64 { return a * sigmoid(a) }, kErf: func(a, _ float64) float64 { return math.Erf(a) },
	kGelu: func(a, _ float64) float64 { return gelu(a) }, kGeluTanh: func(a, _ float64) float64 { return geluTanh(a) },
	kSinSmall: func(a, _ float64) float64 { return math.Sin(a) }, kCosSmall: func(a, _ float64) float64 { return math.Cos(a) },
	kExpMul:     func(a, b float64) float64 { return math.Exp(float64(float32(a * b))) },
	kExpSub:     func(a, b float64) float64 { return math.Exp(float64(float32(a - b))) },
	kSigmoidMul: func(a, b float64) float64 { return sigmoid(float64(float32(a * b))) },
	kTanhMul:    func(a, b float64) float64 { return math.Tanh(float64(float32(a * b))) },
	kSiluMul:    func(a, b float64) float64 { return a * sigmoid(a) * b },
}

var specials = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, .5, -.5, 2, -2, 1.5, 2.5, -1.5, -2.5, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 1e-40, -1e-40, 1.17549435e-38, math.MaxFloat32, -math.MaxFloat32,
	88, 88.7, 89, 100, -87, -88, -100, -103, -104, -200, 1e-10, -1e-10, .7071067, 1.4142135, .75, -.75, 10, -10, 13, -13,
	1 << 23, 1<<23 + 1, 1 << 31, -(1 << 31), 2147483520, 3e9, 65504, 65520, 1e5, -1e5, 1e10, 3.1415927, 1.5707964, 4e4, 5.9e-8,
}

// operand returns random values, with every special in places.
func operand(r *rand.Rand, n int, e elemKind, shift int) []byte {
	b := make([]byte, 8*n)
	for i := range n {
		x := float32(r.NormFloat64() * math.Exp(4*r.NormFloat64()))
		if i%3 == 0 {
			x = specials[(i/3+shift*(i/(3*len(specials))+1))%len(specials)]
		}
		switch e {
		case kindFloat:
			*(*float32)(unsafe.Pointer(&b[4*i])) = x
		case kindInt:
			*(*int32)(unsafe.Pointer(&b[4*i])) = int32(r.Uint32()) >> r.IntN(32)
		case kindMask:
			*(*int32)(unsafe.Pointer(&b[4*i])) = -int32(r.IntN(2))
		case kindHalf:
			*(*uint16)(unsafe.Pointer(&b[2*i])) = uint16(r.Uint32())
		case kindByte:
			b[i] = byte(r.Uint32())
		case kindBool:
			b[i] = byte(r.IntN(2))
		}
	}
	return b
}

type elemKind int

const (
	kindFloat elemKind = iota
	kindInt
	kindMask
	kindHalf
	kindByte
	kindBool
)

// signature tells what a kernel reads, and the size and kind of what it writes.
func signature(k kernel) (in [3]elemKind, out elemKind) {
	switch k {
	case kAddInt, kSubInt, kMulInt, kMinInt, kMaxInt:
		return [3]elemKind{kindInt, kindInt}, kindInt
	case kEqInt, kGtInt:
		return [3]elemKind{kindInt, kindInt}, kindMask
	case kEq, kNe, kLt, kLe:
		return in, kindMask
	case kSelect:
		return [3]elemKind{kindMask, kindInt, kindInt}, kindInt
	case kAnd, kOr, kXor, kNot:
		return [3]elemKind{kindInt, kindInt}, kindInt
	case kFloatToInt:
		return in, kindInt
	case kIntToFloat, kWordToNormal:
		return [3]elemKind{kindInt}, kindFloat
	case kBF16ToFloat, kF16ToFloat:
		return [3]elemKind{kindHalf}, kindFloat
	case kFloatToBF16, kFloatToF16:
		return in, kindHalf
	case kU8ToInt:
		return [3]elemKind{kindByte}, kindInt
	case kIntToU8:
		return [3]elemKind{kindInt}, kindByte
	case kBoolToMask:
		return [3]elemKind{kindBool}, kindMask
	case kMaskToBool:
		return [3]elemKind{kindMask}, kindBool
	}
	return in, kindFloat
}

// ulps returns the distance of got from want in units in the last place of want.
func ulps(got float32, want float64) float64 {
	if math.IsNaN(want) {
		if got != got {
			return 0
		}
		return math.Inf(1)
	}
	w := float32(want)
	if float64(got) == want || got == w {
		return 0
	}
	if math.IsInf(float64(w), 0) || math.IsInf(float64(got), 0) || got != got {
		return math.Inf(1)
	}
	_, e := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(e-24, -149))
}

func TestKernels(t *testing.T) {
	for _, l := range feature.Levels() {
		ks := kernelsFor(l)
		t.Run(l.String(), func(t *testing.T) {
			for k := range kernelCount {
				t.Run(kernelNames[k], func(t *testing.T) { testKernel(t, ks[k], k) })
			}
		})
	}
}

func testKernel(t *testing.T, run micro, k kernel) {
	const n = 4096
	r := rand.New(rand.NewPCG(1, uint64(k)))
	in, out := signature(k)
	var ops [3][]byte
	for i := range ops {
		ops[i] = operand(r, n+splatBytes, in[i], i*7)
	}
	ptr := func(b []byte) unsafe.Pointer { return unsafe.Pointer(&b[0]) }
	worst := 0.0
	for _, size := range []int{16, 32, 48, 64, 80, 112, 128, 144, n} {
		got, want := make([]byte, 4*n+64), make([]byte, 4*n+64)
		for i := range got {
			got[i], want[i] = 0xa5, 0xa5
		}
		run(ptr(got), ptr(ops[0]), ptr(ops[1]), ptr(ops[2]), 1, 1, 1, size)
		twins[k](ptr(want), ptr(ops[0]), ptr(ops[1]), ptr(ops[2]), 1, 1, 1, size)
		worst = max(worst, compareKernel(t, k, out, got, want, ops, size, 1))
	}
	if k == kBoolToMask || k == kSelect {
		return // splats of these need equal bytes, as below, of valid values
	}
	// The second operand (of unary ones the first) as a splat.
	for i := range 8 {
		s := 0
		if arity(k) > 1 {
			s = 1
		}
		saved := append([]byte(nil), ops[s]...)
		width := map[elemKind]int{kindHalf: 2, kindByte: 1, kindBool: 1}[in[s]]
		if width == 0 {
			width = 4
		}
		for j := width; j < splatBytes; j++ {
			ops[s][j] = ops[s][j%width]
		}
		if i > 0 && in[s] == kindFloat {
			for j := 0; j < splatBytes; j += 4 {
				*(*float32)(unsafe.Pointer(&ops[s][j])) = specials[i*5]
			}
		}
		steps := [3]int{1, 1, 1}
		steps[s] = 0
		got, want := make([]byte, 4*n+64), make([]byte, 4*n+64)
		run(ptr(got), ptr(ops[0]), ptr(ops[1]), ptr(ops[2]), steps[0], steps[1], steps[2], 208)
		twins[k](ptr(want), ptr(ops[0]), ptr(ops[1]), ptr(ops[2]), steps[0], steps[1], steps[2], 208)
		for j := 0; j < 208*4 && out == kindFloat; j += 4 {
			g, w := *(*float32)(ptr(got[j:])), *(*float32)(ptr(want[j:]))
			if x := f32at(ops[0], j/4); max(g, w, -g, -w) < 1e-30 || k == kSiluMul && (max(x, -x) < 1e-30 || x < -85) {
				continue
			}
			if d := ulps(g, float64(w)); d > tolerance[k]+1 && !(tolerance[k] == 0 && d == 0) {
				t.Fatalf("splat: element %d is %v, want %v", j/4, g, w)
			}
		}
		copy(ops[s], saved)
	}
	if worst > 0 {
		t.Logf("worst %.2f ulp", worst)
	}
}

func arity(k kernel) int {
	switch k {
	case kMulAdd, kMulSub, kSubMul, kSelect:
		return 3
	case kAdd, kSub, kMul, kDiv, kMinimum, kMaximum, kEq, kNe, kLt, kLe, kAnd, kOr, kXor, kAddInt, kSubInt, kMulInt, kMinInt, kMaxInt,
		kEqInt, kGtInt, kPow, kExpMul, kExpSub, kSigmoidMul, kTanhMul, kSiluMul:
		return 2
	}
	return 1
}

func compareKernel(t *testing.T, k kernel, out elemKind, got, want []byte, ops [3][]byte, n, step int) (worst float64) {
	t.Helper()
	width := map[elemKind]int{kindHalf: 2, kindByte: 1, kindBool: 1}[out]
	if width == 0 {
		width = 4
	}
	for i := n * width; i < len(got); i++ {
		if got[i] != 0xa5 {
			t.Fatalf("n=%d: byte %d behind the result was written", n, i)
		}
	}
	for i := range n {
		if out != kindFloat || tolerance[k] == 0 {
			g, w := got[i*width:(i+1)*width], want[i*width:(i+1)*width]
			if string(g) == string(w) {
				continue
			}
			if width == 4 {
				gf, wf := *(*float32)(unsafe.Pointer(&g[0])), *(*float32)(unsafe.Pointer(&w[0]))
				if out == kindFloat && gf != gf && wf != wf {
					continue // NaN payloads may differ
				}
				if gf == wf && (k == kMinimum || k == kMaximum || k == kRelu) {
					continue // either zero
				}
				t.Fatalf("n=%d: element %d is %v (%x), want %v (%x); a=%v b=%v c=%v", n, i, gf, g, wf, w, f32at(ops[0], i), f32at(ops[1], i), f32at(ops[2], i))
			}
			if width == 2 && isNaN16(k, g) && isNaN16(k, w) {
				continue
			}
			t.Fatalf("n=%d: element %d is %x, want %x; a=%v", n, i, g, w, f32at(ops[0], i))
		}
		g := *(*float32)(unsafe.Pointer(&got[4*i]))
		w := 0.0
		if k == kWordToNormal {
			w = normalOf(*(*uint32)(unsafe.Pointer(&ops[0][4*i])))
		} else {
			w = exact[k](float64(f32at(ops[0], i)), float64(f32at(ops[1], i)))
		}
		d := ulps(g, w)
		switch k {
		case kSilu, kSiluMul, kGelu, kGeluTanh:
			// A factor below the normal range has lost bits: the error is its last one.
			a, b := math.Abs(float64(f32at(ops[0], i))), math.Abs(float64(f32at(ops[1], i)))
			if arity(k) == 1 {
				b = 1
			}
			if math.Abs(float64(g)-w) <= 0x1p-149*max(1, a)*max(1, b) || math.IsInf(b, 0) && g != g {
				d = 0
			}
		}
		if d > tolerance[k] {
			t.Errorf("element %d: %v ulp: %s(%v, %v) = %v, want %v", i, d, kernelNames[k], f32at(ops[0], i), f32at(ops[1], i), g, w)
			if n > 100 {
				t.FailNow()
			}
		}
		worst = max(worst, d)
	}
	return worst
}

func f32at(b []byte, i int) float32 { return *(*float32)(unsafe.Pointer(&b[4*i])) }

func isNaN16(k kernel, b []byte) bool {
	h := *(*uint16)(unsafe.Pointer(&b[0]))
	if k == kFloatToBF16 {
		return h&0x7fff > 0x7f80
	}
	return h&0x7fff > 0x7c00
}

// TestBinaryRepeated compares operations with one value for an operand with those on
// slices of it.
func TestBinaryRepeated(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 15, 16, 63, 64, 100, 333} {
		x, same, got, want := normal(r, n), make([]float32, n), make([]float32, n), make([]float32, n)
		var block [Repeats]float32
		for i := range block {
			block[i] = 1.25
		}
		for i := range same {
			same[i] = 1.25
		}
		for _, o := range []Op{Add, Sub, Mul, Div, Maximum, Pow} {
			for repeated := range 2 {
				if repeated == 0 {
					BinaryRepeated(o, got, block[:], x, 0)
					Binary(o, want, same, x)
				} else {
					BinaryRepeated(o, got, x, block[:], 1)
					Binary(o, want, x, same)
				}
				for i := range got {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
						t.Fatalf("%s of %d, operand %d repeated: element %d is %v, want %v", o, n, repeated, i, got[i], want[i])
					}
				}
			}
		}
	}
}
