package ir

import (
	"strconv"
	"strings"
)

// Shape holds the size of each dimension; nil or empty is a scalar.
// A Shape given to a Node is never written again.
type Shape []int

// Size returns the number of elements.
func (s Shape) Size() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Equal reports whether s and t have the same dimensions.
func (s Shape) Equal(t Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i, d := range s {
		if d != t[i] {
			return false
		}
	}
	return true
}

// String formats s as "[4 16 512]".
func (s Shape) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range s {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(d))
	}
	b.WriteByte(']')
	return b.String()
}

// Strides returns the row-major strides of s, in elements.
func (s Shape) Strides() []int {
	st := make([]int, len(s))
	n := 1
	for i := len(s) - 1; i >= 0; i-- {
		st[i] = n
		n *= s[i]
	}
	return st
}

// Broadcast returns the NumPy broadcast of a and b, or ok = false.
// It returns a or b itself where that is the result.
func Broadcast(a, b Shape) (s Shape, ok bool) {
	if a.Equal(b) {
		return a, true
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	off := len(a) - len(b)
	same := true // is the result a itself?
	for i, d := range b {
		e := a[off+i]
		if d != e && d != 1 {
			if e != 1 {
				return nil, false
			}
			same = false
		}
	}
	if same {
		return a, true
	}
	out := append(Shape(nil), a...)
	for i, d := range b {
		if out[off+i] == 1 {
			out[off+i] = d
		}
	}
	return out, true
}
