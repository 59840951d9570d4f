package cpu

import (
	"cmp"
	"math"
	"slices"
	"unsafe"
)

// placed is the key of an element of 64 bits, and its place in the line.
type placed struct {
	key uint64
	at  int
}

// wideFloatKey orders floats by their bits, NaN last either way.
func wideFloatKey(b, flip uint64) uint64 {
	const sign, infinity = 1 << 63, 0x7ff << 53
	switch {
	case b<<1 == 0:
		return sign ^ flip // both zeros
	case b<<1 > infinity:
		return math.MaxUint64
	}
	return b ^ (uint64(int64(b)>>63) | sign) ^ flip
}

// rankByWideKey is rankByKey for elements of 64 bits.
func rankByWideKey(l *rank, key func(b, flip uint64) uint64) {
	flip := uint64(0)
	if l.descending {
		flip = math.MaxUint64
	}
	line := slice[placed](l.scratch, l.n)
	for i := range line {
		line[i] = placed{key(element[uint64](l.src, l.from+i), flip), i}
	}
	const short = 96
	if l.n <= short {
		slices.SortFunc(line, func(a, b placed) int {
			if c := cmp.Compare(a.key, b.key); c != 0 {
				return c
			}
			return a.at - b.at
		})
	} else {
		line = sortPlaced(line, slice[placed](unsafe.Add(l.scratch, 16*l.n), l.n))
	}
	for i, p := range line[:l.most] {
		emit[int64](l, i, p.at) // of any 64 bits
	}
}

// sortPlaced orders a line by counting eight bits of the keys at a time. The result is one
// of the two slices.
func sortPlaced(line, other []placed) []placed {
	var counts [8][1 << 8]int32
	for _, p := range line {
		for pass := range counts {
			counts[pass][uint8(p.key>>(8*pass))]++
		}
	}
	for pass := range counts {
		c, shift := &counts[pass], 8*pass
		if c[uint8(line[0].key>>shift)] == int32(len(line)) {
			continue // all digits are equal
		}
		startsOf(c[:])
		for _, p := range line {
			d := &c[uint8(p.key>>shift)]
			other[*d] = p
			*d++
		}
		line, other = other, line
	}
	return line
}
