package kernels

// Box describes a box of a tensor of up to 8 axes, both row-major, whose start
// is computed on the GPU.
type Box struct {
	Type        Type
	Shape, Full []int // of the box and of the tensor
}

func (b Box) launch(kernel string, from, to func(size, full int) Argument) *Launch {
	size, full := 1, 1
	for i, n := range b.Shape {
		size *= n
		full *= b.Full[i]
	}
	fields := []any{size, len(b.Shape)}
	for _, list := range [2][]int{b.Shape, b.Full} {
		var column [8]int
		copy(column[:], list)
		for _, n := range column {
			fields = append(fields, n)
		}
	}
	l := &Launch{Kernel: kernel, Variant: b.Type.String(), Source: source("box.metal", b.Type),
		Arguments: []Argument{from(size, full), in("starts", I64, len(b.Shape)), to(size, full)}, Params: params(fields...)}
	l.flat(size)
	return l.account()
}

// Read returns the dispatch that copies the box out. Arguments: x, starts, box.
func (b Box) Read() *Launch {
	return b.launch("box_read", func(_, full int) Argument { return in("x", b.Type, full) }, func(size, _ int) Argument { return out("box", b.Type, size) })
}

// Write returns the dispatch that copies into the box; the rest of x stays.
// Arguments: box, starts, x.
func (b Box) Write() *Launch {
	return b.launch("box_write", func(size, _ int) Argument { return in("box", b.Type, size) }, func(_, full int) Argument { return out("x", b.Type, full) })
}
