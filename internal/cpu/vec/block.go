package vec

import (
	"unsafe"

	"loris/internal/cpu/native"
)

const (
	// nativeElements bounds the elements of one call of machine code.
	nativeElements = 8 << 10
	// keptElements does where loops leave values to later ones, in the first-level cache.
	keptElements = 2 * mostTile
)

// grid is how a kernel's operands lie as rows and columns.
type grid struct {
	rows, cols int
	stride     []int  // bytes from row to row of each input
	repeat     uint64 // inputs that have one element for a row
}

// gridOf merges dimensions that lie behind each other in all inputs, but for the last
// one if it is to be the columns. It reports whether no more than rows and columns are
// left, with elements of each row that lie in order or repeat one.
func (k *Kernel) gridOf(lastApart bool) (g grid, ok bool) {
	var dims []int
	strides := make([][]int, len(k.inputs)) // of dims, in elements
	for d, size := range k.shape {
		last := lastApart && d == len(k.shape)-1
		if size == 1 && !last {
			continue
		}
		merge := len(dims) > 0 && !last
		for i := range k.inputs {
			merge = merge && strides[i][len(dims)-1] == size*k.strideOf(i, d)
		}
		if merge {
			dims[len(dims)-1] *= size
		} else {
			dims = append(dims, size)
		}
		for i := range k.inputs {
			s := &strides[i]
			if *s = append(*s, k.strideOf(i, d)); merge {
				*s = append((*s)[:len(dims)-1], k.strideOf(i, d))
			}
		}
	}
	g = grid{rows: 1, cols: 1, stride: make([]int, len(k.inputs))}
	switch len(dims) {
	case 0:
	case 1:
		g.cols = dims[0]
	case 2:
		g.rows, g.cols = dims[0], dims[1]
	default:
		return g, false
	}
	for i := range k.inputs {
		s := strides[i]
		if len(dims) == 2 {
			g.stride[i] = s[0] * k.inputs[i].size
		}
		if len(dims) == 0 {
			continue
		}
		switch s[len(s)-1] {
		case 0:
			g.repeat |= 1 << i
		case 1:
		default:
			return g, false
		}
	}
	return g, g.cols%lanes == 0 && g.cols > 0
}

// strideOf returns the stride of dimension d of an input, in elements.
func (k *Kernel) strideOf(i, d int) int {
	if k.strides[i] != nil {
		return k.strides[i][d]
	}
	s := 1
	for _, size := range k.shape[d+1:] {
		s *= size
	}
	return s
}

// runNative runs machine code over the elements o to end, whole vectors, and whole rows
// where those are summed.
func (k *Kernel) runNative(scratch unsafe.Pointer, o, end int) {
	if k.gathers {
		k.runGathered(scratch, o, end)
		return
	}
	g, limit := &k.grid, k.code.elements()
	b := block{k: k, kept: unsafe.Add(scratch, k.scratchBytes())}
	sums := k.p.sumsRows()
	if sums {
		b.sums, b.blocks = unsafe.Add(b.kept, k.code.keptBytes()), k.sumBlocks()
	}
	for o < end {
		row, col := o/g.cols, o%g.cols
		b.i0, b.i1, b.j0, b.j1 = row, row+1, col, min(g.cols, col+end-o)
		if col == 0 && b.j1 == g.cols {
			b.i1 = row + max(1, min((end-o)/g.cols, limit/g.cols))
		}
		o += (b.i1 - b.i0) * (b.j1 - b.j0)
		b.sumFrom, b.sumRows = row, b.i1-row
		for last := b.j1; b.j0 < last; b.j0 = b.j1 {
			b.j1 = min(last, b.j0+limit)
			b.run()
		}
		if sums {
			b.finish()
		}
	}
}

// scratchBytes returns the scratch memory of tiles.
func (k *Kernel) scratchBytes() int {
	return (k.p.regs + len(k.inputs) + len(k.out)) * k.tile * k.p.width
}

// nativeBytes returns the scratch memory of machine code: what loops keep for later ones,
// and the numbers that are added for sums of rows in one call.
func (k *Kernel) nativeBytes() int {
	if k.code == nil {
		return 0
	}
	bytes := k.code.keptBytes()
	if !k.gathers {
		bytes += 4 * k.p.sums() * k.sumBlocks() * max(1, k.code.elements()/k.grid.cols)
	}
	return bytes
}

// elements bounds the elements of one call.
func (c *machineCode) elements() int {
	if len(c.loops) > 1 {
		return keptElements
	}
	return nativeElements
}

func (c *machineCode) keptBytes() int { return 4 * keptElements * c.kept }

// keptAt returns the place of a value that loops leave to later ones.
func keptAt(kept unsafe.Pointer, index int) unsafe.Pointer {
	return unsafe.Add(kept, 4*keptElements*index)
}

// runGathered runs machine code tile by tile.
func (k *Kernel) runGathered(scratch unsafe.Pointer, o, end int) {
	kept := unsafe.Add(scratch, k.scratchBytes())
	for o < end {
		n := min(k.tile, end-o)
		k.gather(scratch, o, n, false)
		for i := range k.code.loops {
			l := &k.code.loops[i]
			a := native.Arguments{N: n, Rows: 1}
			for j, operand := range l.operands {
				p := &a.Operands[j]
				switch operand.kind {
				case inputOperand:
					switch in := &k.inputs[operand.index]; in.kind {
					case inOrder:
						*p = unsafe.Add(k.in[operand.index], o*in.size)
					case splat:
						*p = k.in[operand.index]
					default:
						*p = unsafe.Add(scratch, in.slot*k.tile*k.p.width)
					}
				case outputOperand:
					*p = unsafe.Add(k.out[operand.index], o*k.p.outputs[operand.index].mem.Size())
				case keptOperand:
					*p = keptAt(kept, operand.index)
				}
			}
			l.code.Run(&a)
		}
		o += n
	}
}

// block is a call of machine code on rows i0 to i1 and columns j0 to j1.
type block struct {
	k              *Kernel
	i0, i1, j0, j1 int
	kept           unsafe.Pointer

	// What is added for sums of rows: for each sum, blocks numbers for each of sumRows
	// rows from sumFrom on.
	sums                     unsafe.Pointer
	sumFrom, sumRows, blocks int
}

func (b *block) run() {
	for i := range b.k.code.loops {
		l := &b.k.code.loops[i]
		a := native.Arguments{N: b.j1 - b.j0, Rows: b.i1 - b.i0}
		for j, o := range l.operands {
			a.Operands[j], a.Strides[j] = b.operand(o)
		}
		l.code.Run(&a)
	}
}

// operand returns where an operand begins and its bytes from row to row.
func (b *block) operand(o loopOperand) (unsafe.Pointer, int) {
	g, n := &b.k.grid, b.j1-b.j0
	switch o.kind {
	case inputOperand:
		at := b.i0 * g.stride[o.index]
		if g.repeat>>o.index&1 == 0 {
			at += b.j0 * b.k.inputs[o.index].size
		}
		return unsafe.Add(b.k.in[o.index], at), g.stride[o.index]
	case outputOperand:
		size := b.k.p.outputs[o.index].mem.Size()
		return unsafe.Add(b.k.out[o.index], (b.i0*g.cols+b.j0)*size), g.cols * size
	case sumOperand:
		first := (o.index*b.sumRows+b.i0-b.sumFrom)*b.blocks + b.j0/native.SumBlock
		return unsafe.Add(b.sums, 4*first), 4 * (b.blocks - n/native.SumBlock)
	}
	return keptAt(b.kept, o.index), 4 * n
}

// finish adds what there is for the rows from sumFrom on.
func (b *block) finish() {
	s := 0
	for i, p := range b.k.out {
		if b.k.p.outputs[i].rowSum {
			parts := unsafe.Add(b.sums, 4*s*b.sumRows*b.blocks)
			Sum(unsafe.Slice((*float32)(unsafe.Add(p, 4*b.sumFrom)), b.sumRows), Rows{parts, b.blocks}, b.sumRows, b.blocks)
			s++
		}
	}
}
