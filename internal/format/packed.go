package format

import (
	"math"

	"loris/internal/ir"
)

// packer writes quantised matrices as tensors hold them: the integers of all groups
// of 32 values, then the f32 steps of all groups, then their f32 lows. A value is
// low + step·q. Eight-bit integers are stored as they are; byte i of 16 of four-bit
// ones has q + 8 of value i in its low and of value 16 + i in its high half.
type packer struct {
	data, steps, lows []byte
}

// group appends one group.
func (p *packer) group(q []byte, step, low float32) {
	p.data = append(p.data, q...)
	p.steps = le.AppendUint32(p.steps, math.Float32bits(step))
	p.lows = le.AppendUint32(p.lows, math.Float32bits(low))
}

// repacked converts the blocks of a whole matrix.
func repacked(k block, elements int, b []byte) []byte {
	groups := elements / 32
	size := 32 * groups
	if k.packed == ir.Q4 {
		size = 16 * groups
	}
	out := make([]byte, size+8*groups)
	p := &packer{data: out[:0:size], steps: out[size : size : size+4*groups], lows: out[size+4*groups : size+4*groups]}
	for len(b) > 0 {
		k.repack(p, b[:k.bytes])
		b = b[k.bytes:]
	}
	return out
}

func repackQ8_0(p *packer, b []byte) { p.group(b[2:34], half(b), 0) }

// repackQ4_0: the halves of bytes are in our order.
func repackQ4_0(p *packer, b []byte) { p.group(b[2:18], half(b), 0) }

// repackQ4_K: x = d·s·q − m·o = (8·d·s − m·o) + d·s·(q − 8). The low halves of 32
// bytes are one group, the high halves the next.
func repackQ4_K(p *packer, b []byte) {
	d, m := half(b), half(b[2:])
	var q [16]byte
	for j := range 8 {
		s, o := scaleOfQ4_K(b[4:16], j)
		part := b[16+j/2*32:][:32]
		shift := j % 2 * 4
		for i := range q {
			q[i] = part[i]>>shift&15 | part[16+i]>>shift<<4
		}
		step := d * float32(s)
		p.group(q[:], step, float32(8*float64(step)-float64(m*float32(o))))
	}
}
