package vec

import (
	"unsafe"

	"loris/internal/cpu/native"
	"loris/internal/cpu/pool"
)

// bound is an instruction with the addresses of its operands: that of element o lies
// move·o bytes on.
type bound struct {
	run       micro
	dst       unsafe.Pointer
	src       [3]unsafe.Pointer
	step      [3]int
	move      [3]int
	moveDst   int
	sum       rowKernel // sums of rows, instead of run
	isSum     bool
	copyBytes int // of an element that is copied to output, for partial tiles
	output    unsafe.Pointer
}

// runChunk runs the instructions over one chunk: tile by tile, and over the elements
// that remain, fewer than the lanes of a vector.
func (k *Kernel) runChunk(chunk int, w *pool.Worker) {
	p := k.p
	tileBytes := k.tile * p.width
	scratch := w.Scratch(k.scratchBytes() + k.nativeBytes()).Pointer()
	for i := range k.inputs {
		if a := &k.inputs[i]; a.kind == splat {
			a.splat(unsafe.Add(scratch, a.slot*tileBytes), k.in[i])
		}
	}
	o, end := chunk*k.chunk, min(k.n, (chunk+1)*k.chunk)
	if whole := (end - o) &^ (lanes - 1); k.code != nil && whole > 0 {
		k.runNative(scratch, o, o+whole)
		o += whole
	} else if whole > 0 {
		code := k.bind(w.ID, scratch, false)
		for end-o >= lanes {
			n := min(k.tile, end-o)
			n -= n % lanes
			k.gather(scratch, o, n, false)
			k.runTile(code, o, n)
			o += n
		}
	}
	if o < end {
		code := k.bind(w.ID, scratch, true)
		k.gather(scratch, o, end-o, true)
		k.runPartial(code, o, end-o)
	}
	clear(k.bound[w.ID]) // memory may go away before the collector looks
}

// bind returns the instructions with addresses. A partial tile's operands are in scratch
// memory, so that nothing beyond them is touched.
func (k *Kernel) bind(worker int, scratch unsafe.Pointer, partial bool) []bound {
	p := k.p
	if len(k.bound[worker]) < len(p.code) {
		k.bound[worker] = make([]bound, len(p.code))
	}
	code := k.bound[worker]
	tileBytes := k.tile * p.width
	slot := func(i int) unsafe.Pointer { return unsafe.Add(scratch, i*tileBytes) }
	output := func(i, size int) (unsafe.Pointer, int) {
		if partial {
			return slot(p.regs + len(k.inputs) + i), 0
		}
		return k.out[i], size
	}
	for c := range p.code {
		in, b := &p.code[c], &code[c]
		*b = bound{run: in.run, step: in.step, sum: in.kernel, isSum: in.rowSum}
		for j, s := range in.src {
			switch s.in {
			case inRegister:
				b.src[j] = slot(s.index)
			case inConst:
				b.src[j] = unsafe.Pointer(&p.consts[s.index][0])
			case inInput:
				a := &k.inputs[s.index]
				if a.kind == inOrder && !partial {
					b.src[j], b.move[j] = k.in[s.index], a.size
					continue
				}
				b.src[j] = slot(a.slot)
				if a.kind == splat {
					b.step[j] = 0
				}
			case inOutput:
				b.src[j], b.move[j] = output(s.index, in.width[j])
			}
		}
		switch {
		case in.rowSum:
			b.dst = k.out[in.dst.index]
		case in.dst.in == inOutput:
			b.dst, b.moveDst = output(in.dst.index, in.size)
			b.output, b.copyBytes = k.out[in.dst.index], in.size
		default:
			b.dst = slot(in.dst.index)
		}
	}
	return code
}

// gather collects the elements o to o+n of inputs that are not read where they lie.
func (k *Kernel) gather(scratch unsafe.Pointer, o, n int, partial bool) {
	for i := range k.inputs {
		a := &k.inputs[i]
		if a.kind == gathered || a.kind == inOrder && partial {
			a.gather(unsafe.Add(scratch, a.slot*k.tile*k.p.width), k.in[i], o, n)
		}
	}
}

// runTile runs the instructions over elements o to o+n, whole vectors.
func (k *Kernel) runTile(code []bound, o, n int) {
	for i := range code {
		b := &code[i]
		if b.isSum {
			k.sumTile(b.sum, unsafe.Add(b.src[0], b.move[0]*o), n/k.cols, unsafe.Add(b.dst, 4*(o/k.cols)))
			continue
		}
		b.run(unsafe.Add(b.dst, b.moveDst*o), unsafe.Add(b.src[0], b.move[0]*o), unsafe.Add(b.src[1], b.move[1]*o), unsafe.Add(b.src[2], b.move[2]*o),
			b.step[0], b.step[1], b.step[2], n)
	}
}

// sumTile sums rows of x.
func (k *Kernel) sumTile(kernel rowKernel, x unsafe.Pointer, rows int, p unsafe.Pointer) {
	blocks, out := k.sumBlocks(), unsafe.Slice((*float32)(p), rows)
	if blocks == 0 {
		reduce(kernel, out, Rows{x, k.cols}, Rows{}, rows, k.cols, plus)
		return
	}
	s := scraps.Get().(*scrap)
	parts := unsafe.Pointer(unsafe.SliceData(s.numbers(rows * blocks)))
	call(kernel, rowArgs{x: x, ldx: 4 * native.SumBlock, rows: rows * blocks, n: native.SumBlock, out: parts})
	Sum(out, Rows{parts, blocks}, rows, blocks)
	scraps.Put(s)
}

// runPartial runs the instructions over elements o to o+n, fewer than the lanes.
func (k *Kernel) runPartial(code []bound, o, n int) {
	for i := range code {
		b := &code[i]
		b.run(b.dst, b.src[0], b.src[1], b.src[2], b.step[0], b.step[1], b.step[2], lanes)
		if b.output != nil {
			bytes := n * b.copyBytes
			copy(unsafe.Slice((*byte)(unsafe.Add(b.output, o*b.copyBytes)), bytes), unsafe.Slice((*byte)(b.dst), bytes))
		}
	}
}
