package vec

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"loris/internal/cpu/lane"
	"loris/internal/cpu/native"
	"loris/internal/cpu/pool"
)

// eachNativeLevel runs a test with every level that has machine code here.
func eachNativeLevel(t *testing.T, f func(t *testing.T)) {
	eachLevel(t, func(t *testing.T) {
		if !native.Supported(level) {
			t.Skip("no machine code")
		}
		f(t)
	})
}

func TestKernelsAreTheFunctionsOfPackageLane(t *testing.T) {
	if len(lane.Functions) != int(kernelCount) {
		t.Fatalf("%d functions, %d kernels", len(lane.Functions), kernelCount)
	}
	for k, f := range lane.Functions {
		if f.Name != kernelNames[k] {
			t.Errorf("kernel %d is %s, the function %s", k, kernelNames[k], f.Name)
		}
	}
}

// edgeBits are float32 values at which functions have their edges.
var edgeBits = []uint32{0, 1 << 31, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 1, 0x80000001, 0x007fffff, 0x00800000,
	0x7f7fffff, 0xff7fffff, 0x42b17218, 0xc2ce8ed0, 0x3f000000, 0x4b000001, 0xcf000000, 0x4effffff, 0x33800000}

// elements returns n elements of a type as they lie in memory, 16 bytes and more beyond
// them untouched.
func elements(r *rand.Rand, t Type, n int) []byte {
	data := make([]byte, t.Size()*n+64)
	for i := range n {
		q := unsafe.Pointer(&data[i*t.Size()])
		f := math.Float32bits(float32(r.NormFloat64() * math.Exp2(float64(r.IntN(12)-6))))
		if r.IntN(6) == 0 {
			f = edgeBits[r.IntN(len(edgeBits))]
		}
		switch t {
		case F32:
			*(*uint32)(q) = f
		case I32:
			*(*int32)(q) = int32(r.Uint32()) >> r.IntN(32)
		case F16:
			*(*uint16)(q) = uint16(r.Uint32())
		case BF16:
			*(*uint16)(q) = uint16(f >> 16)
		case U8:
			*(*uint8)(q) = uint8(r.Uint32())
		case Bool:
			*(*uint8)(q) = uint8(r.IntN(2))
		}
	}
	return data
}

// same reports whether two elements are equal, all NaN among them.
func same(t Type, a, b []byte, i int) bool {
	p, q := unsafe.Pointer(&a[i*t.Size()]), unsafe.Pointer(&b[i*t.Size()])
	switch t {
	case F32:
		x, y := *(*float32)(p), *(*float32)(q)
		return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y
	case I32:
		return *(*int32)(p) == *(*int32)(q)
	case F16, BF16:
		inf := map[Type]uint16{F16: 0x7c00, BF16: 0x7f80}[t]
		x, y := *(*uint16)(p), *(*uint16)(q)
		return x == y || x&0x7fff > inf && y&0x7fff > inf
	}
	return a[i] == b[i]
}

// memoryOf lists the memory types of a register type.
var memoryOf = map[Type][]Type{F32: {F32, F32, F32, F16, BF16}, I32: {I32, I32, U8}, Bool: {Bool}}

// randomProgram applies random operations, casts and constants to random inputs, and
// sums rows of up to sums values.
func randomProgram(r *rand.Rand, size, sums int) *Program {
	p := &Program{}
	var values []Value
	pick := func(t Type) Value {
		for _, i := range r.Perm(len(values)) {
			if p.Type(values[i]) == t {
				return values[i]
			}
		}
		if r.IntN(2) == 0 {
			return p.Const(float64(r.IntN(9)-4)/2, t)
		}
		if len(p.inputs) > 6 {
			return p.Cast(values[r.IntN(len(values))], t)
		}
		m := memoryOf[t]
		return p.Input(m[r.IntN(len(m))])
	}
	values = append(values, p.Input(F32), p.Input(memoryOf[F32][r.IntN(5)]))
	for len(values) < size {
		op := Op(r.IntN(int(opCount)))
		t := []Type{F32, F32, F32, I32, Bool}[r.IntN(5)]
		if !op.Supports(t) {
			continue
		}
		args := make([]Value, op.Arity())
		for i := range args {
			args[i] = pick(t)
		}
		if op == Select {
			args[0] = pick(Bool)
		}
		values = append(values, p.Apply(op, args...))
		if r.IntN(6) == 0 {
			values = append(values, p.Cast(values[r.IntN(len(values))], []Type{F32, I32, Bool}[r.IntN(3)]))
		}
	}
	for i := range 1 + r.IntN(3) {
		v := values[len(values)-1-i]
		if i == 2 {
			v = values[r.IntN(len(values))] // an input, at times
		}
		m := memoryOf[p.Type(v)]
		p.Output(v, m[r.IntN(len(m))])
	}
	for _, v := range values {
		if sums > 0 && p.Type(v) == F32 && r.IntN(2) == 0 && !p.nodes[v].one && p.nodes[v].kind != nodeConst {
			p.RowSum(v)
			sums--
		}
	}
	return p
}

// runBoth runs a program by its instructions and as machine code on the same operands,
// and reports whether it can be machine code.
func runBoth(t *testing.T, r *rand.Rand, workers *pool.Pool, p *Program, shape ...int) bool {
	if err := p.Compile(); err != nil {
		t.Fatal(err)
	}
	n, strides := 1, make([][]int, len(p.inputs))
	for _, d := range shape {
		n *= d
	}
	for i, m := range p.Inputs() {
		strides[i] = randomStrides(r, shape, m.Size() == 4)
	}
	plain, err := p.Bind(shape, strides)
	if err != nil {
		return false // the sum of rows of one element
	}
	fast, _ := p.Bind(shape, strides)
	plain.cold = math.Inf(1)
	fast.cold = 0
	var given [][]byte
	var in []unsafe.Pointer
	for i, m := range p.Inputs() {
		given = append(given, elements(r, m, 2*n))
		in = append(in, unsafe.Pointer(&given[i][0]))
	}
	length := func(o outputNode) int {
		if o.rowSum {
			return n / shape[len(shape)-1]
		}
		return n
	}
	const beyond = 16 // elements that must stay as they are
	var outs [2][]unsafe.Pointer
	var data [2][][]byte
	for k := range outs {
		for _, o := range p.outputs {
			d := make([]byte, o.mem.Size()*(length(o)+beyond))
			for i := range d {
				d[i] = 0x5a
			}
			data[k] = append(data[k], d)
			outs[k] = append(outs[k], unsafe.Pointer(&d[0]))
		}
	}
	plain.Run(workers, nil, in, outs[0])
	fast.Run(workers, nil, in, outs[1])
	for i, o := range p.outputs {
		for j := range length(o) + beyond {
			if !same(o.mem, data[0][i], data[1][i], j) {
				s := o.mem.Size()
				t.Fatalf("%v, strides %v: output %d (%s, sum %v), element %d: instructions give %x, machine code %x; %+v", shape, strides, i, o.mem, o.rowSum, j,
					data[0][i][j*s:][:s], data[1][i][j*s:][:s], p.nodes)
			}
		}
	}
	for _, k := range []*Kernel{plain, fast} {
		in, out := slices.Clone(in), slices.Clone(outs[1])
		for i := range in {
			in[i] = unsafe.Pointer(&slices.Clone(given[i])[0])
		}
		taken := shareMemory(r, k, in, out)
		k.Run(workers, nil, in, out)
		for i, o := range p.outputs {
			got := unsafe.Slice((*byte)(out[i]), o.mem.Size()*length(o))
			for j := range length(o) {
				if !same(o.mem, data[0][i], got, j) {
					t.Fatalf("%v, strides %v, outputs in inputs %v, machine code %v: output %d, element %d differs; %+v", shape, strides, taken, k.code != nil, i, j, p.nodes)
				}
			}
		}
	}
	return fast.code != nil
}

// shareMemory lets outputs lie in the memory of inputs, and returns which do.
func shareMemory(r *rand.Rand, k *Kernel, in, out []unsafe.Pointer) map[int]int {
	taken := map[int]int{}
	for o := range out {
		i := r.IntN(len(in))
		_, twice := taken[i]
		if n := &k.p.nodes[k.p.inputs[i]]; !twice && !n.one && k.inputs[i].kind == inOrder && !k.p.outputs[o].rowSum && n.mem.Size() == k.p.outputs[o].mem.Size() {
			taken[i], out[o] = o, in[i]
		}
	}
	return taken
}

// randomStrides lets an input lie in order, mostly, or repeat or skip elements.
func randomStrides(r *rand.Rand, shape []int, repeat bool) []int {
	inner := 1
	switch k := r.IntN(6); {
	case k < 3:
		return nil
	case k == 3 && repeat:
		inner = 0
	case k == 4 && len(shape) == 1:
		inner = 2
	}
	s := make([]int, len(shape))
	for d, step := len(shape)-1, inner; d >= 0; d-- {
		s[d] = step
		if d < len(shape)-1 && r.IntN(3) == 0 {
			s[d] = 0
		}
		step = max(step, 1) * shape[d]
	}
	return s
}

// Every operation that is assembly, on every type it has.
func TestMachineCodeOfOperations(t *testing.T) {
	eachNativeLevel(t, func(t *testing.T) {
		r, workers := rand.New(rand.NewPCG(1, 1)), newPool(t, 1)
		for op := range opCount {
			for _, typ := range []Type{F32, I32, Bool} {
				if !op.Supports(typ) {
					continue
				}
				for _, n := range []int{16, 100, 3000} {
					p := &Program{}
					var args []Value
					for i := range op.Arity() {
						if op == Select && i == 0 {
							args = append(args, p.Input(Bool))
							continue
						}
						args = append(args, p.Input(typ))
					}
					v := p.Apply(op, args...)
					p.Output(v, p.Type(v))
					_, slow := rows[op].slow[typ]
					if compiled := runBoth(t, r, workers, p, n); compiled == (slow || op == Sin || op == Cos) {
						t.Errorf("%s of %s: machine code %v", op, typ, compiled)
					}
				}
			}
		}
	})
}

func TestMachineCodeOfRandomPrograms(t *testing.T) {
	eachNativeLevel(t, func(t *testing.T) {
		r, workers := rand.New(rand.NewPCG(2, 2)), newPool(t, 2)
		shapes := [][]int{{1}, {15}, {16}, {17}, {63}, {64}, {200}, {5000}, {70000}, {7, 32}, {3, 48}, {64, 512}, {2, 20000}, {300, 64}, {5, 1, 96}, {2, 3, 32}, {0, 32}}
		compiled, trials := 0, 800
		if testing.Short() {
			trials = 300
		}
		for trial := range trials {
			shape, sums := shapes[trial%len(shapes)], 0
			if len(shape) > 1 && shape[len(shape)-1]%lanes == 0 {
				sums = r.IntN(3)
			}
			if runBoth(t, r, workers, randomProgram(r, 3+r.IntN(20), sums), shape...) {
				compiled++
			}
		}
		t.Logf("%d of %d programs became machine code", compiled, trials)
		if compiled < trials/3 {
			t.Errorf("only %d of %d programs became machine code", compiled, trials)
		}
	})
}

// longChain is (tanh(exp(sigmoid(a·b)) - b) + erf(c))·b - sigmoid(a·b), and c.
func longChain() *Program {
	p := &Program{}
	a, b, c := p.Input(F32), p.Input(F32), p.Input(F32)
	s := p.Apply(Sigmoid, p.Apply(Mul, a, b))
	v := p.Apply(Tanh, p.Apply(Sub, p.Apply(Exp, s), b))
	v = p.Apply(Mul, p.Apply(Add, v, p.Apply(Erf, c)), b)
	p.Output(p.Apply(Sub, v, s), F32)
	p.Output(c, F32)
	return p
}

func TestLongProgramsBecomeShortLoops(t *testing.T) {
	eachNativeLevel(t, func(t *testing.T) {
		r, workers := rand.New(rand.NewPCG(4, 4)), newPool(t, 2)
		for _, shape := range [][]int{{16}, {5000}, {40, 96}, {3, 4000}} {
			p := longChain()
			if !runBoth(t, r, workers, p, shape...) {
				t.Fatalf("%v: no machine code", shape)
			}
			for _, c := range p.natives.codes {
				if len(c.loops) < 3 || c.kept < 2 {
					t.Errorf("%d loops and %d values between them", len(c.loops), c.kept)
				}
			}
		}
		// The sum of more inputs than a loop can have.
		p := &Program{}
		v := p.Input(F32)
		for range 2 * native.MaxOperands {
			v = p.Apply(Add, v, p.Input(F32))
		}
		p.Output(v, F32)
		if !runBoth(t, r, workers, p, 3000) {
			t.Error("no machine code with many inputs")
		}
	})
}

// An output may lie in the memory of an input, whatever else is read of that.
func TestMachineCodeInPlace(t *testing.T) {
	eachNativeLevel(t, func(t *testing.T) {
		r, workers := rand.New(rand.NewPCG(3, 3)), newPool(t, 2)
		for _, n := range []int{16, 1000, 100000} {
			for i, p := range []*Program{chain(), longChain()} {
				if err := p.Compile(); err != nil {
					t.Fatal(err)
				}
				k, _ := p.Bind([]int{n}, make([][]int, 3))
				k.cold = 0
				for over := range 3 {
					var in []unsafe.Pointer
					var want, got [][]float32
					for range 3 {
						x := normal(r, n)
						in, got = append(in, ptrOf(x)), append(got, x)
					}
					got = append(got[over:over+1], make([]float32, n))[:len(p.outputs)]
					var out, apart []unsafe.Pointer
					for _, g := range got {
						w := make([]float32, n)
						want, out, apart = append(want, w), append(out, ptrOf(g)), append(apart, ptrOf(w))
					}
					k.Run(workers, nil, in, apart)
					k.Run(workers, nil, in, out)
					for j := range got {
						if !slices.Equal(got[j], want[j]) {
							t.Fatalf("n=%d, program %d over input %d: output %d differs", n, i, over, j)
						}
					}
				}
			}
		}
	})
}

// BenchmarkMachineCode runs programs by their instructions and as machine code, on one
// thread and in the cache.
func BenchmarkMachineCode(b *testing.B) {
	const rows, cols = 32, 1024
	build := func(f func(p *Program, x, y, z Value) Value) func() *Program {
		return func() *Program {
			p := &Program{}
			x, y, z := p.Input(F32), p.Input(F32), p.Input(F32)
			p.Output(f(p, x, y, z), F32)
			return p
		}
	}
	for _, c := range []struct {
		name  string
		build func() *Program
	}{
		{"two", build(func(p *Program, x, y, z Value) Value { return p.Apply(Mul, p.Apply(Add, x, y), z) })},
		{"arithmetic", build(func(p *Program, x, y, z Value) Value {
			d := p.Apply(Square, p.Apply(Sub, x, y))
			d = p.Apply(Maximum, p.Apply(Sub, p.Apply(Mul, d, p.Const(.3, F32)), z), p.Const(.1, F32))
			return p.Apply(Add, p.Apply(Div, d, x), p.Const(3, F32))
		})},
		{"select", build(func(p *Program, x, y, z Value) Value {
			return p.Apply(Select, p.Apply(Lt, x, y), p.Apply(Mul, z, y), p.Apply(Sub, z, x))
		})},
		{"sums", build(func(p *Program, x, y, z Value) Value {
			d := p.Apply(Mul, p.Apply(Sub, x, y), z)
			p.RowSum(p.Apply(Square, d))
			p.RowSum(d)
			return p.Apply(Mul, d, p.Const(.5, F32))
		})},
		{"gelu", build(func(p *Program, x, y, z Value) Value { return p.Apply(Mul, p.Apply(Gelu, p.Apply(Add, x, y)), z) })},
		{"chain", chain},
		{"longchain", longChain},
	} {
		for _, way := range []struct {
			name string
			cold float64
		}{{"tiles", math.Inf(1)}, {"code", 0}} {
			b.Run(c.name+"/"+way.name, func(b *testing.B) {
				p := c.build()
				if err := p.Compile(); err != nil {
					b.Fatal(err)
				}
				k, err := p.Bind([]int{rows, cols}, make([][]int, 3))
				if err != nil {
					b.Fatal(err)
				}
				k.cold = way.cold
				r, workers := rand.New(rand.NewPCG(1, 1)), newPool(b, 1)
				in := []unsafe.Pointer{ptrOf(normal(r, rows*cols)), ptrOf(normal(r, rows*cols)), ptrOf(normal(r, rows*cols))}
				var out []unsafe.Pointer
				for range p.outputs {
					out = append(out, ptrOf(make([]float32, rows*cols)))
				}
				for b.Loop() {
					k.Run(workers, nil, in, out)
				}
			})
		}
	}
}
