package softmetal

import (
	"errors"
	"strings"
	"testing"
)

func toolchain(t *testing.T) *Toolchain {
	t.Helper()
	tools, err := NewToolchain("")
	if errors.Is(err, ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tools
}

// body wraps statements in a kernel, so that they begin at line 5.
func body(statements string) string {
	return `#include <metal_stdlib>
using namespace metal;
struct Params { uint n; };
kernel void k(device float* y [[buffer(0)]], device const float* x [[buffer(1)]], constant Params& p [[buffer(2)]], uint i [[thread_position_in_grid]]) { threadgroup float tile[8];
` + statements + "\n}\n"
}

func TestTypeCheckAcceptsPlainMSL(t *testing.T) {
	if err := toolchain(t).TypeCheck(body("float4 v = float4(1.0f, x[0], 2.0f, 0.5h); tile[i % 8] = dot(v, v); threadgroup float* q = tile; y[i] = q[0] + max(x[i], 0.0f) + simd_sum(x[i]);")); err != nil {
		t.Error(err)
	}
}

func TestTypeCheckAcceptsAssignmentOfStructs(t *testing.T) {
	source := strings.Replace(body("Pair a, b; a.x = x[0]; b = a; a = twice(b); y[i] = a.x;"), "struct Params", "struct Pair { float x; };\ninline Pair twice(Pair p) { p.x *= 2.0f; return p; }\nstruct Params", 1)
	if err := toolchain(t).TypeCheck(source); err != nil {
		t.Error(err)
	}
}

func TestTypeCheckFindsWhatAppleRefuses(t *testing.T) {
	tools := toolchain(t)
	for name, statement := range map[string]string{
		"write through const":            "x[0] = 1;",
		"write to constant":              "p.n = 1;",
		"device to threadgroup":          "threadgroup float* q = y;",
		"device to thread":               "thread float* q = y;",
		"pointer without address space":  "float v = 1; float* q = &v;",
		"ambiguous max":                  "y[0] = max(x[0], 0);",
		"half and float":                 "y[0] = max(half(1), 1.0f);",
		"too few components":             "float4 v = float4(1.0f, 2.0f);",
		"bad swizzle":                    "float2 v = float2(1.0f); y[0] = v.z;",
		"64-bit SIMD sum":                "long v = 1; y[0] = simd_sum(v);",
		"unknown function":               "y[0] = nosuch(1.0f);",
		"double":                         "double v = 1;",
		"matrix of int":                  "simdgroup_matrix<int, 8, 8> m;",
		"matrix store to const":          "simdgroup_float8x8 m; simdgroup_store(m, x, 8);",
		"atomic on plain float":          "atomic_fetch_add_explicit(y, 1.0f, memory_order_relaxed);",
		"if with a declaration":          "if (float v = x[0]; v > 0) y[0] = v;",
		"structured binding":             "struct { float a, b; } s = {1, 2}; auto [a, b] = s; y[0] = a;",
		"threadgroup pointer as atomic*": "atomic_store_explicit((device atomic_uint*)tile, 1u, memory_order_relaxed);",
	} {
		err := tools.TypeCheck(body(statement))
		if err == nil {
			t.Errorf("%s was accepted: %s", name, statement)
		} else if !strings.Contains(err.Error(), "program_source:5:") {
			t.Errorf("%s: not told by its line 5: %v", name, err)
		}
	}
}

func TestCompilingNamesTheLine(t *testing.T) {
	_, err := toolchain(t).CompileHost(body("y[0] = nosuch(1.0f);"), HostOptions{})
	if err == nil || !strings.Contains(err.Error(), "program_source:5:8: error: use of undeclared identifier 'nosuch'") {
		t.Errorf("got %v", err)
	}
}

func TestPTXHasItsEntries(t *testing.T) {
	ptx, err := toolchain(t).PTX(body("y[i] = simd_sum(x[i]);"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(ptx, ".entry metal_k(") || strings.Contains(ptx, ".extern .func") {
		t.Errorf("unexpected PTX:\n%s", ptx)
	}
}
