//go:build darwin || softmetal

package mtl

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"loris/metal/objc"
	"loris/metal/softmetal"
)

func TestMain(m *testing.M) {
	if runtime.GOOS != "darwin" {
		if err := softmetal.Setup(); err != nil {
			fmt.Println("skipping the tests of metal/mtl:", err)
			os.Exit(0)
		}
	}
	code := m.Run()
	for _, p := range problems() {
		fmt.Println("the software Metal noted:", p)
		code = 1
	}
	os.Exit(code)
}

// problems are what the software Metal noted about the host code.
func problems() (all []string) {
	count := soft("softmetal_problem_count")
	if count == nil {
		return nil
	}
	if err := objc.Load(); err != nil {
		return []string{err.Error()}
	}
	for i := range count() {
		all = append(all, objc.CString(soft("softmetal_problem")(i)))
	}
	return all
}

func open(t testing.TB, o Options) *Device {
	t.Helper()
	d, err := Open(o)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil && !t.Failed() {
			t.Log("errors seen at close:", err)
		}
	})
	return d
}

// soft is a function of the software Metal, nil on a real one.
func soft(name string) func(args ...uintptr) uintptr {
	if runtime.GOOS == "darwin" {
		return nil
	}
	f := objc.Function(name)
	return func(args ...uintptr) uintptr { return objc.Call(f, args...) }
}

func floats(b *Buffer) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b.Bytes()))), b.Len()/4)
}

func floatBuffer(t testing.TB, d *Device, n int) *Buffer {
	t.Helper()
	b, err := d.NewBuffer(4 * n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const addSource = `#include <metal_stdlib>
using namespace metal;
constant bool twice [[function_constant(0)]];
struct Params { uint n; };
kernel void add(device const float* a [[buffer(0)]], device const float* b [[buffer(1)]],
                device float* c [[buffer(2)]], constant Params& p [[buffer(3)]],
                uint i [[thread_position_in_grid]]) {
  if (i < p.n) c[i] = (a[i] + b[i]) * (twice ? 2 : 1);
}
`

func addDispatch(t testing.TB, d *Device, a, b, c *Buffer, n int, twice bool) *Dispatch {
	t.Helper()
	p, err := d.Pipeline(addSource, "add", Constant{0, twice})
	if err != nil {
		t.Fatal(err)
	}
	return &Dispatch{Pipeline: p, Label: "add", Bindings: []Binding{{Buffer: a}, {Buffer: b}, {Buffer: c, Writes: true}},
		Params: []byte{byte(n), byte(n >> 8), byte(n >> 16), 0}, Groups: objc.Size{Width: uint(n+255) / 256, Height: 1, Depth: 1}, Threads: objc.Size{Width: 256, Height: 1, Depth: 1}}
}
