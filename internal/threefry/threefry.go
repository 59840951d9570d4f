// Package threefry is the generator of random numbers: block i of a stream follows from
// the key and i alone, so that draws do not depend on order, threads or device.
package threefry

import "math/bits"

// Parity makes the third word of a key's schedule: it is the exclusive or of all.
const Parity = 0x1BD11BDA

// Block returns one block of Threefry-2x32 with 20 rounds (Salmon, Moraes,
// Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011).
// Its rounds are written out so that the processor overlaps successive blocks.
func Block(key [2]uint32, c0, c1 uint32) (x0, x1 uint32) {
	k0, k1 := key[0], key[1]
	k2 := k0 ^ k1 ^ Parity
	x0, x1 = even(c0+k0, c1+k1)
	x0, x1 = odd(x0+k1, x1+k2+1)
	x0, x1 = even(x0+k2, x1+k0+2)
	x0, x1 = odd(x0+k0, x1+k1+3)
	x0, x1 = even(x0+k1, x1+k2+4)
	return x0 + k2, x1 + k0 + 5
}

// even and odd are the groups of four rounds that take turns.
func even(a, b uint32) (uint32, uint32) {
	a += b
	b = bits.RotateLeft32(b, 13) ^ a
	a += b
	b = bits.RotateLeft32(b, 15) ^ a
	a += b
	b = bits.RotateLeft32(b, 26) ^ a
	a += b
	return a, bits.RotateLeft32(b, 6) ^ a
}

func odd(a, b uint32) (uint32, uint32) {
	a += b
	b = bits.RotateLeft32(b, 17) ^ a
	a += b
	b = bits.RotateLeft32(b, 29) ^ a
	a += b
	b = bits.RotateLeft32(b, 16) ^ a
	a += b
	return a, bits.RotateLeft32(b, 24) ^ a
}
