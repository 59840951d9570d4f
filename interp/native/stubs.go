package native

import (
	"reflect"
	"runtime"
	"sync"
	"unsafe"
)

//go:generate sh genstubs.sh

const poolSize = 65536

// slots holds the func value that each entry point of the pool runs. The
// assembly reads it.
var slots [poolSize]unsafe.Pointer

var stubs struct {
	sync.Mutex
	used int
}

func poolAddress() unsafe.Pointer

func entrySize() uintptr {
	if runtime.GOARCH == "arm64" {
		return 8
	}
	return 11
}

// newStub returns the code address of an entry point that runs fn, a func
// value.
func newStub(fn unsafe.Pointer) unsafe.Pointer {
	stubs.Lock()
	defer stubs.Unlock()
	if stubs.used == poolSize {
		panic("interp: too many methods were defined in this session; restart the kernel")
	}
	i := stubs.used
	stubs.used++
	slots[i] = fn
	return unsafe.Add(poolAddress(), uintptr(i)*entrySize())
}

// funcPointer returns the closure pointer of a func value.
func funcPointer(v reflect.Value) unsafe.Pointer {
	x := v.Interface()
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&x))[1]
}
