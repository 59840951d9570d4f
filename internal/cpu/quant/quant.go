// Package quant takes weights rounded to eight or four bits in groups with a scale
// each, or to bfloat16 or float16, and multiplies them by float32 without ever
// writing them out whole: vectors by kernels that widen in registers, matrices by
// panels widened just before use.
package quant

//go:generate go run loris/internal/cpu/asmgen quant

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
)

// Matrix is Rows×Cols weights, as of a linear layer that maps Cols inputs to Rows
// outputs. Each row is cut into groups along its columns; the last one is padded
// with zeros. A weight is its group's scale times an integer: -127 to 127 for eight
// bits, -8 to 7 for four. Four-bit weights lie in blocks of 32: byte i of 16 holds
// weight i, plus 8, in its low and weight 16+i in its high half.
type Matrix struct {
	Rows, Cols int
	Bits       int // 8 or 4
	Group      int // weights of a scale, a multiple of 32
	Data       []byte
	Scales     []float32
}

// Groups returns the number of groups of a row.
func (m *Matrix) Groups() int { return (m.Cols + m.Group - 1) / m.Group }

// rowBytes returns the bytes of a row of weights.
func (m *Matrix) rowBytes() int { return m.Groups() * m.Group * m.Bits / 8 }

// New returns a matrix of zeros.
func New(rows, cols, bits, group int) (*Matrix, error) {
	if bits != 8 && bits != 4 {
		return nil, fmt.Errorf("quant: %d bits; use 8 or 4", bits)
	}
	if group <= 0 || group%32 != 0 {
		return nil, fmt.Errorf("quant: groups of %d weights; use a multiple of 32", group)
	}
	if rows < 0 || cols < 0 {
		return nil, fmt.Errorf("quant: a matrix of %dx%d", rows, cols)
	}
	m := &Matrix{Rows: rows, Cols: cols, Bits: bits, Group: group}
	m.Data = make([]byte, rows*m.rowBytes())
	m.Scales = make([]float32, rows*m.Groups())
	if bits == 4 {
		for i := range m.Data {
			m.Data[i] = 0x88
		}
	}
	return m, nil
}

// Quantize rounds w, rows of cols elements, to the nearest representable weights.
// A group's scale is the one that its largest magnitude needs. It reports weights
// that are not finite.
func Quantize(w []float32, rows, cols, bits, group int) (*Matrix, error) {
	m, err := New(rows, cols, bits, group)
	if err != nil {
		return nil, err
	}
	if len(w) != rows*cols {
		return nil, fmt.Errorf("quant: %d weights for a matrix of %dx%d", len(w), rows, cols)
	}
	for i := range rows {
		for g := range m.Groups() {
			k0, k1 := g*group, min(cols, (g+1)*group)
			if !m.quantizeGroup(i, g, w[i*cols+k0:i*cols+k1]) {
				return nil, fmt.Errorf("quant: row %d has a weight among columns %d to %d that is not finite", i, k0, k1-1)
			}
		}
	}
	return m, nil
}

func (m *Matrix) quantizeGroup(row, g int, w []float32) bool {
	var top float64 // the weight of the largest magnitude, with its sign
	for _, v := range w {
		if math.IsInf(float64(v), 0) || v != v {
			return false
		}
		if math.Abs(float64(v)) > math.Abs(top) {
			top = float64(v)
		}
	}
	limit, low, high := 127.0, -127.0, 127.0
	if m.Bits == 4 {
		limit, low, high = -8, -8, 7 // the largest magnitude becomes -8 exactly
	} else {
		top = math.Abs(top)
	}
	scale := float32(top / limit)
	m.Scales[row*m.Groups()+g] = scale
	if scale == 0 {
		return true
	}
	for i, v := range w {
		q := min(high, max(low, math.RoundToEven(float64(v)/float64(scale))))
		m.set(row, g*m.Group+i, int(q))
	}
	return true
}

// set stores the integer of weight k of a row.
func (m *Matrix) set(row, k, q int) {
	at := row * m.rowBytes()
	if m.Bits == 8 {
		m.Data[at+k] = byte(q)
		return
	}
	p := &m.Data[at+k/32*16+k%16]
	if k%32 < 16 {
		*p = *p&0xf0 | byte(q+8)
	} else {
		*p = *p&0x0f | byte(q+8)<<4
	}
}

// row widens columns k0 to k1 of a row to float32.
func (m *Matrix) row(dst []float32, row, k0, k1 int) {
	data, scales := m.Data[row*m.rowBytes():][:m.rowBytes()], m.Scales[row*m.Groups():]
	for k := k0; k < k1; {
		end := min(k1, (k/32+1)*32)
		s, block := scales[k/m.Group], k/32
		d := dst[k-k0 : end-k0]
		if m.Bits == 8 {
			for i, q := range data[k:end] {
				d[i] = s * float32(int8(q))
			}
		} else {
			bytes := data[block*16:][:16]
			for i := range d {
				j := k - block*32 + i
				d[i] = s * float32(int(bytes[j&15]>>(j>>4*4)&15)-8)
			}
		}
		k = end
	}
}

// Dequantize returns all weights as float32, rows of Cols elements.
func (m *Matrix) Dequantize() []float32 {
	w := make([]float32, m.Rows*m.Cols)
	for i := range m.Rows {
		m.row(w[i*m.Cols:][:m.Cols], i, 0, m.Cols)
	}
	return w
}

// Bytes returns the memory of the weights and scales.
func (m *Matrix) Bytes() int { return len(m.Data) + 4*len(m.Scales) }

// dotsFunc gives the dot products of 1, 2 or 4 rows with x; see the assembly.
type dotsFunc = func(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int)

// active holds the kernels for four and eight bits, or nil.
var active = levels[feature.Active()]

// Product multiplies by a matrix of weights: y = x·Wᵀ + bias. Its shape is fixed at
// the first Run; it is used by one goroutine at a time.
type Product struct {
	W    *Matrix
	M    int            // rows of x and y
	X, Y gemm.Matrix    // M×Cols and M×Rows; rows of X and Y are contiguous
	Bias unsafe.Pointer // Rows contiguous float32, or nil

	call  *gemm.Call
	chunk int
	x     []float32 // one row of X, padded to whole groups
	job   pool.Func
}

// fewRows is the number of rows of x up to which each is multiplied on its own.
const fewRows = 4

// Run computes Y and returns true, or false if stop became true.
func (q *Product) Run(p *pool.Pool, stop *atomic.Bool) bool {
	w := q.W
	if q.M == 0 || w.Rows == 0 {
		return true
	}
	if q.M > fewRows {
		if q.call == nil {
			q.call = &gemm.Call{M: q.M, N: w.Rows, Terms: []gemm.Term{{K: w.Cols, Source: w}}}
		}
		q.call.C, q.call.Terms[0].A, q.call.Bias = q.Y, q.X, q.Bias
		return q.call.Run(p, stop)
	}
	if q.job == nil {
		q.x = make([]float32, max(1, q.M*w.Groups()*w.Group))
		q.job = q.vectorChunk
	}
	for i := range q.M {
		row := q.x[i*w.Groups()*w.Group:][:w.Groups()*w.Group]
		for k := range w.Cols {
			row[k] = *(*float32)(unsafe.Add(q.X.Data, 4*(i*q.X.RowStride+k*q.X.ColStride)))
		}
	}
	cost := float64(q.M*w.Rows*w.Cols) / 30
	q.chunk = max(4, int(float64(w.Rows)*min(1, 8e3/max(cost, 1)))/4*4)
	return p.Run((w.Rows+q.chunk-1)/q.chunk, cost, stop, q.job)
}

type sums struct{ out [4]float32 }

var sumsPool = sync.Pool{New: func() any { return new(sums) }}

// vectorChunk computes some outputs of each row of x.
func (q *Product) vectorChunk(chunk int, _ *pool.Worker) {
	w := q.W
	s := sumsPool.Get().(*sums)
	for j := chunk * q.chunk; j < min(w.Rows, (chunk+1)*q.chunk); {
		rows := min(4, w.Rows-j)
		if rows == 3 {
			rows = 2
		}
		for i := range q.M {
			q.dots(&s.out, i, j, rows)
			for r, v := range s.out[:rows] {
				if q.Bias != nil {
					v += *(*float32)(unsafe.Add(q.Bias, 4*(j+r)))
				}
				*(*float32)(unsafe.Add(q.Y.Data, 4*(i*q.Y.RowStride+(j+r)*q.Y.ColStride))) = v
			}
		}
		j += rows
	}
	sumsPool.Put(s)
}

// dots multiplies rows j to j+rows of the weights by row i of x.
func (q *Product) dots(out *[4]float32, i, j, rows int) {
	w := q.W
	if w.Cols == 0 {
		*out = [4]float32{}
		return
	}
	x := q.x[i*w.Groups()*w.Group:]
	run := dotsGeneric(w.Bits)
	if active != nil {
		run = active[w.Bits/8]
	}
	run(&out[0], unsafe.Pointer(&w.Data[j*w.rowBytes()]), uintptr(w.rowBytes()), unsafe.Pointer(&w.Scales[j*w.Groups()]), uintptr(4*w.Groups()),
		unsafe.Pointer(&x[0]), w.Groups(), w.Group/32, rows)
}

var generics = [2]dotsFunc{newGeneric(4), newGeneric(8)}

// dotsGeneric returns the plain Go twin of the kernels.
func dotsGeneric(bits int) dotsFunc { return generics[bits/8] }

func newGeneric(bits int) dotsFunc {
	return func(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int) {
		n := groups * blocks * 32
		xs := unsafe.Slice((*float32)(x), n)
		for r := range rows {
			m := Matrix{Rows: 1, Cols: n, Bits: bits, Group: blocks * 32}
			m.Data = unsafe.Slice((*byte)(unsafe.Add(w, uintptr(r)*ldw)), n*bits/8)
			m.Scales = unsafe.Slice((*float32)(unsafe.Add(scales, uintptr(r)*lds)), groups)
			var block [32]float32
			sum := float32(0)
			for k := 0; k < n; k += 32 {
				m.row(block[:], 0, k, k+32)
				for i, v := range block {
					sum += v * xs[k+i]
				}
			}
			unsafe.Slice(out, rows)[r] = sum
		}
	}
}

// Panel implements [gemm.Source]: element (k, j) of the right factor is weight k of row j.
func (m *Matrix) Panel(dst []float32, ld, k0, k1, j0, j1 int) {
	var block [64]float32
	for j := j0; j < j1; j++ {
		for k := k0; k < k1; k += len(block) {
			n := min(len(block), k1-k)
			m.row(block[:n], j, k, k+n)
			for i, v := range block[:n] {
				dst[(k-k0+i)*ld+j-j0] = v
			}
		}
	}
}
