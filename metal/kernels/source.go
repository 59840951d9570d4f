// Package kernels holds the Metal kernels: their MSL sources, the generator of fused elementwise and reduction
// kernels, and for each kernel the function that turns a problem's sizes into a Launch: source, function constants,
// parameters and grid. It knows neither devices nor tensors.
package kernels

import (
	"embed"
	"fmt"
	"sort"
	"strings"
	"sync"
)

//go:embed *.metal
var files embed.FS

// Type is an element type that kernels work with.
type Type uint8

const (
	F32 Type = iota
	F16
	BF16
	I32
	I64
	U8
	Bool
	U32
)

var types = [...]struct {
	name, msl string
	size      int
}{{"f32", "float", 4}, {"f16", "half", 2}, {"bf16", "bfloat", 2}, {"i32", "int", 4}, {"i64", "long", 8}, {"u8", "uchar", 1}, {"bool", "bool", 1}, {"u32", "uint", 4}}

func (t Type) String() string { return types[t].name }

// Size is the bytes of one element.
func (t Type) Size() int { return types[t].size }

// MSL is the type's name in the Metal Shading Language.
func (t Type) MSL() string { return types[t].msl }

// Float says whether the type is one of the three that the hand-written kernels compute with.
func (t Type) Float() bool { return t <= BF16 }

// Accumulator is the type that sums and comparisons of t are made in: Acc in the sources.
func (t Type) Accumulator() Type {
	switch {
	case t.Float():
		return F32
	case t == I64 || t == U32:
		return I64
	}
	return I32
}

const floatLimits = "#define LOWEST (-INFINITY)\n#define HIGHEST INFINITY\n"

const header = `#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
`

var (
	sourcesMu sync.Mutex
	sources   = map[string]string{}
)

// source puts a file together with its element type T, that type's accumulator, and definitions. Equal arguments give the
// same string, so that its hash is a key of compiled pipelines.
func source(file string, t Type, definitions ...string) string {
	key := fmt.Sprint(file, t, definitions)
	sourcesMu.Lock()
	defer sourcesMu.Unlock()
	if s, ok := sources[key]; ok {
		return s
	}
	var b strings.Builder
	b.WriteString(header)
	fmt.Fprintf(&b, "typedef %s T;\ntypedef %s Acc;\n", t.MSL(), t.Accumulator().MSL())
	b.WriteString(map[Type]string{F32: floatLimits, I32: "#define LOWEST INT_MIN\n#define HIGHEST INT_MAX\n", I64: "#define LOWEST LONG_MIN\n#define HIGHEST LONG_MAX\n"}[t.Accumulator()])
	if t.Float() {
		fmt.Fprintf(&b, "#define FLOAT\n#define IS_NAN(x) isnan(x)\ntypedef packed_%s4 PackedT4;\n#define THREADS %d\n", t.MSL(), tileThreads)
	} else {
		b.WriteString("#define IS_NAN(x) false\n")
	}
	for _, d := range definitions {
		b.WriteString("#define " + d + "\n")
	}
	for _, name := range []string{"prelude.metal", file} {
		b.WriteString(text(name))
	}
	sources[key] = b.String()
	return sources[key]
}

// text is a file with the files that it includes in their places.
func text(name string) string {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#line 1 %q\n", name)
	for n, line := range strings.SplitAfter(string(data), "\n") {
		if included, ok := strings.CutPrefix(strings.TrimSpace(line), "#include "); ok {
			fmt.Fprintf(&b, "%s#line %d %q\n", text(strings.Trim(included, `"`)), n+2, name)
		} else {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Prelude is the text that stands before generated kernels and user kernels.
func Prelude() string { return header + text("prelude.metal") }

// threadBound is the attribute that keeps a pipeline from allowing fewer threads per threadgroup than a launch has.
func threadBound(threads int) string {
	return fmt.Sprintf("[[max_total_threads_per_threadgroup(%d)]]\n", threads)
}

// Names lists the hand-written kernels, sorted.
func Names() []string {
	var names []string
	entries, _ := files.ReadDir(".")
	for _, e := range entries {
		text, _ := files.ReadFile(e.Name())
		for _, line := range strings.Split(string(text), "\n") {
			if rest, ok := strings.CutPrefix(line, "kernel void "); ok {
				names = append(names, rest[:strings.IndexByte(rest, '(')])
			}
		}
	}
	sort.Strings(names)
	return names
}

// Constant is the value of one function constant: bool or uint32.
type Constant struct {
	Index int
	Value any
}

// Argument is one buffer of a kernel.
type Argument struct {
	Name   string
	Writes bool
	Type   Type
	Size   int  // elements that the kernel touches
	Unused bool // by these function constants: any buffer will do
}

// Launch is one dispatch, but for its buffers. Argument i is [[buffer(i)]], Params the struct at the index after.
type Launch struct {
	Kernel    string
	Variant   string // "f16 64x64", for tests and timings
	Source    string
	Constants []Constant
	Arguments []Argument
	Params    []byte
	Factor    int // of products: where in Params the factor is, a float
	Groups    [3]int
	Threads   [3]int
	Flops     int64
	Bytes     int64
}

// params lays out uint32, int32 and float32 fields as MSL does.
func params(fields ...any) []byte {
	var b []byte
	for _, f := range fields {
		b = appendField(b, f)
	}
	return b
}

func appendField(b []byte, f any) []byte {
	word := func(u uint32) []byte { return append(b, byte(u), byte(u>>8), byte(u>>16), byte(u>>24)) }
	switch v := f.(type) {
	case int:
		if v < 0 || int64(v) > 1<<32-1 {
			panic(fmt.Sprintf("kernels: %d does not fit a uint parameter", v))
		}
		return word(uint32(v))
	case int32:
		return word(uint32(v))
	case uint32:
		return word(v)
	case float32:
		return word(floatBits(v))
	}
	panic(fmt.Sprintf("kernels: parameter of type %T", f))
}

// constants numbers function constants from 0.
func constants(values ...any) []Constant {
	out := make([]Constant, len(values))
	for i, v := range values {
		out[i] = Constant{i, v}
	}
	return out
}

func ceil(a, b int) int { return (a + b - 1) / b }

// flatThreads are the threads of a threadgroup where threads have nothing to do with each other.
const flatThreads = 256

// flat is a grid of one thread per element.
func (l *Launch) flat(n int) {
	l.Groups, l.Threads = [3]int{ceil(n, flatThreads), 1, 1}, [3]int{flatThreads, 1, 1}
}

// perRow is a grid of one threadgroup per row, of as many SIMD groups as the row's length is worth.
func (l *Launch) perRow(rows, columns int) {
	l.Groups, l.Threads = [3]int{rows, 1, 1}, [3]int{rowThreads(rows, columns), 1, 1}
}

// rowThreads are more where few rows leave the GPU to a few threadgroups.
func rowThreads(rows, columns int) int {
	threads, most := 32, flatThreads
	if rows < 32 {
		most = maxRowThreads
	}
	for threads < most && threads*4 < columns {
		threads *= 2
	}
	return threads
}

// maxRowThreads is what the kernels of rows declare, so that no pipeline allows fewer.
const maxRowThreads = 1024

// tileThreads are the threads of threadgroups that multiply tiles: THREADS in tile.metal.
const tileThreads = 128

// account fills in the bytes moved, from the arguments.
func (l *Launch) account() *Launch {
	for _, a := range l.Arguments {
		if !a.Unused {
			l.Bytes += int64(a.Size * a.Type.Size())
		}
	}
	return l
}

func in(name string, t Type, size int) Argument {
	return Argument{Name: name, Type: t, Size: size, Unused: size == 0}
}
func out(name string, t Type, size int) Argument {
	return Argument{Name: name, Type: t, Size: size, Writes: true, Unused: size == 0}
}

func sizeIf(present bool, size int) int {
	if present {
		return size
	}
	return 0
}
