// Package launch turns a kernels.Launch and its buffers into an mtl.Dispatch: compiled, bound and ready to replay.
package launch

import (
	"fmt"
	"time"

	"loris/metal/kernels"
	"loris/metal/mtl"
	"loris/metal/objc"
)

// Prepare compiles the launch for the device, or finds it compiled, and binds its buffers: binding i is argument i.
// Arguments that the launch does not use may be left zero.
func Prepare(d *mtl.Device, l *kernels.Launch, bindings []mtl.Binding) (*mtl.Dispatch, error) {
	if len(bindings) != len(l.Arguments) {
		return nil, fmt.Errorf("%s takes %d buffers, %d are given", l.Kernel, len(l.Arguments), len(bindings))
	}
	dispatch, err := Compile(d, l)
	if err != nil {
		return nil, err
	}
	for i, a := range l.Arguments {
		if a.Unused {
			continue
		}
		b := bindings[i]
		if b.Buffer == nil {
			return nil, fmt.Errorf("%s: no buffer for argument %s", l.Kernel, a.Name)
		}
		if b.Length == 0 {
			b.Length = a.Size * a.Type.Size()
		}
		if b.Offset < 0 || b.Offset+b.Length > b.Buffer.Len() || b.Length < a.Size*a.Type.Size() {
			return nil, fmt.Errorf("%s: argument %s needs %d bytes at %d of a buffer of %d", l.Kernel, a.Name, a.Size*a.Type.Size(), b.Offset, b.Buffer.Len())
		}
		b.Writes = a.Writes
		dispatch.Bindings[i] = b
	}
	return dispatch, nil
}

// Compile compiles the launch for the device, or finds it compiled. The caller puts buffers and offsets into its
// bindings; those of arguments that the launch does not use are there already.
func Compile(d *mtl.Device, l *kernels.Launch) (*mtl.Dispatch, error) {
	p, err := d.Pipeline(l.Source, l.Kernel, constants(l)...)
	if err != nil {
		return nil, err
	}
	if threads := l.Threads[0] * l.Threads[1] * l.Threads[2]; threads > p.MaxThreads {
		return nil, fmt.Errorf("%s %s needs %d threads per threadgroup, the device allows %d", l.Kernel, l.Variant, threads, p.MaxThreads)
	}
	bound := make([]mtl.Binding, len(l.Arguments))
	for i, a := range l.Arguments {
		bound[i] = mtl.Binding{Length: a.Size * a.Type.Size(), Writes: a.Writes}
		if a.Unused {
			bound[i] = mtl.Binding{Buffer: d.Unused()}
		}
	}
	return &mtl.Dispatch{Pipeline: p, Bindings: bound, Params: l.Params, Groups: size(l.Groups), Threads: size(l.Threads),
		Label: l.Kernel + " " + l.Variant, Estimate: estimate(l)}, nil
}

// Request names the launch's pipeline, to be compiled ahead of use.
func Request(l *kernels.Launch) mtl.Request {
	return mtl.Request{Source: l.Source, Entry: l.Kernel, Constants: constants(l)}
}

func constants(l *kernels.Launch) []mtl.Constant {
	out := make([]mtl.Constant, len(l.Constants))
	for i, k := range l.Constants {
		out[i] = mtl.Constant(k)
	}
	return out
}

func size(s [3]int) objc.Size {
	return objc.Size{Width: uint(s[0]), Height: uint(s[1]), Depth: uint(s[2])}
}

// estimate is the time a small GPU would take, 1 TFLOP/s and 50 GB/s: command buffers are cut by it, and on larger
// GPUs they only come out shorter.
func estimate(l *kernels.Launch) time.Duration {
	return time.Duration(max(l.Flops/1000, l.Bytes/50)) * time.Nanosecond
}
