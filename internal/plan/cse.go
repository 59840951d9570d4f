package plan

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"

	"loris/internal/op"
)

// cse merges values that are the same op on the same inputs. Random draws are
// merged only when they are one node, barriers never: they exist to keep a
// recomputation apart from the first computation.
func cse(g *graph) *graph {
	seed := maphash.MakeSeed()
	seen := make(map[uint64]int32, len(g.vals))
	var key, other []byte
	return rewrite(g, func(b *graph, v value) int32 {
		switch v.op {
		case op.Leaf, op.Random, op.Barrier, op.Custom:
			return b.add(v)
		}
		key = v.appendKey(key[:0])
		h := maphash.Bytes(seed, key)
		if i, ok := seen[h]; ok {
			if other = b.vals[i].appendKey(other[:0]); bytes.Equal(key, other) {
				return i
			}
		}
		i := b.add(v)
		seen[h] = i
		return i
	})
}

// appendKey appends bytes that are equal exactly for equal values.
func (v *value) appendKey(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(v.op))
	b = append(b, byte(v.dtype), v.output, byte(len(v.in)), byte(len(v.shape)))
	for _, d := range v.shape {
		b = binary.LittleEndian.AppendUint64(b, uint64(d))
	}
	for _, x := range v.in {
		b = binary.LittleEndian.AppendUint32(b, uint32(x))
	}
	if v.op == op.Const {
		b = binary.LittleEndian.AppendUint32(b, uint32(v.leaf))
	}
	if v.attrs != nil {
		b = v.attrs.AppendKey(b)
	}
	return b
}

// dead drops values that no output needs. Outputs of one op stay together.
func dead(g *graph) *graph {
	live := make([]bool, len(g.vals))
	for _, x := range g.outs {
		live[x] = true
	}
	for i := len(g.vals) - 1; i >= 0; i-- {
		if !live[i] {
			continue
		}
		v := &g.vals[i]
		first := i - int(v.output)
		for k := range int(outputsOf(v)) {
			live[first+k] = true
		}
		for _, x := range v.in {
			live[x] = true
		}
	}
	at := 0
	return rewrite(g, func(b *graph, v value) int32 {
		at++
		if !live[at-1] {
			return -1
		}
		return b.add(v)
	})
}
