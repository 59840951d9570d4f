package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/feature"
	"loris/internal/cpu/pool"
)

func newPool(t testing.TB, threads int) *pool.Pool {
	p := pool.New(threads, new(arena.Arena))
	t.Cleanup(p.Close)
	return p
}

// eachLevel runs a test with every set of kernels the machine has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	use := func(l feature.Level) { level, active, activeRows = l, kernelsFor(l), rowsFor(l) }
	defer use(level)
	for _, l := range feature.Levels() {
		use(l)
		t.Run(l.String(), f)
	}
}

func ptrOf[T any](s []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// chain is sigmoid((a·b + c)·0.5)·a - b.
func chain() *Program {
	p := &Program{}
	a, b, c := p.Input(F32), p.Input(F32), p.Input(F32)
	v := p.Apply(Sigmoid, p.Apply(Mul, p.Apply(Add, p.Apply(Mul, a, b), c), p.Const(.5, F32)))
	p.Output(p.Apply(Sub, p.Apply(Mul, v, a), b), F32)
	return p
}

func chainOf(a, b, c float64) float64 { return sigmoid((a*b+c)*.5)*a - b }

func TestChainIsFused(t *testing.T) {
	p := chain()
	if err := p.Compile(); err != nil {
		t.Fatal(err)
	}
	if p.Instructions() != 3 {
		t.Errorf("%d instructions, want muladd, sigmoidmul, mulsub", p.Instructions())
	}
}

func TestChainValues(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		workers := newPool(t, 2)
		for _, n := range []int{0, 1, 2, 15, 16, 17, 63, 64, 65, 1000, 1024, 1025, 5000, 200003} {
			p := chain()
			if err := p.Compile(); err != nil {
				t.Fatal(err)
			}
			k, err := p.Bind([]int{n}, make([][]int, 3))
			if err != nil {
				t.Fatal(err)
			}
			a, b, c, y := normal(r, n), normal(r, n), normal(r, n), make([]float32, n+20)
			for i := range y {
				y[i] = 7
			}
			if !k.Run(workers, nil, []unsafe.Pointer{ptrOf(a), ptrOf(b), ptrOf(c)}, []unsafe.Pointer{ptrOf(y)}) {
				t.Fatal("not finished")
			}
			for i := range n {
				if want := chainOf(float64(a[i]), float64(b[i]), float64(c[i])); math.Abs(float64(y[i])-want) > 1e-6*(1+math.Abs(float64(b[i]))) {
					t.Fatalf("n=%d: y[%d] = %v, want %v", n, i, y[i], want)
				}
			}
			for i := n; i < len(y); i++ {
				if y[i] != 7 {
					t.Fatalf("n=%d: y[%d] was written", n, i)
				}
			}
		}
	})
}

// TestStrides broadcasts, transposes, flips and slices an input in up to four dimensions.
func TestStrides(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	workers := newPool(t, 2)
	for trial := range 300 {
		shape := make([]int, r.IntN(5))
		n := 1
		for i := range shape {
			shape[i] = 1 + r.IntN(9)
			n *= shape[i]
		}
		if trial%3 == 0 && len(shape) > 0 {
			n = n / shape[len(shape)-1] * 700
			shape[len(shape)-1] = 700
		}
		strides := make([]int, len(shape))
		size, origin, step := 1, 0, 1
		for _, i := range r.Perm(len(shape)) {
			switch r.IntN(5) {
			case 0:
				continue // repeated
			case 1:
				step *= 2 // every second
			}
			strides[i] = step
			if r.IntN(4) == 0 {
				strides[i] = -step
				origin += step * (shape[i] - 1)
			}
			step *= shape[i]
			size = step
		}
		typ := []Type{F32, F64, I32, I64, F16, U8}[r.IntN(6)]
		p := &Program{}
		x := p.Cast(p.Input(typ), F64)
		y := p.Input(F32)
		p.Output(p.Apply(Add, x, p.Cast(y, F64)), F64)
		if err := p.Compile(); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, size*typ.Size()+8)
		values := make([]float64, size)
		for i := range values {
			v := r.IntN(200)
			values[i] = float64(v)
			q := unsafe.Pointer(&data[i*typ.Size()])
			switch typ {
			case F32:
				*(*float32)(q) = float32(v)
			case F64:
				*(*float64)(q) = float64(v)
			case I32:
				*(*int32)(q) = int32(v)
			case I64:
				*(*int64)(q) = int64(v)
			case F16:
				var h uint16
				f := [16]float32{float32(v)}
				var out [16]uint16
				twins[kFloatToF16](unsafe.Pointer(&out), unsafe.Pointer(&f), nil, nil, 1, 0, 0, 1)
				h = out[0]
				*(*uint16)(q) = h
			case U8:
				*(*uint8)(q) = uint8(v)
			}
		}
		other, got := normal(r, n), make([]float64, n)
		k, err := p.Bind(shape, [][]int{strides, nil})
		if err != nil {
			t.Fatal(err)
		}
		k.Run(workers, nil, []unsafe.Pointer{unsafe.Add(unsafe.Pointer(&data[0]), origin*typ.Size()), ptrOf(other)}, []unsafe.Pointer{ptrOf(got)})
		for i := range got {
			off := origin
			for d, rest := len(shape)-1, i; d >= 0; d-- {
				off += rest % shape[d] * strides[d]
				rest /= shape[d]
			}
			if want := values[off] + float64(other[i]); got[i] != want {
				t.Fatalf("%s shape %v strides %v: element %d is %v, want %v", typ, shape, strides, i, got[i], want)
			}
		}
	}
}

func TestInPlaceAndTwoOutputs(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	workers := newPool(t, 2)
	p := &Program{}
	a, b := p.Input(F32), p.Input(F32)
	s := p.Apply(Add, a, b)
	p.Output(s, F32)
	p.Output(p.Apply(Sub, a, b), F32)
	p.Output(p.Apply(Lt, a, b), Bool)
	p.Output(p.Cast(s, BF16), BF16)
	if err := p.Compile(); err != nil {
		t.Fatal(err)
	}
	const n = 3001
	x, y, less, half := normal(r, n), normal(r, n), make([]byte, n), make([]uint16, n)
	x0, y0 := slices.Clone(x), slices.Clone(y)
	k, err := p.Bind([]int{n}, make([][]int, 2))
	if err != nil {
		t.Fatal(err)
	}
	k.Run(workers, nil, []unsafe.Pointer{ptrOf(x), ptrOf(y)}, []unsafe.Pointer{ptrOf(x), ptrOf(y), ptrOf(less), ptrOf(half)})
	for i := range n {
		if x[i] != x0[i]+y0[i] || y[i] != x0[i]-y0[i] || (less[i] == 1) != (x0[i] < y0[i]) || half[i] != toBF16(x[i]) {
			t.Fatalf("element %d: %v %v %v %x", i, x[i], y[i], less[i], half[i])
		}
	}
}

// TestResultsInOutputs: what is stored and used on is computed in the output, also where
// that is the memory of an input, and in tiles shorter than a vector.
func TestResultsInOutputs(t *testing.T) {
	workers := newPool(t, 2)
	p := &Program{}
	a, b, c := p.Input(F32), p.Input(F32), p.Element(F32)
	d := p.Apply(Sub, a, b)
	p.Output(d, F32)
	p.Output(p.Apply(Mul, p.Apply(Mul, d, c), d), F32)
	p.Output(d, F32)
	if err := p.Compile(); err != nil {
		t.Fatal(err)
	}
	if p.Instructions() != 4 { // three and the copy of d
		t.Errorf("%d instructions", p.Instructions())
	}
	for _, n := range []int{1, 15, 16, 1030, 3001} {
		r := rand.New(rand.NewPCG(7, uint64(n)))
		x, y, again, factor := normal(r, n), normal(r, n), make([]float32, n), []float32{3}
		x0, y0 := slices.Clone(x), slices.Clone(y)
		k, err := p.Bind([]int{n}, [][]int{nil, nil, {0}})
		if err != nil {
			t.Fatal(err)
		}
		k.Run(workers, nil, []unsafe.Pointer{ptrOf(x), ptrOf(y), ptrOf(factor)}, []unsafe.Pointer{ptrOf(x), ptrOf(y), ptrOf(again)})
		for i := range n {
			d := x0[i] - y0[i]
			if x[i] != d || again[i] != d || y[i] != d*3*d {
				t.Fatalf("%d elements, %d: %v %v %v", n, i, x[i], y[i], again[i])
			}
		}
	}
}

// TestOpsAndTypes runs every operation for every type it has against the slow path in float64 or int64.
func TestOpsAndTypes(t *testing.T) {
	workers := newPool(t, 1)
	for op := range opCount {
		ran := 0
		for _, typ := range []Type{F32, F64, I32, I64, Bool} {
			if !op.Supports(typ) {
				continue
			}
			ran++
			p := &Program{}
			var args []Value
			var in []unsafe.Pointer
			const n = 37
			for i := range op.Arity() {
				at := typ
				if op == Select && i == 0 {
					at = Bool
				}
				args = append(args, p.Input(at))
				data := make([]byte, 8*n)
				for j := range n {
					v := []float64{1, 2, 3, .5, -1, -2.5, 0, 7, 4, -3}[(j*(i+1)+i)%10]
					q := unsafe.Pointer(&data[j*at.Size()])
					switch at {
					case F32:
						*(*float32)(q) = float32(v)
					case F64:
						*(*float64)(q) = v
					case I32:
						*(*int32)(q) = int32(v)
					case I64:
						*(*int64)(q) = int64(v)
					case Bool:
						data[j] = byte(j*(i+1)>>1) & 1
					}
				}
				in = append(in, unsafe.Pointer(&data[0]))
			}
			v := p.Apply(op, args...)
			if p.Type(v) != op.result(typ) {
				t.Errorf("%s of %s is %s", op, typ, p.Type(v))
			}
			p.Output(p.Cast(v, F64), F64)
			if err := p.Compile(); err != nil {
				t.Fatal(op, typ, err)
			}
			k, err := p.Bind([]int{n}, make([][]int, op.Arity()))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float64, n)
			k.Run(workers, nil, in, []unsafe.Pointer{ptrOf(got)})
			for j := range n {
				var x [3]float64
				for i := range in {
					at := typ
					if op == Select && i == 0 {
						at = Bool
					}
					switch q := unsafe.Add(in[i], j*at.Size()); at {
					case F32:
						x[i] = float64(*(*float32)(q))
					case F64:
						x[i] = *(*float64)(q)
					case I32:
						x[i] = float64(*(*int32)(q))
					case I64:
						x[i] = float64(*(*int64)(q))
					case Bool:
						x[i] = float64(*(*byte)(q))
					}
				}
				want := model(op, typ, x)
				if math.IsNaN(want) && math.IsNaN(got[j]) {
					continue
				}
				if !(math.Abs(got[j]-want) <= 2e-6*math.Abs(want)) && got[j] != want {
					t.Fatalf("%s of %s at %v = %v, want %v", op, typ, x, got[j], want)
				}
			}
		}
		if ran == 0 {
			t.Errorf("operation %d has no type", op)
		}
	}
}

// model computes an operation in the plainest way.
func model(op Op, typ Type, x [3]float64) float64 {
	a, b, c := x[0], x[1], x[2]
	isInt := typ == I32 || typ == I64
	truth := func(v bool) float64 {
		if v {
			return 1
		}
		return 0
	}
	switch op {
	case Add:
		return a + b
	case Sub:
		return a - b
	case Mul:
		return a * b
	case Div:
		if isInt {
			if b == 0 {
				return 0
			}
			return math.Trunc(a / b)
		}
		return a / b
	case FloorDiv:
		if isInt && b == 0 {
			return 0
		}
		return math.Floor(a / b)
	case Mod:
		if b == 0 {
			if isInt {
				return 0
			}
			return math.NaN()
		}
		return a - b*math.Floor(a/b)
	case Pow:
		v := math.Pow(a, b)
		if isInt {
			if math.IsInf(v, 0) {
				return 0
			}
			return math.Trunc(v)
		}
		return v
	case Minimum:
		return min(a, b)
	case Maximum:
		return max(a, b)
	case Eq:
		return truth(a == b)
	case Ne:
		return truth(a != b)
	case Lt:
		return truth(a < b)
	case Le:
		return truth(a <= b)
	case Gt:
		return truth(a > b)
	case Ge:
		return truth(a >= b)
	case And:
		return float64(int64(a) & int64(b))
	case Or:
		return float64(int64(a) | int64(b))
	case Xor:
		return float64(int64(a) ^ int64(b))
	case Not:
		if typ == Bool {
			return 1 - a
		}
		return float64(^int64(a))
	case Select:
		if a != 0 {
			return b
		}
		return c
	case MulAdd:
		return a*b + c
	case MulSub:
		return a*b - c
	case SubMul:
		return c - a*b
	case Neg:
		return -a
	case Abs:
		return math.Abs(a)
	case Sign:
		return sign(a)
	case Square:
		return a * a
	case Sqrt:
		return math.Sqrt(a)
	case Rsqrt:
		return 1 / math.Sqrt(a)
	case Reciprocal:
		return 1 / a
	case Relu:
		return max(a, 0)
	case Floor:
		return math.Floor(a)
	case Ceil:
		return math.Ceil(a)
	case Trunc:
		return math.Trunc(a)
	case Round:
		return math.RoundToEven(a)
	case Exp:
		return math.Exp(a)
	case Expm1:
		return math.Expm1(a)
	case Log:
		return math.Log(a)
	case Log1p:
		return math.Log1p(a)
	case Sin:
		return math.Sin(a)
	case Cos:
		return math.Cos(a)
	case Tanh:
		return math.Tanh(a)
	case Sigmoid:
		return 1 / (1 + math.Exp(-a))
	case Silu:
		return a / (1 + math.Exp(-a))
	case Erf:
		return math.Erf(a)
	case Gelu:
		return a / 2 * math.Erfc(-a/math.Sqrt2)
	case GeluTanh:
		return a / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(a+.044715*a*a*a)))
	case ExpMul:
		return math.Exp(a * b)
	case ExpSub:
		return math.Exp(a - b)
	case SigmoidMul:
		return 1 / (1 + math.Exp(-a*b))
	case TanhMul:
		return math.Tanh(a * b)
	case SiluMul:
		return a / (1 + math.Exp(-a)) * b
	}
	return math.NaN()
}

func TestLargeSines(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		x := make([]float32, 1000)
		for i := range x {
			x[i] = float32(r.NormFloat64() * math.Exp(20*r.Float64()))
		}
		x[3], x[4] = math.MaxFloat32, float32(math.Inf(1))
		y := slices.Clone(x)
		Unary(Sin, y, y)
		for i := range x {
			if d := ulps(y[i], math.Sin(float64(x[i]))); d > 4 {
				t.Fatalf("sin(%v) = %v, %v ulp", x[i], y[i], d)
			}
		}
	})
}

func TestMistakesAreReported(t *testing.T) {
	for name, build := range map[string]func(p *Program){
		"no outputs":     func(p *Program) { p.Input(F32) },
		"types differ":   func(p *Program) { p.Output(p.Apply(Add, p.Input(F32), p.Input(I32)), F32) },
		"operand count":  func(p *Program) { p.Output(p.Apply(Add, p.Input(F32)), F32) },
		"unknown value":  func(p *Program) { p.Output(p.Apply(Neg, 99), F32) },
		"type lacks op":  func(p *Program) { p.Output(p.Apply(Exp, p.Input(I32)), I32) },
		"stored type":    func(p *Program) { p.Output(p.Input(F32), I32) },
		"condition type": func(p *Program) { x := p.Input(F32); p.Output(p.Apply(Select, x, x, x), F32) },
	} {
		p := &Program{}
		build(p)
		if p.Compile() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p := chain()
	if err := p.Compile(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Bind([]int{3}, nil); err == nil {
		t.Error("missing strides: no error")
	}
	if _, err := p.Bind([]int{3}, [][]int{{1, 1}, nil, nil}); err == nil {
		t.Error("too many strides: no error")
	}
}

func TestRunAllocatesNothingAndStops(t *testing.T) {
	workers := newPool(t, 2)
	p := chain()
	if err := p.Compile(); err != nil {
		t.Fatal(err)
	}
	const n = 100000
	k, _ := p.Bind([]int{n}, make([][]int, 3))
	x, y := make([]float32, n), make([]float32, n)
	in, out := []unsafe.Pointer{ptrOf(x), ptrOf(x), ptrOf(x)}, []unsafe.Pointer{ptrOf(y)}
	k.warm(k.cold)
	k.Run(workers, nil, in, out)
	if a := testing.AllocsPerRun(100, func() { k.Run(workers, nil, in, out) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
	var stop atomic.Bool
	stop.Store(true)
	if k.Run(workers, &stop, in, out) {
		t.Error("ran to the end though stopped")
	}
}

func TestSlices(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for n := range 70 {
			x, y, z := make([]float32, n), make([]float32, n), make([]float32, n)
			for i := range x {
				x[i], y[i] = float32(i-20), float32(2*i)
			}
			Binary(Add, z, x, y)
			Ternary(MulAdd, z, z, x, y)
			BinaryScalar(Gt, x, z, 100)
			BinaryScalar(Sub, y, z, 3)
			Unary(Neg, z, z)
			for i := range z {
				want := float32(3*i-20)*float32(i-20) + float32(2*i)
				if z[i] != -want || y[i] != want-3 || (math.Float32bits(x[i]) == 0xffffffff) != (want > 100) {
					t.Fatalf("n=%d: z[%d] = %v, want %v", n, i, z[i], -want)
				}
			}
		}
	})
}

func BenchmarkChain(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{32 << 10, 1 << 20} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%dk/threads=%d", n>>10, threads), func(b *testing.B) {
				workers := newPool(b, threads)
				p := chain()
				if err := p.Compile(); err != nil {
					b.Fatal(err)
				}
				k, _ := p.Bind([]int{n}, make([][]int, 3))
				in := []unsafe.Pointer{ptrOf(normal(r, n)), ptrOf(normal(r, n)), ptrOf(normal(r, n))}
				out := []unsafe.Pointer{ptrOf(make([]float32, n))}
				b.SetBytes(int64(16 * n))
				for b.Loop() {
					k.Run(workers, nil, in, out)
				}
			})
		}
	}
}

func BenchmarkOps(b *testing.B) {
	const n = 4096
	r := rand.New(rand.NewPCG(1, 1))
	x, y := normal(r, n), make([]float32, n)
	for _, op := range []Op{Neg, Sqrt, Exp, Expm1, Log, Log1p, Sin, Tanh, Sigmoid, Silu, Erf, Gelu, GeluTanh, Square} {
		b.Run(op.String(), func(b *testing.B) {
			for b.Loop() {
				Unary(op, y, x)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/elem")
		})
	}
}
