package mtl

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"loris/metal/objc"
)

// Binding is a part of a buffer as a kernel's argument.
type Binding struct {
	Buffer         *Buffer
	Offset, Length int // bytes; Length 0 is the rest of the buffer
	Writes         bool
}

func (b *Binding) use() use {
	length := b.Length
	if length == 0 {
		length = b.Buffer.length - b.Offset
	}
	start := b.Buffer.offset + b.Offset
	return use{b.Buffer.block.id, start, start + max(length, 1), b.Writes}
}

// Dispatch is one kernel launch, made once and replayed without allocating. Binding i is [[buffer(i)]]; Params, if
// any, is the struct at the index after the last binding.
type Dispatch struct {
	Pipeline *Pipeline
	Bindings []Binding
	Params   []byte
	Groups   objc.Size     // threadgroups
	Threads  objc.Size     // threads per threadgroup
	Label    string        // the step, for errors and timings
	Estimate time.Duration // GPU time expected, 0 if unknown
}

// Ticket stands for the work of one evaluation.
type Ticket struct{ first, last uint64 }

// Timing is the GPU time of one step, from its own command buffer.
type Timing struct {
	Label      string
	sequence   uint64
	Start, End float64 // seconds of the GPU's clock
}

// Limits of one command buffer: past any of them it is committed. A bounded length is what keeps interrupts quick.
const (
	flushBytes    = 48 << 20
	flushEstimate = 20 * time.Millisecond
)

// Limits of what is submitted and not yet done. Submitted work cannot be called back, so an interrupt waits for it.
const (
	maxInFlight         = 16
	maxInFlightEstimate = 2 * flushEstimate
)

// flushDispatches by chip class: larger chips finish small dispatches faster.
var flushDispatches = map[Class]int{Phone: 20, Base: 40, Pro: 50, Ultra: 50}

// submission is a committed command buffer.
type submission struct {
	commandBuffer objc.ID
	sequence      uint64
	labels        []string
	profiled      bool
	estimate      time.Duration
}

// Stream encodes and submits dispatches in order. Evaluations lock it with Begin and End.
type Stream struct {
	device *Device
	queue  objc.ID
	fence  objc.ID

	mu            sync.Mutex // held from Begin to End
	sender        objc.Sender
	pool          uintptr
	commandBuffer objc.ID // open, 0 if none
	encoder       objc.ID
	pipeline      objc.ID // set on the encoder
	sequence      uint64  // of the open command buffer
	dispatches    int
	bytes         int
	estimate      time.Duration
	tracker       tracker
	labels        []string
	ids           [maxBuffers]objc.ID // scratch for setBuffers:, on the heap with the stream
	offsets       [maxBuffers]uintptr
	grid, group   objc.Size
	first         uint64
	profile       bool
	profiled      bool // the evaluation between Begin and End only
	barriers      int
	flushAt       int // dispatches per command buffer

	done      sync.Mutex // guards what follows; taken after mu
	inFlight  []submission
	failures  map[uint64]error
	timings   []Timing
	spare     [][]string
	completed atomic.Uint64
	waiters   sync.Pool // of *objc.Sender
}

func newStream(d *Device) *Stream {
	s := &Stream{device: d, failures: map[uint64]error{}, sequence: 1, flushAt: flushDispatches[d.Class]}
	s.waiters.New = func() any { return new(objc.Sender) }
	s.queue = objc.ID(newCommandQueue.Send(d.id, 1024))
	s.fence = objc.ID(newFence.Send(d.id))
	return s
}

// Begin starts an evaluation: it locks the stream and, since autorelease pools belong to a thread, the thread.
func (s *Stream) Begin() {
	s.mu.Lock()
	runtime.LockOSThread()
	s.pool = s.sender.PoolPush()
	s.first = s.sequence
}

// BeginProfiled is Begin for an evaluation whose dispatches are command buffers of their own; see TimingsOf.
func (s *Stream) BeginProfiled() {
	s.Begin()
	s.flush()
	s.first, s.profile, s.profiled = s.sequence, true, true
}

// End finishes encoding and returns the evaluation's ticket. Nothing need have been submitted yet: see Flush.
func (s *Stream) End() Ticket {
	t := Ticket{s.first, s.sequence}
	if s.commandBuffer == 0 { // everything was committed already
		t.last = s.sequence - 1
	}
	if s.profiled {
		s.profile, s.profiled = false, false
	}
	s.sender.PoolPop(s.pool)
	runtime.UnlockOSThread()
	s.mu.Unlock()
	return t
}

// QueueID is the Metal command queue.
func (s *Stream) QueueID() objc.ID { return s.queue }

// Profile makes every dispatch a command buffer of its own, so that each step has GPU times; see Timings.
func (s *Stream) Profile(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.profile = on
}

// Timings returns the steps timed since the last call.
func (s *Stream) Timings() []Timing {
	s.done.Lock()
	defer s.done.Unlock()
	t := s.timings
	s.timings = nil
	return t
}

// TimingsOf returns, and forgets, the times of a profiled evaluation that has been waited for: one per dispatch, in order.
func (s *Stream) TimingsOf(t Ticket) (of []Timing) {
	s.done.Lock()
	defer s.done.Unlock()
	kept := s.timings[:0]
	for _, x := range s.timings {
		if x.sequence >= t.first && x.sequence <= t.last {
			of = append(of, x)
		} else {
			kept = append(kept, x)
		}
	}
	s.timings = kept
	return of
}

// Barriers is the number of memory barriers encoded so far.
func (s *Stream) Barriers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.barriers
}

// Dispatch encodes a launch. It must stand between Begin and End.
func (s *Stream) Dispatch(d *Dispatch) {
	if s.commandBuffer == 0 {
		s.open()
	}
	if s.tracker.needsBarrier(d.Bindings) && s.dispatches > 0 {
		s.sender.Send(memoryBarrier, s.encoder, barrierScopeBuffers, 0, 0)
		s.barriers++
	}
	if s.pipeline != d.Pipeline.id {
		s.sender.Send(setPipeline, s.encoder, uintptr(d.Pipeline.id), 0, 0)
		s.pipeline = d.Pipeline.id
	}
	for i := range d.Bindings {
		b := &d.Bindings[i]
		if b.Buffer.freed {
			panic("mtl: " + d.Label + ": a buffer that was freed is bound")
		}
		b.Buffer.lastUse = s.sequence
		s.ids[i] = b.Buffer.block.id
		s.offsets[i] = uintptr(b.Buffer.offset + b.Offset)
		s.bytes += b.Length
	}
	n := len(d.Bindings)
	if n > 0 {
		s.sender.Send4(setBuffers, s.encoder, uintptr(unsafe.Pointer(&s.ids)), uintptr(unsafe.Pointer(&s.offsets)), 0, uintptr(n))
	}
	if len(d.Params) > 0 {
		s.sender.Send(setBytes, s.encoder, uintptr(unsafe.Pointer(unsafe.SliceData(d.Params))), uintptr(len(d.Params)), uintptr(n))
	}
	s.grid, s.group = d.Groups, d.Threads
	s.sender.Dispatch(dispatchThreadgroups, s.encoder, &s.grid, &s.group)
	runtime.KeepAlive(d)
	s.labels = append(s.labels, d.Label)
	s.dispatches++
	s.estimate += d.Estimate
	if s.full() {
		s.flush()
	}
}

func (s *Stream) full() bool {
	return s.profile || s.device.options.Serial || s.dispatches >= s.flushAt ||
		s.bytes >= flushBytes || s.estimate >= flushEstimate
}

// open starts a command buffer with one concurrent encoder. Metal does not track our buffers, so the fence orders
// this encoder after the one before it.
func (s *Stream) open() {
	s.throttle()
	s.commandBuffer = objc.ID(s.sender.Result(commandBufferUnretained, s.queue))
	s.sender.Retain(s.commandBuffer)
	s.sender.Send(computeEncoder, s.commandBuffer, dispatchTypeConcurrent, 0, 0)
	s.encoder = objc.ID(s.sender.Value())
	s.sender.Retain(s.encoder)
	if s.sequence > 1 { // nothing has updated the fence before
		s.sender.Send(waitForFence, s.encoder, uintptr(s.fence), 0, 0)
	}
	s.pipeline = 0
	s.tracker.reset()
}

// throttle bounds the queue: past its limits the oldest command buffer is waited for.
func (s *Stream) throttle() {
	for s.reap(); ; {
		s.done.Lock()
		var oldest uint64
		var estimate time.Duration
		for i := range s.inFlight {
			estimate += s.inFlight[i].estimate
		}
		if len(s.inFlight) >= maxInFlight || len(s.inFlight) > 0 && estimate >= maxInFlightEstimate {
			oldest = s.inFlight[0].sequence
		}
		s.done.Unlock()
		if oldest == 0 {
			return
		}
		s.waitFor(oldest)
	}
}

// Flush submits what has been encoded.
func (s *Stream) Flush() {
	s.Begin()
	s.flush()
	s.End()
}

func (s *Stream) flush() {
	if s.commandBuffer == 0 {
		return
	}
	s.sender.Send(updateFence, s.encoder, uintptr(s.fence), 0, 0)
	s.sender.Send(endEncoding, s.encoder, 0, 0, 0)
	s.sender.Release(s.encoder)
	s.sender.Send(commit, s.commandBuffer, 0, 0, 0)
	s.done.Lock()
	s.inFlight = append(s.inFlight, submission{s.commandBuffer, s.sequence, s.labels, s.profile, s.estimate})
	s.labels = nil
	if n := len(s.spare); n > 0 {
		s.labels, s.spare = s.spare[n-1][:0], s.spare[:n-1]
	}
	s.done.Unlock()
	sequence := s.sequence
	s.commandBuffer, s.encoder = 0, 0
	s.dispatches, s.bytes, s.estimate = 0, 0, 0
	s.sequence++
	if s.device.options.Serial {
		s.waitFor(sequence)
	}
}

// Wait submits what is still open of the ticket's work, waits for it and returns its first error.
func (s *Stream) Wait(t Ticket) error {
	s.mu.Lock()
	open := s.commandBuffer != 0 && t.last >= s.sequence
	s.mu.Unlock()
	if open {
		s.Flush()
	}
	if t.last >= t.first && s.completed.Load() < t.last {
		s.waitFor(t.last)
	}
	s.done.Lock()
	defer s.done.Unlock()
	if len(s.failures) == 0 {
		return nil
	}
	for q := t.first; q <= t.last; q++ {
		if err := s.failures[q]; err != nil {
			return err
		}
	}
	return nil
}

// Done says, without blocking, whether the ticket's work has completed.
func (s *Stream) Done(t Ticket) bool {
	s.reap()
	return s.completed.Load() >= t.last
}

// waitFor waits until the command buffer of that sequence, and so every earlier one, has completed.
func (s *Stream) waitFor(sequence uint64) {
	sender := s.waiters.Get().(*objc.Sender)
	defer s.waiters.Put(sender)
	s.done.Lock()
	var commandBuffer objc.ID
	for i := range s.inFlight {
		if s.inFlight[i].sequence == sequence {
			commandBuffer = s.inFlight[i].commandBuffer
			sender.Retain(commandBuffer)
		}
	}
	s.done.Unlock()
	if commandBuffer != 0 {
		sender.Result(waitUntilCompleted, commandBuffer)
		sender.Release(commandBuffer)
	}
	s.reap()
}

// reap takes completed command buffers off the list, in order, with their errors and times.
func (s *Stream) reap() {
	s.done.Lock()
	defer s.done.Unlock()
	if len(s.inFlight) == 0 {
		return
	}
	sender := s.waiters.Get().(*objc.Sender)
	defer s.waiters.Put(sender)
	finished := 0
	for finished < len(s.inFlight) {
		f := &s.inFlight[finished]
		status := sender.Result(commandBufferStatus, f.commandBuffer)
		if status < statusCompleted {
			break
		}
		if status == statusError {
			s.fail(f)
		}
		if f.profiled {
			s.timings = append(s.timings, Timing{strings.Join(f.labels, ", "), f.sequence, gpuStartTime.Float(f.commandBuffer), gpuEndTime.Float(f.commandBuffer)})
		}
		sender.Release(f.commandBuffer)
		s.completed.Store(f.sequence)
		s.spare = append(s.spare, f.labels)
		finished++
	}
	n := copy(s.inFlight, s.inFlight[finished:])
	clear(s.inFlight[n:])
	s.inFlight = s.inFlight[:n]
}

// ErrStep is a command buffer's failure, told by its steps.
type ErrStep struct {
	Steps  []string
	Reason string
}

func (e *ErrStep) Error() string {
	switch len(e.Steps) {
	case 1:
		return fmt.Sprintf("Metal failed at step %s: %s", e.Steps[0], e.Reason)
	default:
		return fmt.Sprintf("Metal failed at one of the steps %s: %s; LORIS_METAL_SERIAL=1 tells which", strings.Join(e.Steps, ", "), e.Reason)
	}
}

func (s *Stream) fail(f *submission) {
	reason := "unknown error"
	objc.Pool(func() { reason = objc.ErrorText(objc.ID(commandBufferError.Send(f.commandBuffer))) })
	s.failures[f.sequence] = &ErrStep{append([]string(nil), f.labels...), reason}
}

func (s *Stream) completedSequence() uint64 {
	s.reap()
	return s.completed.Load()
}

func (s *Stream) close() error {
	s.Flush()
	s.mu.Lock()
	last := s.sequence - 1
	s.mu.Unlock()
	s.waitFor(last)
	s.queue.Release()
	s.fence.Release()
	s.done.Lock()
	defer s.done.Unlock()
	var all []error
	for _, err := range s.failures {
		all = append(all, err)
	}
	return errors.Join(all...)
}
