package threefry

import "testing"

// Vectors of Threefry-2x32-20 from the Random123 distribution (kat_vectors).
func TestBlocksAreThoseOfRandom123(t *testing.T) {
	for _, v := range []struct{ counter, key, want [2]uint32 }{
		{[2]uint32{0, 0}, [2]uint32{0, 0}, [2]uint32{0x6b200159, 0x99ba4efe}},
		{[2]uint32{0xffffffff, 0xffffffff}, [2]uint32{0xffffffff, 0xffffffff}, [2]uint32{0x1cb996fc, 0xbb002be7}},
		{[2]uint32{0x243f6a88, 0x85a308d3}, [2]uint32{0x13198a2e, 0x03707344}, [2]uint32{0xc4923a9c, 0x483df7a0}},
	} {
		a, b := Block(v.key, v.counter[0], v.counter[1])
		if a != v.want[0] || b != v.want[1] {
			t.Errorf("threefry(%x, %x) = %x %x, want %x", v.key, v.counter, a, b, v.want)
		}
	}
}
