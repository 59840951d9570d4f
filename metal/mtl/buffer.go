package mtl

import (
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"unsafe"

	"loris/metal/objc"
)

// Buffer is memory that CPU and GPU share. It is all or part of one MTLBuffer.
type Buffer struct {
	device  *Device
	block   *block
	offset  int // within the block
	length  int // as asked for
	data    unsafe.Pointer
	lastUse uint64 // sequence of the last command buffer that touches it
	freed   bool
}

// block is one MTLBuffer.
type block struct {
	id     objc.ID
	size   int
	data   unsafe.Pointer
	keep   any   // what memory that is not ours must outlive
	pieces *slab // set for slabs
}

// slab is a block cut into pieces of one power of two.
type slab struct {
	piece int
	free  []int // offsets
	used  int
}

// MemoryStats counts bytes.
type MemoryStats struct {
	Active int64 // held by live buffers, rounded up as allocated
	Peak   int64 // highest Active
	Cached int64 // held for reuse
	Limit  int64
}

const (
	smallestPiece = 256
	largestPiece  = 16384
	slabBytes     = 1 << 20
)

// memory hands out buffers: small ones from slabs, others from a cache by size.
type memory struct {
	device  *Device
	mu      sync.Mutex
	stats   MemoryStats
	cache   map[int][]*block
	slabs   map[int][]*block // by piece size
	retired []*Buffer        // freed while the GPU may still use them
	live    map[*block]bool
	unused  *Buffer
}

func newMemory(d *Device) memory {
	limit := d.options.Limit
	if limit == 0 {
		limit = int64(d.WorkingSet)
	}
	return memory{device: d, cache: map[int][]*block{}, slabs: map[int][]*block{}, live: map[*block]bool{}, stats: MemoryStats{Limit: limit}}
}

// ErrMemory says that a buffer would not fit.
type ErrMemory struct{ Bytes, Active, Limit int64 }

func (e *ErrMemory) Error() string {
	return fmt.Sprintf("Metal is out of memory: %d bytes wanted, %d in use, the limit is %d", e.Bytes, e.Active, e.Limit)
}

// NewBuffer returns a buffer of n bytes with undefined contents. n = 0 gives one that no kernel may read.
func (d *Device) NewBuffer(n int) (*Buffer, error) {
	m := &d.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	m.collect(d.Stream.completedSequence())
	size := rounded(n, d.options.NoSlabs)
	if m.stats.Active+int64(size) > m.stats.Limit {
		return nil, &ErrMemory{int64(n), m.stats.Active, m.stats.Limit}
	}
	var b *Buffer
	var err error
	if size <= largestPiece && !d.options.NoSlabs {
		b, err = m.fromSlab(size)
	} else {
		b, err = m.fromCache(size)
	}
	if err != nil {
		return nil, err
	}
	b.device, b.length = d, n
	m.stats.Active += int64(size)
	m.stats.Peak = max(m.stats.Peak, m.stats.Active)
	return b, nil
}

// rounded is the size that n bytes take: a power of two in a slab, whole pages beyond.
func rounded(n int, noSlabs bool) int {
	if noSlabs {
		return max(n, 16)
	}
	if n <= smallestPiece {
		return smallestPiece
	}
	if n <= largestPiece {
		return 1 << bits.Len(uint(n-1))
	}
	return (n + PageBytes - 1) &^ (PageBytes - 1)
}

func (m *memory) fromSlab(piece int) (*Buffer, error) {
	for _, b := range m.slabs[piece] {
		if last := len(b.pieces.free) - 1; last >= 0 {
			offset := b.pieces.free[last]
			b.pieces.free = b.pieces.free[:last]
			b.pieces.used++
			return &Buffer{block: b, offset: offset, data: unsafe.Add(b.data, offset)}, nil
		}
	}
	b, err := m.allocate(slabBytes)
	if err != nil {
		return nil, err
	}
	b.pieces = &slab{piece: piece}
	for offset := slabBytes - piece; offset >= 0; offset -= piece {
		b.pieces.free = append(b.pieces.free, offset)
	}
	m.slabs[piece] = append(m.slabs[piece], b)
	return m.fromSlab(piece)
}

func (m *memory) fromCache(size int) (*Buffer, error) {
	if list := m.cache[size]; len(list) > 0 {
		b := list[len(list)-1]
		m.cache[size] = list[:len(list)-1]
		m.stats.Cached -= int64(size)
		return &Buffer{block: b, data: b.data}, nil
	}
	b, err := m.allocate(size)
	if err != nil {
		return nil, err
	}
	return &Buffer{block: b, data: b.data}, nil
}

// allocate asks Metal; if it refuses, what is cached is given back and it is asked once more.
func (m *memory) allocate(size int) (*block, error) {
	id := objc.ID(newBuffer.Send(m.device.id, uintptr(size), resourceSharedUntracked))
	if id == 0 {
		m.purge()
		if id = objc.ID(newBuffer.Send(m.device.id, uintptr(size), resourceSharedUntracked)); id == 0 {
			return nil, &ErrMemory{int64(size), m.stats.Active, int64(m.device.WorkingSet)}
		}
	}
	b := &block{id: id, size: size, data: pointer(bufferContents.Send(id))}
	m.live[b] = true
	return b, nil
}

// pointer turns an address that C gave us into a pointer; it is not Go memory, so nothing can move it.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// Borrow wraps memory of the caller, such as a mapped file, without copying. Address and length must be multiples
// of the page size. The memory must stay valid until release is called, which happens on any thread.
func (d *Device) Borrow(data []byte, release func()) (*Buffer, error) {
	address := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	if len(data) == 0 || address%PageBytes != 0 || len(data)%PageBytes != 0 {
		return nil, fmt.Errorf("memory to share with the GPU must start at a page and be whole pages of %d bytes: address %#x, %d bytes", PageBytes, address, len(data))
	}
	handler := objc.NewBlock(func(_, _ uintptr) {
		if release != nil {
			release()
		}
	})
	defer handler.ReleaseBlock()
	id := objc.ID(newBufferNoCopy.Send(d.id, address, uintptr(len(data)), resourceSharedUntracked, uintptr(handler)))
	runtime.KeepAlive(data)
	if id == 0 {
		return nil, &ErrMemory{int64(len(data)), d.MemoryStats().Active, d.MemoryStats().Limit}
	}
	b := &block{id: id, size: len(data), data: unsafe.Pointer(unsafe.SliceData(data)), keep: data}
	m := &d.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live[b] = true
	m.stats.Active += int64(len(data))
	m.stats.Peak = max(m.stats.Peak, m.stats.Active)
	return &Buffer{device: d, block: b, length: len(data), data: b.data}, nil
}

// ID is the Metal buffer that the bytes are part of.
func (b *Buffer) ID() objc.ID { return b.block.id }

// Len is the length in bytes.
func (b *Buffer) Len() int { return b.length }

// Bytes is the memory itself. What the GPU wrote is there once the evaluation that wrote it has been waited for.
func (b *Buffer) Bytes() []byte { return unsafe.Slice((*byte)(b.data), b.length) }

// Free gives the buffer back, at the latest when the GPU has done with it. Using it afterwards is an error.
func (b *Buffer) Free() {
	m := &b.device.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if b.freed {
		panic("mtl: buffer freed twice")
	}
	b.freed = true
	m.retired = append(m.retired, b)
	m.collect(b.device.Stream.completedSequence())
}

// collect recycles freed buffers that no command buffer up to now uses.
func (m *memory) collect(completed uint64) {
	kept := m.retired[:0]
	for _, b := range m.retired {
		if b.lastUse > completed {
			kept = append(kept, b)
		} else {
			m.recycle(b)
		}
	}
	clear(m.retired[len(kept):])
	m.retired = kept
}

func (m *memory) recycle(b *Buffer) {
	size := b.block.size
	switch {
	case b.block.pieces != nil:
		size = b.block.pieces.piece
		b.block.pieces.free = append(b.block.pieces.free, b.offset)
		b.block.pieces.used--
	case b.block.keep != nil || m.device.options.NoSlabs:
		delete(m.live, b.block)
		b.block.id.Release()
	default:
		m.cache[size] = append(m.cache[size], b.block)
		m.stats.Cached += int64(size)
	}
	m.stats.Active -= int64(size)
	if m.stats.Cached > m.stats.Limit/4 {
		m.purge()
	}
}

// purge gives cached blocks and empty slabs back to Metal.
func (m *memory) purge() {
	for size, list := range m.cache {
		for _, b := range list {
			delete(m.live, b)
			b.id.Release()
		}
		delete(m.cache, size)
	}
	m.stats.Cached = 0
	for piece, list := range m.slabs {
		kept := list[:0]
		for _, b := range list {
			if b.pieces.used > 0 {
				kept = append(kept, b)
				continue
			}
			delete(m.live, b)
			b.id.Release()
		}
		m.slabs[piece] = kept
	}
}

// Unused is a buffer to bind where a kernel, as specialised, does not touch its argument. It is never written, and
// its label tells the software Metal so.
func (d *Device) Unused() *Buffer {
	m := &d.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unused == nil {
		b, err := m.allocate(16)
		if err != nil {
			panic(err) // 16 bytes
		}
		objc.Pool(func() { setLabel.Send(b.id, uintptr(objc.String("unused"))) })
		m.unused = &Buffer{device: d, block: b, length: 16, data: b.data}
	}
	return m.unused
}

// MemoryStats returns the counters of now.
func (d *Device) MemoryStats() MemoryStats {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	return d.memory.stats
}

// SetLimit changes the most bytes that buffers may hold.
func (d *Device) SetLimit(bytes int64) {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	d.memory.stats.Limit = bytes
}

// Purge gives cached memory back to the system.
func (d *Device) Purge() {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	d.memory.collect(d.Stream.completedSequence())
	d.memory.purge()
}

func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for b := range m.live {
		b.id.Release()
	}
	clear(m.live)
	clear(m.cache)
	clear(m.slabs)
}
