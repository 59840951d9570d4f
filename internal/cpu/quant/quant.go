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
	widen := active.widen[m.Bits/8]
	for k := k0; k < k1; {
		end := min(k1, (k/m.Group+1)*m.Group)
		first, d := k/32, dst[k-k0:]
		switch {
		case k%32 == 0 && end-k >= 32:
			groups, blocks := 1, (end-k)/32
			if k%m.Group == 0 && end-k == m.Group {
				groups = (k1 - k) / m.Group
			}
			widen(&d[0], unsafe.Pointer(&data[first*m.blockBytes()]), unsafe.Pointer(&scales[k/m.Group]), groups, blocks)
			k += 32 * groups * blocks
		default:
			end = min(end, (first+1)*32)
			m.part(d[:end-k], data[first*m.blockBytes():], scales[k/m.Group], k%32)
			k = end
		}
	}
}

// blockBytes returns the bytes of 32 weights.
func (m *Matrix) blockBytes() int { return 4 * m.Bits }

// part widens weights of one block of 32, from one on.
func (m *Matrix) part(dst []float32, block []byte, scale float32, from int) {
	for i := range dst {
		j := from + i
		if m.Bits == 8 {
			dst[i] = scale * float32(int8(block[j]))
		} else {
			dst[i] = scale * float32(int(block[j&15]>>(j>>4*4)&15)-8)
		}
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

// widenFunc writes groups of 32·blocks weights of a row as float32.
type widenFunc = func(dst *float32, w, scales unsafe.Pointer, groups, blocks int)

// kernels has one of each kind for four and one for eight bits.
type kernels struct {
	dots  [2]dotsFunc
	widen [2]widenFunc
}

var active = kernelsFor(feature.Active())

func kernelsFor(l feature.Level) *kernels {
	if k := levels[l]; k != nil {
		return k
	}
	return generic
}

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

// FewRows is the number of rows of x up to which a Product multiplies each by the
// weights as they are. Widening all weights for a matrix product takes as long as
// about 20 such rows of eight-bit weights, or 13 of four-bit ones.
const FewRows = 12

// Run computes Y and returns true, or false if stop became true.
func (q *Product) Run(p *pool.Pool, stop *atomic.Bool) bool {
	w := q.W
	if q.M == 0 || w.Rows == 0 {
		return true
	}
	if q.M > FewRows {
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
	active.dots[w.Bits/8](&out[0], unsafe.Pointer(&w.Data[j*w.rowBytes()]), uintptr(w.rowBytes()), unsafe.Pointer(&w.Scales[j*w.Groups()]), uintptr(4*w.Groups()),
		unsafe.Pointer(&x[0]), w.Groups(), w.Group/32, rows)
}

// generic is the plain Go twin of the kernels.
var generic = &kernels{[2]dotsFunc{dotsGeneric(4), dotsGeneric(8)}, [2]widenFunc{widenGeneric(4), widenGeneric(8)}}

func dotsGeneric(bits int) dotsFunc {
	widen := widenGeneric(bits)
	return func(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int) {
		xs := unsafe.Slice((*float32)(x), groups*blocks*32)
		var block [32]float32
		for r := range rows {
			data, scale := unsafe.Add(w, uintptr(r)*ldw), unsafe.Add(scales, uintptr(r)*lds)
			sum := float32(0)
			for b := range groups * blocks {
				widen(&block[0], unsafe.Add(data, b*4*bits), unsafe.Add(scale, b/blocks*4), 1, 1)
				for i, v := range block {
					sum += v * xs[32*b+i]
				}
			}
			unsafe.Slice(out, rows)[r] = sum
		}
	}
}

func widenGeneric(bits int) widenFunc {
	m := &Matrix{Bits: bits}
	return func(dst *float32, w, scales unsafe.Pointer, groups, blocks int) {
		d, bytes := unsafe.Slice(dst, 32*groups*blocks), unsafe.Slice((*byte)(w), m.blockBytes()*groups*blocks)
		for b := range groups * blocks {
			m.part(d[32*b:][:32], bytes[b*m.blockBytes():], unsafe.Slice((*float32)(scales), groups)[b/blocks], 0)
		}
	}
}

// strip is memory for columns of a panel before they are transposed.
type strip [stripCols * stripRows]float32

const (
	stripCols = 8
	stripRows = 64
)

var strips = sync.Pool{New: func() any { return new(strip) }}

// Panel implements [gemm.Source]: element (k, j) of the right factor is weight k of row j.
func (m *Matrix) Panel(dst []float32, ld, k0, k1, j0, j1 int) {
	s := strips.Get().(*strip)
	for k := k0; k < k1; k += stripRows {
		n := min(stripRows, k1-k)
		for j := j0; j < j1; j += stripCols {
			cols := min(stripCols, j1-j)
			for c := range cols {
				m.row(s[c*stripRows:][:n], j+c, k, k+n)
			}
			src := gemm.Matrix{Data: unsafe.Pointer(s), RowStride: 1, ColStride: stripRows}
			gemm.Transpose(dst[(k-k0)*ld+j-j0:], ld, src, n, cols)
		}
	}
	strips.Put(s)
}
