//go:build linux && softmetal

package main

import (
	"errors"
	"runtime"
	"slices"

	"loris/metal/conformance"
)

// prepared is a case with its buffers on the GPU.
type prepared struct {
	*gpu
	c          *conformance.Case
	function   uintptr
	arguments  *[31]uintptr // the kernel's one argument: pointers to its buffers, its parameters' last
	parameters *[1]uintptr  // where arguments are, as cuLaunchKernel wants it
	pinned     runtime.Pinner
}

func (g *gpu) prepare(function uintptr, c *conformance.Case) (*prepared, error) {
	p := &prepared{gpu: g, c: c, function: function, arguments: new([31]uintptr)}
	p.pinned.Pin(p.arguments)
	p.parameters = &[1]uintptr{uintptr(address(p.arguments))}
	for i, data := range append(slices.Clone(c.Before), c.Launch.Params) {
		if err := g.call("cuMemAlloc_v2", address(&p.arguments[i]), max(16, len(data))); err != nil {
			return p, err
		}
		if len(data) == 0 {
			continue
		}
		if err := g.call("cuMemcpyHtoD_v2", p.arguments[i], address(&data[0]), len(data)); err != nil {
			return p, err
		}
	}
	return p, nil
}

// free gives the buffers back.
func (p *prepared) free() {
	for _, a := range p.arguments {
		if a != 0 {
			p.call("cuMemFree_v2", a)
		}
	}
	p.pinned.Unpin()
}

func (p *prepared) launch(stream uintptr) error {
	groups, threads := p.c.Launch.Groups, p.c.Launch.Threads
	return p.call("cuLaunchKernel", p.function, groups[0], groups[1], groups[2], threads[0], threads[1], threads[2], 0, stream, address(p.parameters), 0)
}

// check launches the case once and compares what its buffers then hold with what they must.
func (p *prepared) check() (worst float64, err error) {
	if err := p.launch(0); err != nil {
		return 0, err
	}
	if err := p.call("cuCtxSynchronize"); err != nil {
		return 0, err
	}
	after := make([][]byte, len(p.c.Before))
	for i := range after {
		if after[i] = make([]byte, len(p.c.Before[i])); len(after[i]) == 0 {
			continue
		}
		if err := p.call("cuMemcpyDtoH_v2", address(&after[i][0]), p.arguments[i], len(after[i])); err != nil {
			return 0, err
		}
	}
	return p.c.Check(after)
}

// The time of a launch is the median of `samples` runs of a graph of `launches` launches, divided by these: from a
// graph the GPU starts one after the other without waiting for the processor.
const samples, launches = 11, 20

// microseconds measures one launch with CUDA's events.
func (p *prepared) microseconds() (float64, error) {
	graph, executable := new(uintptr), new(uintptr)
	const relaxed = 2
	if err := p.call("cuStreamBeginCapture_v2", p.stream, relaxed); err != nil {
		return 0, err
	}
	var failure error
	for range launches {
		if failure = p.launch(p.stream); failure != nil {
			break
		}
	}
	if err := p.call("cuStreamEndCapture", p.stream, address(graph)); failure != nil || err != nil {
		return 0, errors.Join(failure, err)
	}
	defer p.call("cuGraphDestroy", *graph)
	if err := p.call("cuGraphInstantiateWithFlags", address(executable), *graph, 0); err != nil {
		return 0, err
	}
	defer p.call("cuGraphExecDestroy", *executable)
	var all []float64
	for range samples + 1 {
		ms, err := p.elapsed(*executable)
		if err != nil {
			return 0, err
		}
		all = append(all, float64(ms)*1000/launches)
	}
	all = all[1:] // the first warms up
	slices.Sort(all)
	return all[len(all)/2], nil
}

// elapsed runs a graph once and returns its milliseconds.
func (p *prepared) elapsed(graph uintptr) (float32, error) {
	ms := new(float32)
	for _, step := range []struct {
		name string
		args []any
	}{
		{"cuEventRecord", []any{p.start, p.stream}},
		{"cuGraphLaunch", []any{graph, p.stream}},
		{"cuEventRecord", []any{p.end, p.stream}},
		{"cuEventSynchronize", []any{p.end}},
		{"cuEventElapsedTime", []any{address(ms), p.start, p.end}},
	} {
		if err := p.call(step.name, step.args...); err != nil {
			return 0, err
		}
	}
	return *ms, nil
}
