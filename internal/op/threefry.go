package op

import "math/bits"

// Threefry returns one block of Threefry-2x32 with 20 rounds (Salmon, Moraes,
// Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011).
func Threefry(key [2]uint32, c0, c1 uint32) (x0, x1 uint32) {
	k2 := key[0] ^ key[1] ^ 0x1BD11BDA
	x0, x1 = c0+key[0], c1+key[1]
	for i := uint32(0); i < 5; i++ {
		r := [4]int{13, 15, 26, 6}
		if i%2 == 1 {
			r = [4]int{17, 29, 16, 24}
		}
		for _, n := range r {
			x0 += x1
			x1 = bits.RotateLeft32(x1, n) ^ x0
		}
		switch i % 3 {
		case 0:
			x0, x1 = x0+key[1], x1+k2
		case 1:
			x0, x1 = x0+k2, x1+key[0]
		case 2:
			x0, x1 = x0+key[0], x1+key[1]
		}
		x1 += i + 1
	}
	return x0, x1
}
