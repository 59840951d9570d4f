//go:build darwin || (linux && softmetal && (amd64 || arm64))

package objc

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/ebitengine/purego"
)

// Entry points of the runtime, found by Load.
var (
	msgSend, msgSendStret  uintptr
	retain, release        uintptr
	poolPush, poolPop      uintptr
	getClass, registerName uintptr
	blockCopy              uintptr
	blockRelease           uintptr
	getInstanceMethod      uintptr
	getClassMethod         uintptr
	getTypeEncoding        uintptr
	sendFloat              func(self ID, selector uintptr) float64
	sendSize               func(self ID, selector uintptr) Size
	metal                  uintptr // handle of Metal.framework
)

var loaded = sync.OnceValue(load)

// Load opens the Objective-C runtime and Metal.framework, once.
func Load() error { return loaded() }

func load() error {
	runtimeLibrary, err := open()
	if err != nil {
		return err
	}
	for name, address := range map[string]*uintptr{
		"objc_msgSend": &msgSend, "objc_retain": &retain, "objc_release": &release,
		"objc_autoreleasePoolPush": &poolPush, "objc_autoreleasePoolPop": &poolPop,
		"objc_getClass": &getClass, "sel_registerName": &registerName,
		"_Block_copy": &blockCopy, "_Block_release": &blockRelease,
		"class_getInstanceMethod": &getInstanceMethod, "class_getClassMethod": &getClassMethod,
		"method_getTypeEncoding": &getTypeEncoding,
	} {
		if *address, err = purego.Dlsym(runtimeLibrary, name); err != nil {
			return fmt.Errorf("the Objective-C runtime lacks %s: %w", name, err)
		}
	}
	// Results above 16 bytes come back through memory; on amd64 that needs an entry point of its own.
	msgSendStret = msgSend
	if runtime.GOARCH == "amd64" {
		if msgSendStret, err = purego.Dlsym(runtimeLibrary, "objc_msgSend_stret"); err != nil {
			return err
		}
	}
	purego.RegisterFunc(&sendFloat, msgSend)
	purego.RegisterFunc(&sendSize, msgSendStret)
	for _, m := range Messages {
		m.selector = selector(m.Selector)
	}
	return nil
}

// open loads the libraries and returns the one that holds the runtime.
func open() (uintptr, error) {
	dlopen := func(path string) (uintptr, error) {
		return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	}
	if path := os.Getenv("LORIS_METAL_LIBRARY"); path != "" {
		handle, err := dlopen(path)
		metal = handle
		return handle, err
	}
	if runtime.GOOS != "darwin" {
		return 0, fmt.Errorf("%w; LORIS_METAL_LIBRARY names no software Metal either", ErrUnavailable)
	}
	handle, err := dlopen("/usr/lib/libobjc.A.dylib")
	if err != nil {
		return 0, err
	}
	// Command line programs must load CoreGraphics for MTLCreateSystemDefaultDevice to find a device.
	for _, framework := range []string{"Foundation", "CoreGraphics", "Metal"} {
		if metal, err = dlopen("/System/Library/Frameworks/" + framework + ".framework/" + framework); err != nil {
			return 0, err
		}
	}
	return handle, nil
}

// Function finds a C function of Metal.framework; 0 if there is none.
func Function(name string) uintptr {
	address, err := purego.Dlsym(metal, name)
	if err != nil {
		return 0
	}
	return address
}

// Call calls a C function that takes and returns integers or pointers.
//
//go:uintptrescapes
func Call(function uintptr, args ...uintptr) uintptr {
	result, _, _ := purego.SyscallN(function, args...)
	return result
}
