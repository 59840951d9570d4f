package eval

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/plan"
)

// Buffer is device memory that values look at. It is given back when the last
// value that looks at it is released, or when the garbage collector finds that
// nothing refers to it any more. Whoever refers to a released buffer must have
// counted itself by hold: it is used again.
type Buffer struct {
	mem  plan.Memory
	rec  *record
	refs atomic.Int32 // values and runs that use it and may release it
}

// Bytes implements ir.Buffer.
func (b *Buffer) Bytes() int { return int(b.rec.bytes) }

// Memory returns the device memory.
func (b *Buffer) Memory() plan.Memory { return b.mem }

// record is what is known of a live buffer without keeping it alive. Records
// form a ring, so that memory can be told by the line that made it.
type record struct {
	dev        plan.Device
	mem        plan.Memory
	bytes      int64
	line       *Line   // that made it, nil if it is not known
	next, prev *record // nil once the memory was given back
}

// memory counts what all devices hold.
var memory = struct {
	sync.Mutex
	ring   record // head of the ring of live buffers
	live   int64
	peak   int64
	values int64
	fresh  int64 // bytes allocated since the collector last ran
	after  int64 // live bytes when it last ran
	gc     atomic.Bool
	lines  map[ir.Pos]*Line
	spare  []*Buffer // released ones, without memory
}{lines: map[ir.Pos]*Line{}}

// mostSpare bounds the released buffers that are kept for reuse: making one, with
// its record and its cleanup, takes as long as a small kernel.
const mostSpare = 64

func init() { memory.ring.next, memory.ring.prev = &memory.ring, &memory.ring }

// newBuffer allocates device memory for a value made at pos, which holds it.
func newBuffer(dev plan.Device, bytes int, pos ir.Pos) (*Buffer, error) {
	mem, err := allocate(dev, bytes)
	if err != nil {
		return nil, err
	}
	return enter(dev, mem, pos), nil
}

// enter makes a buffer of device memory, held once, and counts it.
func enter(dev plan.Device, mem plan.Memory, pos ir.Pos) *Buffer {
	memory.Lock()
	var b *Buffer
	if n := len(memory.spare); n > 0 {
		b = memory.spare[n-1]
		memory.spare[n-1] = nil // it must be able to become unreachable
		memory.spare = memory.spare[:n-1]
	} else {
		b = &Buffer{rec: new(record)}
		runtime.AddCleanup(b, (*record).free, b.rec)
	}
	b.mem = mem
	b.refs.Store(1)
	r := b.rec
	r.dev, r.mem, r.bytes = dev, mem, int64(mem.Bytes())
	r.next, r.prev = memory.ring.next, &memory.ring
	r.next.prev, memory.ring.next = r, r
	memory.live += r.bytes
	memory.values++
	if r.line = lineAt(pos); r.line != nil {
		r.line.Values++
		r.line.Bytes += r.bytes
		r.line.Peak = max(r.line.Peak, r.line.Bytes)
	}
	memory.fresh += r.bytes
	if memory.live > memory.peak {
		memory.peak = memory.live
	}
	collect := memory.fresh > max(freshLimit, memory.after/2)
	if collect {
		memory.fresh = 0
	}
	memory.Unlock()
	if collect && memory.gc.CompareAndSwap(false, true) {
		go collectGarbage()
	}
	return b
}

// mostLines bounds the lines that are remembered after their buffers have gone.
const mostLines = 4096

// lineAt returns the account of a line; memory is locked.
func lineAt(pos ir.Pos) *Line {
	if pos.Line == 0 {
		return nil
	}
	pos.Col = 0
	l := memory.lines[pos]
	if l == nil {
		if len(memory.lines) >= mostLines {
			forgetLines()
		}
		l = &Line{Pos: pos}
		memory.lines[pos] = l
	}
	return l
}

// forgetLines drops the lines that hold nothing, and makes peaks start again.
func forgetLines() {
	for pos, l := range memory.lines {
		if l.Peak = l.Bytes; l.Values == 0 {
			delete(memory.lines, pos)
		}
	}
}

// freshLimit is how many bytes of new buffers call for a garbage collection:
// the collector does not see memory outside of its heap. A collection costs
// about as much as computing 10 MB; values that Release gives back do not count.
const freshLimit = 64 << 20

func collectGarbage() {
	runtime.GC()
	memory.Lock()
	memory.after = memory.live
	memory.Unlock()
	memory.gc.Store(false)
}

// free gives the memory of an unreachable buffer back, unless that was done before.
func (r *record) free() {
	memory.Lock()
	mem := r.leave()
	memory.Unlock()
	if mem != nil {
		r.dev.Free(mem)
	}
}

// leave takes the record out of the accounts and returns its memory, nil if it has
// left before; memory is locked.
func (r *record) leave() plan.Memory {
	if r.next == nil {
		return nil
	}
	r.prev.next, r.next.prev = r.next, r.prev
	memory.live -= r.bytes
	memory.values--
	if r.line != nil {
		r.line.Values--
		r.line.Bytes -= r.bytes
	}
	mem := r.mem
	r.next, r.prev, r.mem, r.line = nil, nil, nil, nil
	return mem
}

// hold and drop count what may release a buffer early.
func (b *Buffer) hold() { b.refs.Add(1) }

func (b *Buffer) drop() {
	if b.refs.Add(-1) != 0 {
		return
	}
	dev := b.rec.dev
	b.mem = nil
	memory.Lock()
	memory.fresh = max(0, memory.fresh-b.rec.bytes) // nothing for the collector to find
	mem := b.rec.leave()
	if len(memory.spare) < mostSpare {
		memory.spare = append(memory.spare, b)
	}
	memory.Unlock()
	dev.Free(mem)
}

// allocate returns device memory. When the limit or the machine refuses, it
// waits for running evaluations and for the garbage collector, and tries again.
func allocate(dev plan.Device, bytes int) (plan.Memory, error) {
	m, err := dev.Alloc(bytes)
	for try := 0; err != nil && try < 3; try++ {
		runtime.GC()
		for i := 0; i < 20 && err != nil; i++ { // cleanups run after the collection
			if m, err = dev.Alloc(bytes); err != nil {
				time.Sleep(time.Millisecond)
			}
		}
		if err != nil {
			dev.Trim()
			waitForSome()
			m, err = dev.Alloc(bytes)
		}
	}
	return m, err
}

// memoryError describes an allocation that failed.
func memoryError(err error, what string, pos ir.Pos) *ir.Error {
	var e *ir.Error
	if errors.As(err, &e) {
		return e
	}
	return &ir.Error{Code: ir.CodeMemory, Op: what, Msg: err.Error(), Pos: pos, Err: nil,
		Hint: "release tensors that are not needed, use smaller batches, or raise the limit"}
}

// hostBytes views n bytes of a buffer from an offset.
func hostBytes(b *Buffer, offset, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(b.mem.Host(), offset)), n)
}
