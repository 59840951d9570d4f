package vec

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/pool"
)

// Kernel is a compiled program bound to a shape. Running it allocates nothing. It
// is used by one goroutine at a time.
type Kernel struct {
	p      *Program
	n      int
	tile   int // elements, whole rows where those are summed
	cols   int // of a row
	inputs []access
	chunk  int // elements of a chunk, a multiple of the tile
	in     []unsafe.Pointer
	out    []unsafe.Pointer
	bound  [][]bound // the instructions, for each worker
	job    pool.Func

	shape    []int
	strides  [][]int
	code     *machineCode // instead of the instructions
	grid     grid         // of its operands, unless it gathers them
	gathers  bool
	cold     float64 // nanoseconds of work until it is compiled
	compiled bool    // as far as it can be
}

// access is how an input's elements follow each other, in the order of the output.
type access struct {
	kind    accessKind
	size    int   // bytes of an element
	dims    []int // innermost last, as few as possible
	strides []int // in elements
	slot    int   // where its tile is gathered, counted after the registers
}

type accessKind uint8

const (
	inOrder accessKind = iota
	splat
	gathered
)

// Bind fixes the shape of the outputs, which are stored in order, and how each
// input lies: its strides in elements, one for each dimension (0 repeats), or nil
// if it is in order too.
func (p *Program) Bind(shape []int, strides [][]int) (*Kernel, error) {
	if len(strides) != len(p.inputs) {
		return nil, fmt.Errorf("vec: strides for %d inputs; the program has %d", len(strides), len(p.inputs))
	}
	k := &Kernel{p: p, n: 1, shape: slices.Clone(shape), cold: p.coldNanos(), in: make([]unsafe.Pointer, len(p.inputs)), out: make([]unsafe.Pointer, len(p.outputs))}
	for _, d := range shape {
		if d < 0 {
			return nil, fmt.Errorf("vec: negative dimension in %v", shape)
		}
		k.n *= d
	}
	for i, v := range p.inputs {
		k.strides = append(k.strides, slices.Clone(strides[i]))
		a := access{size: p.nodes[v].mem.Size(), slot: p.regs + i}
		if strides[i] != nil {
			if len(strides[i]) != len(shape) {
				return nil, fmt.Errorf("vec: input %d has %d strides for %d dimensions", i, len(strides[i]), len(shape))
			}
			a.collapse(shape, strides[i])
			if len(a.dims) > maxDims {
				return nil, fmt.Errorf("vec: input %d has more than %d dimensions that cannot be merged", i, maxDims)
			}
		}
		k.inputs = append(k.inputs, a)
	}
	k.tile = p.tile
	if p.sumsRows() {
		if len(shape) == 0 || shape[len(shape)-1]%lanes != 0 {
			return nil, fmt.Errorf("vec: rows of %v are not whole vectors", shape)
		}
		for i := range p.code {
			if in := &p.code[i]; in.rowSum && in.src[0].in == inInput && k.inputs[in.src[0].index].kind == splat {
				return nil, fmt.Errorf("vec: the sum of rows of one repeated element")
			}
		}
		k.cols = shape[len(shape)-1]
		k.tile = k.cols * max(1, p.tile/max(1, k.cols))
	}
	k.job = k.runChunk
	return k, nil
}

// collapse merges dimensions that lie behind each other and drops those of length 1.
func (a *access) collapse(shape, strides []int) {
	for i, d := range shape {
		if d == 1 {
			continue
		}
		if l := len(a.dims); l > 0 && a.strides[l-1] == d*strides[i] {
			a.dims[l-1] *= d
			a.strides[l-1] = strides[i]
			continue
		}
		a.dims, a.strides = append(a.dims, d), append(a.strides, strides[i])
	}
	switch {
	case len(a.dims) == 0:
	case len(a.dims) == 1 && a.strides[0] == 0:
		a.kind = splat
	case len(a.dims) > 1 || a.strides[0] != 1:
		a.kind = gathered
	}
}

// Len returns the number of elements of an output.
func (k *Kernel) Len() int { return k.n }

// Run computes the outputs and returns true, or false if stop became true. An
// output may be the same memory as an input of equal element size that is in
// order; it must not overlap inputs otherwise.
func (k *Kernel) Run(p *pool.Pool, stop *atomic.Bool, in, out []unsafe.Pointer) bool {
	if k.n == 0 {
		return true
	}
	copy(k.in, in)
	copy(k.out, out)
	cost := k.p.cost * float64(k.n)
	k.warm(cost)
	k.chunk = k.split(cost, p.Threads())
	if k.bound == nil {
		k.bound = make([][]bound, p.Threads())
	}
	done := p.Run((k.n+k.chunk-1)/k.chunk, cost, stop, k.job)
	runtime.KeepAlive(k)
	clear(k.in)
	clear(k.out)
	return done
}

// split makes chunks of 3 µs to 1 ms, at least four for each thread where they are that
// long, and two of less where that pays.
func (k *Kernel) split(cost float64, threads int) int {
	chunks := max(1, min(2, int(cost/1e3)), int(min(cost/3e3, max(float64(4*threads), cost/1e6))))
	chunks = pool.WholeRounds(chunks, threads)
	tile := k.tile
	return ((k.n+chunks-1)/chunks + tile - 1) / tile * tile
}

// splat fills a block with the input's one value.
func (a *access) splat(dst, src unsafe.Pointer) {
	b := unsafe.Slice((*byte)(dst), splatBytes)
	switch a.size {
	case 1:
		fill(b, *(*uint8)(src))
	case 2:
		fill(b, *(*uint16)(src))
	case 4:
		fill(b, *(*uint32)(src))
	case 8:
		fill(b, *(*uint64)(src))
	}
}

// gather copies elements o to o+n, in the order of the output, to dst.
func (a *access) gather(dst, src unsafe.Pointer, o, n int) {
	if a.kind == inOrder {
		copy(unsafe.Slice((*byte)(dst), n*a.size), unsafe.Slice((*byte)(unsafe.Add(src, o*a.size)), n*a.size))
		return
	}
	switch a.size {
	case 1:
		gather[uint8](a, dst, src, o, n)
	case 2:
		gather[uint16](a, dst, src, o, n)
	case 4:
		gather[uint32](a, dst, src, o, n)
	case 8:
		gather[uint64](a, dst, src, o, n)
	}
}

const maxDims = 16

func gather[T any](a *access, dst, src unsafe.Pointer, o, n int) {
	size := int(unsafe.Sizeof(*new(T)))
	d := unsafe.Slice((*T)(dst), n)
	last := len(a.dims) - 1
	var at [maxDims]int // position of the next element
	off := 0
	for i, rest := last, o; i >= 0; i-- {
		at[i] = rest % a.dims[i]
		rest /= a.dims[i]
		off += at[i] * a.strides[i]
	}
	inner, stride := a.dims[last], a.strides[last]
	for len(d) > 0 {
		m := min(len(d), inner-at[last])
		p := unsafe.Add(src, off*size)
		switch stride {
		case 0:
			v := *(*T)(p)
			for i := range d[:m] {
				d[i] = v
			}
		case 1:
			copy(d[:m], unsafe.Slice((*T)(p), m))
		default:
			for i := range d[:m] {
				d[i] = *(*T)(unsafe.Add(p, i*stride*size))
			}
		}
		d = d[m:]
		at[last] += m
		off += m * stride
		for i := last; i > 0 && at[i] == a.dims[i]; i-- {
			off += a.strides[i-1] - a.dims[i]*a.strides[i]
			at[i] = 0
			at[i-1]++
		}
	}
}
