//go:build linux && softmetal

package main

import (
	"bytes"
	"fmt"
	"math"
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

// call calls a function of the driver and turns its status into an error.
//
//go:uintptrescapes
func (d *driver) call(name string, args ...uintptr) error {
	f, ok := d.names[name]
	if !ok {
		var err error
		if f, err = purego.Dlsym(d.handle, name); err != nil {
			return err
		}
		d.names[name] = f
	}
	if status, _, _ := purego.SyscallN(f, args...); uint32(status) != 0 {
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

func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// gpu is an open device with its primary context.
type gpu struct {
	*driver
	name       string
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
	if err := d.call("cuDeviceGetName", address(name), 128, uintptr(*device)); err != nil {
		return nil, err
	}
	for n, c := range name {
		if c == 0 {
			g.name = string(name[:n])
			break
		}
	}
	if err := d.call("cuDevicePrimaryCtxRetain", address(context), uintptr(*device)); err != nil {
		return nil, err
	}
	if err := d.call("cuCtxSetCurrent", *context); err != nil {
		return nil, err
	}
	for _, e := range []*uintptr{&g.start, &g.end} {
		event := new(uintptr)
		if err := d.call("cuEventCreate", address(event), 0); err != nil {
			return nil, err
		}
		*e = *event
	}
	return g, nil
}

// load compiles PTX and finds the entry. The driver's compiler explains refusals.
func (g *gpu) load(ptx []byte, entry string) (function uintptr, err error) {
	module, result, log := new(uintptr), new(uintptr), new([4096]byte)
	text := append(append([]byte(nil), ptx...), 0)
	const errorLog, errorLogSize = 5, 6
	options, values := &[2]uint32{errorLog, errorLogSize}, &[2]uintptr{address(log), uintptr(len(log))}
	if err := g.call("cuModuleLoadDataEx", address(module), uintptr(unsafe.Pointer(&text[0])), 2, address(options), address(values)); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, bytes.TrimRight(log[:], "\x00"))
	}
	name := append([]byte(entry), 0)
	err = g.call("cuModuleGetFunction", address(result), *module, uintptr(unsafe.Pointer(&name[0])))
	return *result, err
}

// milliseconds between the two events.
func (g *gpu) milliseconds() (float64, error) {
	bits := new(uint32)
	if err := g.call("cuEventElapsedTime", address(bits), g.start, g.end); err != nil {
		return 0, err
	}
	return float64(math.Float32frombits(*bits)), nil
}
