package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unsafe"

	"loris/metal/conformance"
	"loris/metal/kernels"
	"loris/metal/mtl"
	"loris/metal/objc"
	"loris/metal/objc/headers"
	"loris/metal/softmetal"
)

// selectors holds every message against Apple's headers.
func selectors(r *results, _ []*conformance.Case) error {
	problems := map[string]error{}
	for _, err := range headers.Check(objc.Messages) {
		problems[strings.SplitN(err.Error(), ": ", 2)[0]] = err
	}
	for _, m := range objc.Messages {
		r.hostCheck("selectors", problems[m.Class+" "+m.Selector])
	}
	return nil
}

// darwin builds and vets the packages for macOS.
func darwin(r *results, _ []*conformance.Case) error {
	for _, arch := range []string{"amd64", "arm64"} {
		for _, command := range []string{"build", "vet"} {
			cmd := exec.Command("go", command, "loris/metal/...")
			cmd.Env = append(os.Environ(), "GOOS=darwin", "GOARCH="+arch, "CGO_ENABLED=0")
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("go %s: %w\n%s", command, err, out)
			}
			r.hostCheck("darwin-"+arch, err)
		}
	}
	return nil
}

// plant is a mistake of the host code or of a kernel, and what must be said about it.
type plant struct {
	name   string
	expect string // in the output of the process that makes it
	do     func(*site) error
}

// site is what most plants need: a device driven by raw messages.
type site struct {
	device                    *mtl.Device
	commandBuffer, encoder    objc.ID
	a, b, c                   *mtl.Buffer
	misspelt, release, length *objc.Message
}

const plantSource = `#include <metal_stdlib>
using namespace metal;
kernel void add(device const float* a [[buffer(0)]], device const float* b [[buffer(1)]], device float* c [[buffer(2)]],
                constant uint& n [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  if (i < n) c[i] = a[i] + b[i];
}
kernel void no_barrier(device const float* a [[buffer(0)]], device float* c [[buffer(2)]], constant uint& n [[buffer(3)]],
                       uint i [[thread_index_in_threadgroup]]) {
  threadgroup float shared[64];
  shared[i] = a[i];
  c[i] = shared[63 - i];
}
kernel void some_barrier(device float* c [[buffer(2)]], constant uint& n [[buffer(3)]], uint i [[thread_index_in_threadgroup]]) {
  if (i < 32) threadgroup_barrier(mem_flags::mem_threadgroup);
  c[i] = 1;
}
`

var plants = []plant{
	{"nothing wrong", "plant survived unnoticed", func(s *site) error { return s.run("add", 64, 64, nil) }},
	{"wrong selector", "unrecognized selector", func(s *site) error { s.misspelt.Send(s.encoder); return nil }},
	{"missing barrier", "hazard", func(s *site) error {
		return s.run("add", 64, 64, func() { s.bind(64, 64, s.c, s.b, s.a) })
	}},
	{"freed object", "deallocated", func(s *site) error { id := s.c.ID(); s.release.Send(id); s.length.Send(id); return nil }},
	{"over-release", "over-release", func(s *site) error { id := s.c.ID(); id.Release(); id.Release(); return nil }},
	{"out of bounds", "outside its buffers", func(s *site) error { return s.run("add", 1<<20, 64, nil) }},
	{"missing pool", "no pool in place", func(s *site) error {
		done := make(chan bool)
		go func() { objc.String("nobody releases this"); close(done) }()
		<-done
		return nil
	}},
	{"over-size threadgroup", "threadgroup of 2048", func(s *site) error { return s.run("add", 64, 2048, nil) }},
	{"unbound buffer", "no buffer bound at index 1", func(s *site) error { s.b = nil; return s.run("add", 64, 64, nil) }},
	{"buffer released in flight", "released before the command buffer completed", func(s *site) error {
		return s.run("add", 64, 64, func() { s.a.ID().Release() })
	}},
	{"commit with open encoder", "encoder is open", func(s *site) error {
		lookUp("MTLCommandBuffer", "commit").Send(s.commandBuffer)
		return nil
	}},
	{"kernel without barrier", "wrong numbers", func(s *site) error {
		objc.Call(objc.Function("softmetal_set_order"), 0)
		if err := s.run("no_barrier", 64, 64, nil); err != nil {
			return err
		}
		for i, v := range floats(s.c) {
			if v != float32(63-i) {
				return fmt.Errorf("wrong numbers: c[%d] = %v", i, v)
			}
		}
		return nil
	}},
	{"divergent barrier", "threadgroup_barrier", func(s *site) error { return s.run("some_barrier", 64, 64, nil) }},
}

func floats(b *mtl.Buffer) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b.Bytes()))), b.Len()/4)
}

func lookUp(class, selector string) *objc.Message {
	for _, m := range objc.Messages {
		if m.Class == class && m.Selector == selector {
			return m
		}
	}
	panic("no message " + selector)
}

// run encodes a kernel over the site's buffers by raw messages, n elements by threadgroups of `group` threads, lets
// `extra` add to it, and waits.
func (s *site) run(kernel string, n, group uint, extra func()) error {
	p, err := s.device.Pipeline(plantSource, kernel)
	if err != nil {
		return err
	}
	size := new(uint32)
	*size = uint32(n)
	lookUp("MTLComputeCommandEncoder", "setComputePipelineState:").Send(s.encoder, uintptr(p.ID()))
	lookUp("MTLComputeCommandEncoder", "setBytes:length:atIndex:").Send(s.encoder, uintptr(unsafe.Pointer(size)), 4, 3)
	s.bind(n, group, s.a, s.b, s.c)
	if extra != nil {
		extra()
	}
	lookUp("MTLComputeCommandEncoder", "endEncoding").Send(s.encoder)
	lookUp("MTLCommandBuffer", "commit").Send(s.commandBuffer)
	lookUp("MTLCommandBuffer", "waitUntilCompleted").Send(s.commandBuffer)
	if e := objc.ID(lookUp("MTLCommandBuffer", "error").Send(s.commandBuffer)); e != 0 {
		return fmt.Errorf("%s", objc.ErrorText(e))
	}
	return nil
}

// bind sets buffers 0 to 2, nil for none, and dispatches.
func (s *site) bind(n, group uint, buffers ...*mtl.Buffer) {
	ids, offsets := new([3]objc.ID), new([3]uintptr)
	for i, b := range buffers {
		if b != nil {
			ids[i] = b.ID()
		}
	}
	lookUp("MTLComputeCommandEncoder", "setBuffers:offsets:withRange:").Send(s.encoder, uintptr(unsafe.Pointer(ids)), uintptr(unsafe.Pointer(offsets)), 0, 3)
	var sender objc.Sender
	sender.Dispatch(lookUp("MTLComputeCommandEncoder", "dispatchThreadgroups:threadsPerThreadgroup:"), s.encoder,
		&objc.Size{Width: max(1, n/group), Height: 1, Depth: 1}, &objc.Size{Width: group, Height: 1, Depth: 1})
}

// faults makes each plant in a process of its own and looks for the objection.
func faults(r *results, _ []*conformance.Case) error {
	if err := softmetal.Setup(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, p := range plants {
		out, _ := exec.Command(self, "-fault", p.name).CombinedOutput()
		var failure error
		if !strings.Contains(string(out), p.expect) {
			failure = fmt.Errorf("planted fault %q was not caught: %q expected in\n%s", p.name, p.expect, out)
		}
		r.hostCheck("faults", failure)
	}
	r.hostCheck("faults", raceIsFound())
	return nil
}

// raceIsFound makes sure that the race rung can fail: a kernel without its barrier must be reported, by its MSL line.
func raceIsFound() error {
	tools, err := softmetal.NewToolchain("")
	if err != nil {
		return err
	}
	program, err := tools.CompileHost(plantSource, softmetal.HostOptions{Racing: true})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "races-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	arguments := []kernels.Argument{{Name: "a", Size: 64}, {Name: "unused", Unused: true}, {Name: "c", Size: 64, Writes: true}}
	c := &conformance.Case{Before: [][]byte{make([]byte, 256), nil, make([]byte, 256)}, Launch: &kernels.Launch{Kernel: "no_barrier", Arguments: arguments,
		Params: []byte{64, 0, 0, 0}, Groups: [3]int{1, 1, 1}, Threads: [3]int{64, 1, 1}}}
	err = raceCase(program, filepath.Join(dir, "case"), c)
	if err == nil || !strings.Contains(err.Error(), "data race") {
		return fmt.Errorf("a missing barrier in a kernel was not reported as a race: %v", err)
	}
	if symbolizer() != "" && !strings.Contains(err.Error(), "program_source:11") {
		return fmt.Errorf("the report does not name the kernel's line 11: %v", err)
	}
	return nil
}

// commit makes one planted fault, prints what was noted, and says so if nothing was.
func commit(name string) error {
	for _, p := range plants {
		if p.name != name {
			continue
		}
		s := &site{misspelt: objc.Declare("MTLComputeCommandEncoder", "dispatchThreadgroup:threadsPerThreadgroup:", "v"),
			release: objc.Declare("NSObject", "release", "v"), length: objc.Declare("MTLBuffer", "length", "Q")}
		d, err := mtl.Open(mtl.Options{NoSlabs: true})
		if err != nil {
			return err
		}
		s.device = d
		for _, b := range []**mtl.Buffer{&s.a, &s.b, &s.c} {
			if *b, err = d.NewBuffer(256); err != nil {
				return err
			}
		}
		for i := range floats(s.a) {
			floats(s.a)[i] = float32(i)
		}
		objc.Pool(func() {
			s.commandBuffer = objc.ID(lookUp("MTLCommandQueue", "commandBufferWithUnretainedReferences").Send(d.Stream.QueueID()))
			s.encoder = objc.ID(lookUp("MTLCommandBuffer", "computeCommandEncoderWithDispatchType:").Send(s.commandBuffer, 1))
			err = p.do(s)
			if noted := reportedProblems(); noted != nil {
				fmt.Println(noted)
			} else if err == nil {
				fmt.Println("plant survived unnoticed")
			}
			fmt.Println(err)
			os.Exit(0) // the pool would object to what was left open
		})
	}
	return fmt.Errorf("no planted fault %q", name)
}

func problem(i uintptr) string {
	p := objc.Call(objc.Function("softmetal_problem"), i)
	return objc.CString(p)
}
