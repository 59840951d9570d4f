//go:build softmetal

package metal_test

import (
	"runtime"
	"testing"
	"unsafe"

	lt "loris/tensorlib"
)

// buffers counts the Metal buffers that there are.
func buffers() int {
	name := append([]byte("MTLBuffer"), 0)
	defer runtime.KeepAlive(name)
	return soft("live", uintptr(unsafe.Pointer(&name[0])))
}

func TestMemoryOfTheCPUIsWrappedOnceAndGivenBackWithIt(t *testing.T) {
	lt.Use("cpu")
	w := lt.NewRand(1).Normal(300, 300).Eval()
	lt.Use("metal")
	defer lt.Use("cpu")
	before := buffers()
	sum := func() float64 { return w.Exp().Sum().Item() }
	want := sum()
	wrapped := buffers()
	for range 5 {
		if got := sum(); got != want {
			t.Errorf("the sum was %v and is %v", want, got)
		}
	}
	if n := buffers(); n > wrapped {
		t.Errorf("five runs made %d more Metal buffers", n-wrapped)
	}
	if wrapped == before {
		t.Error("no buffer was made over the memory of the CPU")
	}
	w.Release()
	sum2 := lt.Ones(3).Sum().Item() // frees what is free
	if n := buffers(); n >= wrapped || sum2 != 3 {
		t.Errorf("%d Metal buffers are left of %d after the memory was released", n, wrapped)
	}
}
