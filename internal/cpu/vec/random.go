package vec

import (
	"math"
	"unsafe"

	"loris/internal/threefry"
)

// iota32 counts from 0.
var iota32 = func() (x [256]uint32) {
	for i := range x {
		x[i] = uint32(i)
	}
	return x
}()

// Threefry sets w0 and w1, of one length, to the words of the blocks from first on of
// the random stream with a key.
func Threefry(w0, w1 []uint32, key [2]uint32, first uint64) {
	s := scraps.Get().(*scrap)
	f := math.Float32frombits
	for o := 0; o < len(w0); {
		at := first + uint64(o)
		// A call's blocks have one high word.
		n := int(min(uint64(len(w0)-o), uint64(len(iota32)), 1<<32-at&(1<<32-1)))
		s.r = rowArgs{dst: unsafe.Pointer(&w0[o]), b: unsafe.Pointer(&w1[o]), x: unsafe.Pointer(&iota32), rows: 1, n: n,
			s: [8]float32{f(key[0]), f(key[1]), f(key[0] ^ key[1] ^ threefry.Parity), f(uint32(at)), f(uint32(at >> 32))}}
		activeRows[kThreefryRows](&s.r)
		o += n
	}
	s.r = rowArgs{}
	scraps.Put(s)
}

// threefryTwin is the kernel in plain Go.
func threefryTwin(r *rowArgs) {
	word := func(i int) uint32 { return math.Float32bits(r.s[i]) }
	for i := range r.rows {
		at := func(p unsafe.Pointer, ld uintptr) []uint32 {
			return unsafe.Slice((*uint32)(unsafe.Add(p, uintptr(i)*ld)), r.n)
		}
		w0, w1 := at(r.dst, r.ldd), at(r.b, r.ldb)
		for j, x := range at(r.x, r.ldx) {
			w0[j], w1[j] = threefry.Block([2]uint32{word(0), word(1)}, x+word(3), word(4))
		}
	}
}

// normalOf is the normal number of a word: the inverse of the distribution at the middle
// of the interval that the word's upper 24 bits name.
func normalOf(word uint32) float64 {
	return math.Sqrt2 * math.Erfinv(2*(float64(word>>8)+0.5)*0x1p-24-1)
}

// Normals sets dst to the normal numbers of random words, of the same length.
func Normals(dst []float32, words []uint32) {
	n := len(words) &^ (lanes - 1)
	normal := active[kWordToNormal]
	if n > 0 {
		normal(unsafe.Pointer(&dst[0]), unsafe.Pointer(&words[0]), nil, nil, 1, 0, 0, n)
	}
	if n < len(words) {
		s := scraps.Get().(*scrap)
		in, out := unsafe.Pointer(&s.tail[0]), unsafe.Pointer(&s.tail[1])
		copy(unsafe.Slice((*uint32)(in), lanes), words[n:])
		normal(out, in, nil, nil, 1, 0, 0, lanes)
		copy(dst[n:len(words)], s.tail[1][:])
		scraps.Put(s)
	}
}
