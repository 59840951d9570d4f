package cpu

import (
	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/plan"
)

// packed is a right factor in the order that products read it, made once from
// memory that plans only read: a weight. It is made when the same part of the
// same memory is wanted for the second time, so that data seen once costs
// nothing, and lives as long as the memory.
type packed struct {
	layout  matrixLayout
	version uint64
	b       *gemm.PackedB // nil until the second use
}

// matrixLayout is which part of the memory is packed, in elements from its start.
type matrixLayout struct {
	offset, rowStride, colStride, k, n int

	rounded bool // to bfloat16, which another precision must not use
}

func (p *packed) free() {
	if p.b != nil {
		p.b.Free()
		p.b = nil
	}
}

// packFrom is the smallest factor, in elements, that is worth keeping packed.
const packFrom = 16 << 10

// maxPacks bounds the packed parts of one memory: a weight has two (itself and
// its transpose for the backward pass) for each precision, a data set as many as it
// has batches.
const maxPacks = 4

// packed returns the packed form of a matrix in m, or nil where there is none yet.
func (m *Memory) packed(p *pool.Pool, at gemm.Matrix, l matrixLayout) *gemm.PackedB {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.version.Load()
	for _, q := range m.packs {
		if q.layout != l {
			continue
		}
		switch {
		case q.b != nil && q.version == v:
		case q.b != nil:
			q.b.Repack(p, at)
		default:
			b, load := &gemm.PackedB{}, (*gemm.PackedB).Load
			if l.rounded {
				load = (*gemm.PackedB).LoadRounded
			}
			if load(b, &m.dev.mem, at, l.k, l.n) != nil {
				return nil // without room it is read in place
			}
			q.b = b
		}
		q.version = v
		return q.b
	}
	if len(m.packs) < maxPacks {
		m.packs = append(m.packs, &packed{layout: l, version: v})
	}
	return nil
}

// weight returns the packed form of a right factor that is a leaf's memory, rounded or not.
func (r *run) weight(o *plan.Operand, g gemm.Matrix, k, n int, rounded bool) *gemm.PackedB {
	if r.plan.Buffers[o.Buffer].Kind != plan.LeafBuffer || k*n < packFrom {
		return nil
	}
	m, ok := r.b.Memory[o.Buffer].(*Memory)
	if !ok {
		return nil
	}
	off := int(uintptr(g.Data)-uintptr(m.Host())) / 4
	return m.packed(r.pool, g, matrixLayout{off, g.RowStride, g.ColStride, k, n, rounded})
}
