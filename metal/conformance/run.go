package conformance

import (
	"fmt"

	"loris/metal/kernels"
	"loris/metal/mtl"
	"loris/metal/objc"
)

// Run dispatches the case on a device and returns the contents of its buffers afterwards.
func Run(d *mtl.Device, c *Case) ([][]byte, error) {
	l := c.Launch
	var specialised []mtl.Constant
	for _, k := range l.Constants {
		specialised = append(specialised, mtl.Constant(k))
	}
	p, err := d.Pipeline(l.Source, l.Kernel, specialised...)
	if err != nil {
		return nil, err
	}
	if threads := l.Threads[0] * l.Threads[1] * l.Threads[2]; threads > p.MaxThreads {
		return nil, fmt.Errorf("%v: needs %d threads per threadgroup, the device allows %d for this kernel", c, threads, p.MaxThreads)
	}
	buffers := make([]*mtl.Buffer, len(l.Arguments))
	bindings := make([]mtl.Binding, len(l.Arguments))
	for i, a := range l.Arguments {
		if buffers[i], err = d.NewBuffer(max(16, len(c.Before[i]))); err != nil {
			return nil, err
		}
		defer buffers[i].Free()
		copy(buffers[i].Bytes(), c.Before[i])
		bindings[i] = mtl.Binding{Buffer: buffers[i], Writes: a.Writes}
	}
	d.Stream.Begin()
	d.Stream.Dispatch(&mtl.Dispatch{Pipeline: p, Bindings: bindings, Params: l.Params, Groups: size(l.Groups), Threads: size(l.Threads), Label: c.String()})
	if err := d.Stream.Wait(d.Stream.End()); err != nil {
		return nil, err
	}
	after := make([][]byte, len(buffers))
	for i, b := range buffers {
		after[i] = append([]byte(nil), b.Bytes()[:len(c.Before[i])]...)
	}
	return after, nil
}

func size(s [3]int) objc.Size {
	return objc.Size{Width: uint(s[0]), Height: uint(s[1]), Depth: uint(s[2])}
}

// Cases returns every case of every kernel.
func Cases() []*Case {
	var all []*Case
	for _, make := range []func() []*Case{loraCases, gemmCases, gemvCases, quantisedCases, softmaxCases, normCases, crossEntropyCases,
		ropeCases, attentionCases, reduceCases, indexCases, sortCases, randomCases, adamwCases, copyCases, groupCases, userCases} {
		all = append(all, make()...)
	}
	return all
}

var floatTypes = []kernels.Type{kernels.F32, kernels.F16, kernels.BF16}
