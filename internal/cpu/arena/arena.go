// Package arena gives memory outside the Go heap, in blocks that are aligned,
// counted, limited, and reused: the garbage collector never scans or moves it,
// and large blocks lie on huge pages where the system allows them.
//
// A block's address may be held as a uintptr or an unsafe.Pointer by assembly
// arguments. The owner frees each block exactly once.
package arena

import (
	"fmt"
	"math/bits"
	"sync"
	"unsafe"
)

// Align is the alignment of every block, in bytes: one cache line and one
// AVX-512 vector.
const Align = 64

const (
	slabSize  = 2 << 20 // what small blocks are cut from: one huge page
	largeSize = 1 << 20 // blocks from here on have their own mapping
)

// Block is a piece of memory. Its zero value is empty and may be freed.
type Block struct {
	ptr   unsafe.Pointer
	size  int // bytes asked for
	class int // index of the size class, plus one
}

// Pointer returns the first byte, aligned to [Align]; nil for an empty block.
func (b Block) Pointer() unsafe.Pointer { return b.ptr }

// Size returns the bytes asked for.
func (b Block) Size() int { return b.size }

// Bytes returns the block as a slice. It must not be used after Free.
func (b Block) Bytes() []byte { return unsafe.Slice((*byte)(b.ptr), b.size) }

// Float32s returns the block as float32 values. It must not be used after Free.
func (b Block) Float32s() []float32 { return unsafe.Slice((*float32)(b.ptr), b.size/4) }

// Stats counts an arena's memory in bytes.
type Stats struct {
	Active int64 // in blocks now, rounded up to their size classes
	Peak   int64 // highest Active so far, or since ResetPeak
	Cached int64 // mapped but in no block
	Limit  int64 // bound on Active; 0 means none
	Blocks int64 // number of blocks now
}

// LimitError reports that a block would have passed the arena's limit.
type LimitError struct{ Asked, Active, Limit int64 }

func (e *LimitError) Error() string {
	return fmt.Sprintf("out of memory: %d bytes asked for while %d are in use would pass the limit of %d; free tensors, use smaller ones, or raise the limit", e.Asked, e.Active, e.Limit)
}

// Arena allocates blocks. It is safe for concurrent use; its zero value is ready.
type Arena struct {
	mu    sync.Mutex
	free  [classes][]unsafe.Pointer
	slab  []byte // rest of the newest slab
	stats Stats
}

// Size classes: four to each doubling, from 64 bytes on.
const classes = 4 * 40

// classOf returns the index and size of the smallest class that holds n bytes.
func classOf(n int) (index, size int) {
	u := (n + Align - 1) / Align // in units of 64 bytes
	if u <= 4 {
		u = max(u, 1)
		return u - 1, u * Align
	}
	shift := bits.Len(uint(u-1)) - 3 // u-1 in [4,8) << shift
	q := (u-1)>>shift + 1            // 5..8
	return 4*shift + q - 1, q << shift * Align
}

// Alloc returns a block of n bytes, with undefined contents. The error is a
// *LimitError, or the system's refusal.
func (a *Arena) Alloc(n int) (Block, error) {
	if n < 0 {
		return Block{}, fmt.Errorf("arena: negative size %d", n)
	}
	if n == 0 {
		return Block{}, nil
	}
	index, size := classOf(n)
	if size >= largeSize {
		size = (size + pageSize - 1) &^ (pageSize - 1)
	}
	if index >= classes {
		return Block{}, fmt.Errorf("arena: %d bytes are more than a block can hold", n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stats.Limit > 0 && a.stats.Active+int64(size) > a.stats.Limit {
		return Block{}, &LimitError{int64(size), a.stats.Active, a.stats.Limit}
	}
	p, err := a.take(index, size)
	if err != nil {
		return Block{}, err
	}
	a.stats.Active += int64(size)
	a.stats.Blocks++
	a.stats.Peak = max(a.stats.Peak, a.stats.Active)
	return Block{p, n, index + 1}, nil
}

// take finds memory for a class: a free block, the slab, or a new mapping.
func (a *Arena) take(index, size int) (unsafe.Pointer, error) {
	if l := len(a.free[index]); l > 0 {
		p := a.free[index][l-1]
		a.free[index] = a.free[index][:l-1]
		a.stats.Cached -= int64(size)
		return p, nil
	}
	if size >= largeSize {
		m, err := mapMemory(size)
		if err != nil {
			a.trim()
			if m, err = mapMemory(size); err != nil {
				return nil, fmt.Errorf("out of memory: the system refused %d bytes: %w", size, err)
			}
		}
		return unsafe.Pointer(unsafe.SliceData(m)), nil
	}
	if len(a.slab) < size {
		m, err := mapMemory(slabSize)
		if err != nil {
			return nil, fmt.Errorf("out of memory: the system refused %d bytes: %w", slabSize, err)
		}
		a.stats.Cached += slabSize
		a.slab = m // the rest of the old slab, less than one block, stays counted as cached
	}
	p := unsafe.Pointer(unsafe.SliceData(a.slab))
	a.slab = a.slab[size:]
	a.stats.Cached -= int64(size)
	return p, nil
}

// Free gives a block back. Freeing an empty block does nothing.
func (a *Arena) Free(b Block) {
	if b.class == 0 {
		return
	}
	_, size := classOf(b.size)
	if size >= largeSize {
		size = (size + pageSize - 1) &^ (pageSize - 1)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free[b.class-1] = append(a.free[b.class-1], b.ptr)
	a.stats.Active -= int64(size)
	a.stats.Cached += int64(size)
	a.stats.Blocks--
}

// Trim returns free large blocks to the system and tells how many bytes that were.
func (a *Arena) Trim() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trim()
}

func (a *Arena) trim() (freed int64) {
	first, _ := classOf(largeSize)
	for i := first; i < classes; i++ {
		if len(a.free[i]) == 0 {
			continue
		}
		size := (sizeOfClass(i) + pageSize - 1) &^ (pageSize - 1)
		for _, p := range a.free[i] {
			unmapMemory(unsafe.Slice((*byte)(p), size))
			freed += int64(size)
		}
		a.free[i] = nil
	}
	a.stats.Cached -= freed
	return freed
}

// sizeOfClass is the inverse of classOf.
func sizeOfClass(i int) int {
	if i < 4 {
		return (i + 1) * Align
	}
	shift, q := (i-4)/4, (i-4)%4+5
	return q << shift * Align
}

// SetLimit bounds the bytes in blocks; 0 lifts the bound. Blocks in use stay.
func (a *Arena) SetLimit(n int64) {
	a.mu.Lock()
	a.stats.Limit = n
	a.mu.Unlock()
}

// ResetPeak makes the peak start again from what is in use.
func (a *Arena) ResetPeak() {
	a.mu.Lock()
	a.stats.Peak = a.stats.Active
	a.mu.Unlock()
}

// Stats returns the present counts.
func (a *Arena) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}
