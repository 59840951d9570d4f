//go:build linux && softmetal

package main

import (
	"bytes"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// driver is the part of CUDA's driver API that the runner calls.
type driver struct {
	handle uintptr
	names  map[string]uintptr
}

func openDriver() (*driver, error) {
	handle, err := purego.Dlopen("libcuda.so.1", purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("no NVIDIA driver: %w", err)
	}
	return &driver{handle, map[string]uintptr{}}, nil
}

// call calls a function of the driver and turns its status into an error. Arguments are integers, or pointers, which
// the driver reads or writes during the call.
func (d *driver) call(name string, args ...any) error {
	f, ok := d.names[name]
	if !ok {
		var err error
		if f, err = purego.Dlsym(d.handle, name); err != nil {
			return err
		}
		d.names[name] = f
	}
	var pinned runtime.Pinner // also moves what is pointed at to the heap: a growing stack would leave it behind
	defer pinned.Unpin()
	words := make([]uintptr, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case int:
			words[i] = uintptr(a)
		case uintptr:
			words[i] = a
		case unsafe.Pointer:
			pinned.Pin(a)
			words[i] = uintptr(a)
		default:
			panic(fmt.Sprintf("cudarun: %s is given a %T", name, a))
		}
	}
	if status, _, _ := purego.SyscallN(f, words...); uint32(status) != 0 {
		return fmt.Errorf("%s: %s", name, d.describe(uint32(status)))
	}
	return nil
}

func (d *driver) describe(status uint32) string {
	text := new(uintptr)
	if f, err := purego.Dlsym(d.handle, "cuGetErrorString"); err == nil {
		purego.SyscallN(f, uintptr(status), uintptr(unsafe.Pointer(text)))
	}
	if *text == 0 {
		return fmt.Sprintf("error %d", status)
	}
	p := *(**byte)(unsafe.Pointer(text))
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return fmt.Sprintf("error %d: %s", status, unsafe.String(p, n))
}

func address[T any](p *T) unsafe.Pointer { return unsafe.Pointer(p) }

// gpu is an open device with its primary context.
type gpu struct {
	*driver
	name       string
	version    int32   // of CUDA that the driver supports, 1000·major + 10·minor
	stream     uintptr // what is timed runs on it
	start, end uintptr // events
}

func openGPU() (*gpu, error) {
	d, err := openDriver()
	if err != nil {
		return nil, err
	}
	g := &gpu{driver: d}
	if err := d.call("cuInit", 0); err != nil {
		return nil, err
	}
	device, context, name := new(int32), new(uintptr), new([128]byte)
	if err := d.call("cuDeviceGet", address(device), 0); err != nil {
		return nil, err
	}
	if err := d.call("cuDeviceGetName", address(name), 128, int(*device)); err != nil {
		return nil, err
	}
	for n, c := range name {
		if c == 0 {
			g.name = string(name[:n])
			break
		}
	}
	if err := d.call("cuDevicePrimaryCtxRetain", address(context), int(*device)); err != nil {
		return nil, err
	}
	if err := d.call("cuCtxSetCurrent", *context); err != nil {
		return nil, err
	}
	for _, e := range []*uintptr{&g.start, &g.end} {
		if err := d.call("cuEventCreate", address(e), 0); err != nil {
			return nil, err
		}
	}
	const nonBlocking = 1
	if err := d.call("cuStreamCreate", address(&g.stream), nonBlocking); err != nil {
		return nil, err
	}
	return g, d.call("cuDriverGetVersion", address(&g.version))
}

// load compiles PTX and finds the entry. The driver's compiler explains refusals.
func (g *gpu) load(ptx []byte, entry string) (function uintptr, err error) {
	module, result, log := new(uintptr), new(uintptr), new([4096]byte)
	text := append(append([]byte(nil), ptx...), 0)
	const errorLog, errorLogSize = 5, 6
	var pinned runtime.Pinner
	defer pinned.Unpin()
	pinned.Pin(log)
	options, values := &[2]uint32{errorLog, errorLogSize}, &[2]uintptr{uintptr(address(log)), uintptr(len(log))}
	if err := g.call("cuModuleLoadDataEx", address(module), address(&text[0]), 2, address(options), address(values)); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, bytes.TrimRight(log[:], "\x00"))
	}
	name := append([]byte(entry), 0)
	err = g.call("cuModuleGetFunction", address(result), *module, address(&name[0]))
	return *result, err
}
