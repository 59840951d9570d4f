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
