// Package cpu is the CPU device: plans come in and are compiled into kernels
// that run on a pool of threads over memory outside the Go heap.
//
// The kernel table (table.go) has an entry for each op. Fused programs run
// through a tile interpreter (program.go): tile by tile, the temporaries stay in
// the first-level cache. Matrix products take programs as epilogues (matmul.go).
// Every kernel has a form for every dtype; float32 has assembly underneath
// (packages gemm and vec).
package cpu

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/pool"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// Device is the CPU.
type Device struct {
	pool *pool.Pool
	mem  arena.Arena
}

func init() { plan.Register(New()) }

// New returns the device with its own memory and the process's thread pool.
func New() *Device { return &Device{pool: pool.Default()} }

// Name implements plan.Device.
func (d *Device) Name() string { return "cpu" }

// Threads returns the number of threads that kernels use.
func (d *Device) Threads() int { return d.pool.Threads() }

// Memory implements plan.Device.
func (d *Device) Memory() plan.MemoryInfo {
	s := d.mem.Stats()
	return plan.MemoryInfo{Total: totalMemory(), Active: s.Active, Peak: s.Peak, Cached: s.Cached, Limit: s.Limit}
}

// SetLimit implements plan.Device.
func (d *Device) SetLimit(bytes int64) { d.mem.SetLimit(bytes) }

// ResetPeak makes the peak start again from what is in use.
func (d *Device) ResetPeak() { d.mem.ResetPeak() }

// Trim implements plan.Device.
func (d *Device) Trim() { d.mem.Trim() }

// Supports implements plan.Device: the CPU runs every op on every dtype.
func (d *Device) Supports(o ir.Op, dtype ir.DType) bool {
	return kernels[o] != nil || runsFused(o)
}

// MixesProducts implements plan.Mixer.
func (d *Device) MixesProducts() bool { return true }

// ReducesProducts implements plan.RowReducer.
func (d *Device) ReducesProducts() bool { return true }

// runsFused reports whether programs, products or copies cover an op.
func runsFused(o ir.Op) bool {
	switch op.Table[o].Kind {
	case op.Elementwise, op.View, op.Identity:
		return true
	}
	switch o {
	case op.Leaf, op.Const, op.Cast, op.Contiguous, op.MatMul, op.MixedMatMul, op.Gemm, op.LoRALinear:
		return true
	}
	return false
}

// Memory is a block of the device's memory. Forms derived from its contents,
// such as packed weights, live as long as it does.
type Memory struct {
	block   arena.Block
	foreign []byte // instead of the block
	release func() // called when foreign memory is not used any more
	dev     *Device
	version atomic.Uint64 // counts writes after the first
	mu      sync.Mutex
	packs   []*packed
	freed   []func() // see Attach
}

var empty [64]byte // what blocks of no bytes point to

// Bytes implements ir.Buffer.
func (m *Memory) Bytes() int {
	if m.foreign != nil {
		return len(m.foreign)
	}
	return m.block.Size()
}

// Host implements plan.Memory.
func (m *Memory) Host() unsafe.Pointer {
	if m.foreign != nil {
		return unsafe.Pointer(&m.foreign[0])
	}
	if p := m.block.Pointer(); p != nil {
		return p
	}
	return unsafe.Pointer(&empty)
}

// Changed tells that the contents were written after the block was first used:
// what was derived from them is stale.
func (m *Memory) Changed() { m.version.Add(1) }

// Attach implements plan.Attacher.
func (m *Memory) Attach(freed func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.freed = append(m.freed, freed)
}

// Alloc implements plan.Device.
func (d *Device) Alloc(bytes int) (plan.Memory, error) {
	b, err := d.mem.Alloc(bytes)
	if err != nil {
		return nil, err
	}
	m := memories.Get().(*Memory)
	m.block, m.dev = b, d
	return m, nil
}

// Wrap implements plan.Wrapper: the memory of a mapped file needs no copy.
func (d *Device) Wrap(data []byte, release func()) plan.Memory {
	m := memories.Get().(*Memory)
	m.foreign, m.release, m.dev = data, release, d
	return m
}

// memories keeps descriptions of freed blocks for reuse, so that the arena of a
// plan costs no allocation.
var memories = sync.Pool{New: func() any { return new(Memory) }}

// Free implements plan.Device.
func (d *Device) Free(m plan.Memory) {
	c := m.(*Memory)
	c.mu.Lock()
	for _, p := range c.packs {
		p.free()
	}
	freed := c.freed
	c.packs, c.freed = nil, nil
	c.mu.Unlock()
	for _, f := range freed {
		f()
	}
	if c.foreign != nil {
		c.release()
		c.foreign, c.release = nil, nil
	} else {
		d.mem.Free(c.block)
	}
	c.block = arena.Block{}
	memories.Put(c)
}
