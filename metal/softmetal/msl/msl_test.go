package msl

import (
	"strings"
	"testing"
)

const program = `# 1 "program_source"
struct Params { uint n; };
constant bool twice [[function_constant(3)]];
constant constexpr uint N = 32;
kernel void scale(device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
                  constant Params& p [[buffer(2)]], threadgroup float* shared [[threadgroup(0)]],
                  uint2 at [[thread_position_in_grid]]) [[max_total_threads_per_threadgroup(64)]] {
  threadgroup float tile[N][N + 1], other;
  float4 v = float4(1.0, 0.5h, x[0], 2);
  y[at.x] = v.x * 1e-3;
}
`

func TestParseFindsKernelsParametersAndConstants(t *testing.T) {
	p, err := Parse(program)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Constants) != 1 || p.Constants[0] != (Constant{"twice", "bool", 3}) {
		t.Errorf("constants %+v", p.Constants)
	}
	if len(p.Kernels) != 1 || p.Kernels[0].Name != "scale" {
		t.Fatalf("kernels %+v", p.Kernels)
	}
	want := []Param{
		{Name: "x", Type: "const float*", Kind: Buffer, Index: 0, ReadOnly: true},
		{Name: "y", Type: "float*", Kind: Buffer, Index: 1},
		{Name: "p", Type: "const Params&", Kind: Buffer, Index: 2, ReadOnly: true},
		{Name: "shared", Type: "float*", Kind: Threadgroup, Index: 0},
		{Name: "at", Type: "uint2", Kind: Builtin, Builtin: "thread_position_in_grid"},
	}
	for i, got := range p.Kernels[0].Params {
		if got != want[i] {
			t.Errorf("parameter %d: %+v, want %+v", i, got, want[i])
		}
	}
}

func TestHostSourceKeepsLinesAndMakesMSLIntoCpp(t *testing.T) {
	p, err := Parse(program)
	if err != nil {
		t.Fatal(err)
	}
	source, err := p.HostSource()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"static bool twice;", "typedef float threadgroup_type_1[N][N + 1]", "threadgroup_type_2& other", "::metal::make_vector<float, 4>(1.0f, ((half)0.5f), x[0], 2)", "1e-3f", "{0, 0, 1}"} {
		if !strings.Contains(source, part) {
			t.Errorf("%q is missing in\n%s", part, source)
		}
	}
	// Line 10 of the program is line 10 below its marker: errors must name the lines of the MSL.
	lines := strings.Split(source[strings.Index(source, "# 1 \"program_source\""):], "\n")
	if !strings.Contains(lines[9], "1e-3f") {
		t.Errorf("line 9 has moved: %q", lines[9])
	}
}

func TestCheckSourceKeepsAddressSpaces(t *testing.T) {
	p, err := Parse(program)
	if err != nil {
		t.Fatal(err)
	}
	source, err := p.CheckSource()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"__global const float*", "__constant Params&", "__local float*"} {
		if !strings.Contains(source, part) {
			t.Errorf("%q is missing", part)
		}
	}
}

func TestWhatMSLDoesNotHaveIsRefusedWithItsLine(t *testing.T) {
	for name, source := range map[string]string{
		"double":           "# 1 \"program_source\"\n\nkernel void f(device float* x [[buffer(0)]]) { double y = 1; }",
		"new":              "# 1 \"program_source\"\n\nkernel void f(device float* x [[buffer(0)]]) { new int; }",
		"template":         "# 1 \"program_source\"\n\ntemplate <class T> void f(T x) {}",
		"no attribute":     "# 1 \"program_source\"\n\nkernel void f(device float* x, uint i) {}",
		"index used twice": "# 1 \"program_source\"\n\nkernel void f(device float* x [[buffer(0)]], device float* y [[buffer(0)]]) {}",
	} {
		_, err := Parse(source)
		if err == nil || !strings.HasPrefix(err.Error(), "program_source:2:1: error: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(program)
	f.Add("[[")
	f.Add("kernel void f(")
	f.Add("constant bool x [[function_constant(")
	f.Add("threadgroup float a[")
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Parse(source)
		if err != nil {
			return
		}
		_, _ = p.HostSource()
		_, _ = p.CheckSource()
		_, _ = p.CUDASource(nil)
	})
}
