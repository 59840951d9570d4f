package vec

import "unsafe"

// Widen decodes F16 or BF16 elements. dst may begin where src's memory begins, if src
// is the second half of dst's.
func Widen(dst []float32, src []uint16, t Type) {
	k, n := kF16ToFloat, len(src)
	if t == BF16 {
		k = kBF16ToFloat
	}
	whole := n - n%lanes
	if whole > 0 {
		active[k](unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), nil, nil, 1, 0, 0, whole)
	}
	if whole < n {
		twins[k](unsafe.Pointer(&dst[whole]), unsafe.Pointer(&src[whole]), nil, nil, 1, 0, 0, n-whole)
	}
}

// Narrow rounds to F16 or BF16, ties to even.
func Narrow(dst []uint16, src []float32, t Type) {
	k, n := kFloatToF16, len(src)
	if t == BF16 {
		k = kFloatToBF16
	}
	whole := n - n%lanes
	if whole > 0 {
		active[k](unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), nil, nil, 1, 0, 0, whole)
	}
	if whole < n {
		twins[k](unsafe.Pointer(&dst[whole]), unsafe.Pointer(&src[whole]), nil, nil, 1, 0, 0, n-whole)
	}
}
