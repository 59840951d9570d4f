// Package attention takes queries, keys and values by address and strides and
// gives softmax(scale·Q·Kᵀ + mask)·V, float32, for many heads, causal or masked, with
// fewer heads of keys and values than of queries (grouped-query attention).
//
// A chunk is a block of query rows of one head: its scores stay in the core's L2
// cache between the two products, and columns that causality hides are not
// computed. Keys and values are packed once for all blocks that read them.
package attention

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
)

// Tensor addresses float32 elements [batch][head][row][column]; columns are
// contiguous. Strides are in elements and may be 0.
type Tensor struct {
	Data             unsafe.Pointer
	Batch, Head, Row int
}

func (t Tensor) at(b, h, i int) unsafe.Pointer {
	return unsafe.Add(t.Data, 4*(b*t.Batch+h*t.Head+i*t.Row))
}

// Call is one attention. Its shape is fixed at the first Run; addresses and Scale
// may change. It is used by one goroutine at a time.
type Call struct {
	Batch, Heads, KVHeads int // Heads is a multiple of KVHeads
	Queries, Keys         int // rows of Q and Out; rows of K and V
	Dim, ValueDim         int // columns of Q and K; of V and Out
	Q, K, V, Out          Tensor
	Scale                 float32   // 0 means 1/√Dim
	Causal                bool      // query i sees keys 0 to i + Keys - Queries
	Mask                  Tensor    // added to the scores, Queries×Keys; Data nil for none
	LogSumExp             []float32 // if not nil, log Σ exp of each row of scores, [batch][head][query]

	block  int // rows of a chunk
	blocks int // chunks of a head
	ld     int // row stride of the scores
	k, v   []gemm.PackedB
	pool   *pool.Pool
	stop   *atomic.Bool
	frames sync.Pool
	pack   pool.Func
	rows   pool.Func
}

// unpacked is the number of queries up to which keys and values are read in place.
const unpacked = 3

// frame is what one worker keeps for a block of a given height.
type frame struct {
	height        int
	scale         float32
	scores, mixed gemm.Call
}

// Run computes Out and returns true, or false if stop became true.
func (c *Call) Run(p *pool.Pool, stop *atomic.Bool) bool {
	if c.Batch*c.Heads*c.Queries == 0 {
		return true
	}
	if c.rows == nil {
		c.prepare()
	}
	c.pool, c.stop = p, stop
	defer c.release()
	work := 2 * float64(c.Batch*c.Heads*c.Queries) * float64(c.Keys) * float64(c.Dim+c.ValueDim)
	if c.Causal {
		work /= 2
	}
	if c.Queries > unpacked && !p.Run(c.Batch*c.KVHeads, float64(c.Batch*c.KVHeads*c.Keys*(c.Dim+c.ValueDim)), stop, c.pack) {
		return false
	}
	done := p.Run(c.Batch*c.Heads*c.blocks, work/100, stop, c.rows)
	runtime.KeepAlive(c)
	return done
}

func (c *Call) prepare() {
	if c.KVHeads <= 0 || c.Heads%c.KVHeads != 0 || c.Keys <= 0 || c.Dim <= 0 || c.ValueDim <= 0 {
		panic(fmt.Sprintf("attention: %d heads over %d, %d keys, dimensions %d and %d", c.Heads, c.KVHeads, c.Keys, c.Dim, c.ValueDim))
	}
	c.ld = (c.Keys+15)/16*16 + 16
	c.block = min(c.Queries, 128, max(16, feature.Cache().L2/2/(4*c.ld)))
	if c.Causal {
		c.block = min(c.block, 64) // half of the last block's square is hidden, but computed
	}
	c.blocks = (c.Queries + c.block - 1) / c.block
	c.k, c.v = make([]gemm.PackedB, c.Batch*c.KVHeads), make([]gemm.PackedB, c.Batch*c.KVHeads)
	c.frames.New = func() any { return new(frame) }
	c.pack, c.rows = c.packHead, c.rowBlock
}

// release frees the packed keys and values.
func (c *Call) release() {
	for i := range c.k {
		c.k[i].Free()
		c.v[i].Free()
	}
	c.pool, c.stop = nil, nil
}

func (c *Call) packHead(i int, w *pool.Worker) {
	b, h := i/c.KVHeads, i%c.KVHeads
	k := gemm.Matrix{Data: c.K.at(b, h, 0), RowStride: 1, ColStride: c.K.Row}
	v := gemm.Matrix{Data: c.V.at(b, h, 0), RowStride: c.V.Row, ColStride: 1}
	if err := c.k[i].Load(w.Arena(), k, c.Dim, c.Keys); err != nil {
		panic(err)
	}
	if err := c.v[i].Load(w.Arena(), v, c.Keys, c.ValueDim); err != nil {
		panic(err)
	}
}

// rowBlock computes some rows of one head.
func (c *Call) rowBlock(chunk int, w *pool.Worker) {
	head, block := chunk/c.blocks, chunk%c.blocks
	if c.Causal {
		block = c.blocks - 1 - block // the longest first
	}
	b, h := head/c.Heads, head%c.Heads
	kv := h / (c.Heads / c.KVHeads)
	i0 := block * c.block
	rows := min(c.block, c.Queries-i0)
	scores := w.Scratch(4 * c.block * c.ld).Float32s()

	seen := c.Keys // columns that the last row sees
	if c.Causal {
		seen = min(c.Keys, i0+rows+c.Keys-c.Queries)
	}
	if seen <= 0 {
		c.clearRows(b, h, i0, rows)
		return
	}
	f := c.frames.Get().(*frame)
	c.shape(f, rows)
	s := &f.scores
	s.C = gemm.Slice(scores, c.ld)
	s.Cols = seen
	s.Terms[0].A = gemm.Matrix{Data: c.Q.at(b, h, i0), RowStride: c.Q.Row, ColStride: 1}
	m := &f.mixed
	m.C = gemm.Matrix{Data: c.Out.at(b, h, i0), RowStride: c.Out.Row, ColStride: 1}
	m.Depth = seen
	m.Terms[0].A = gemm.Slice(scores, c.ld)
	if c.Queries > unpacked {
		s.Terms[0].Packed, m.Terms[0].Packed = &c.k[b*c.KVHeads+kv], &c.v[b*c.KVHeads+kv]
	} else {
		s.Terms[0].B = gemm.Matrix{Data: c.K.at(b, kv, 0), RowStride: 1, ColStride: c.K.Row}
		m.Terms[0].B = gemm.Matrix{Data: c.V.at(b, kv, 0), RowStride: c.V.Row, ColStride: 1}
	}
	if s.Run(c.pool, c.stop) {
		c.softmax(scores, b, h, i0, rows, seen)
		m.Run(c.pool, c.stop)
	}
	// Addresses outside the heap must not outlive the run.
	s.C, m.C, s.Terms[0], m.Terms[0] = gemm.Matrix{}, gemm.Matrix{}, gemm.Term{K: c.Dim, Alpha: f.scale}, gemm.Term{K: c.Keys}
	c.frames.Put(f)
}

// shape makes a frame's products fit a block of the given height and the scale.
func (c *Call) shape(f *frame, rows int) {
	scale := c.Scale
	if scale == 0 {
		scale = float32(1 / math.Sqrt(float64(c.Dim)))
	}
	if f.height == rows && f.scale == scale {
		return
	}
	f.height, f.scale = rows, scale
	f.scores = gemm.Call{M: rows, N: c.Keys, Terms: []gemm.Term{{K: c.Dim, Alpha: scale}}}
	f.mixed = gemm.Call{M: rows, N: c.ValueDim, Terms: []gemm.Term{{K: c.Keys}}}
}

func (c *Call) clearRows(b, h, i0, rows int) {
	for i := range rows {
		clear(unsafe.Slice((*float32)(c.Out.at(b, h, i0+i)), c.ValueDim))
		if c.LogSumExp != nil {
			c.LogSumExp[(b*c.Heads+h)*c.Queries+i0+i] = float32(math.Inf(-1))
		}
	}
}

// softmax masks and normalises the scores of a block. Columns that a row does not
// see become 0.
func (c *Call) softmax(scores []float32, b, h, i0, rows, seen int) {
	var lse []float32
	if c.LogSumExp != nil {
		lse = c.LogSumExp[(b*c.Heads+h)*c.Queries+i0:][:rows]
	}
	if c.Mask.Data == nil && !c.Causal {
		x := vec.Rows{Data: unsafe.Pointer(&scores[0]), Stride: c.ld}
		if lse != nil {
			vec.LogSumExp(lse, x, rows, seen)
		}
		vec.Softmax(x, x, rows, seen)
		return
	}
	hidden := float32(math.Inf(-1))
	for i := range rows {
		row := scores[i*c.ld:][:seen]
		if c.Causal {
			valid := max(0, min(seen, i0+i+1+c.Keys-c.Queries))
			clear(row[valid:])
			row = row[:valid]
		}
		if c.Mask.Data != nil && len(row) > 0 {
			vec.Binary(vec.Add, row, row, unsafe.Slice((*float32)(c.Mask.at(b, h, i0+i)), len(row)))
		}
		if allEqual(row, hidden) { // a row that sees nothing gives 0, not NaN
			clear(row)
			if lse != nil {
				lse[i] = hidden
			}
			continue
		}
		x := vec.Rows{Data: unsafe.Pointer(&row[0])}
		if lse != nil {
			vec.LogSumExp(lse[i:i+1], x, 1, len(row))
		}
		vec.Softmax(x, x, 1, len(row))
	}
}

func allEqual(x []float32, v float32) bool {
	for _, y := range x {
		if y != v {
			return false
		}
	}
	return true
}
