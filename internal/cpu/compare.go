package cpu

import (
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
)

// comparison returns the loop of a comparison. It is written out for each: a call of
// a function for each element takes four times as long.
func comparison[T number](o ir.Op) micro {
	switch o {
	case op.Eq:
		return func(dst, a, b, _ unsafe.Pointer, n int) {
			d, x, y := slice[bool](dst, n), slice[T](a, n), slice[T](b, n)
			for i := range d {
				d[i] = x[i] == y[i]
			}
		}
	case op.Ne:
		return func(dst, a, b, _ unsafe.Pointer, n int) {
			d, x, y := slice[bool](dst, n), slice[T](a, n), slice[T](b, n)
			for i := range d {
				d[i] = x[i] != y[i]
			}
		}
	case op.Lt:
		return func(dst, a, b, _ unsafe.Pointer, n int) {
			d, x, y := slice[bool](dst, n), slice[T](a, n), slice[T](b, n)
			for i := range d {
				d[i] = x[i] < y[i]
			}
		}
	case op.Le:
		return func(dst, a, b, _ unsafe.Pointer, n int) {
			d, x, y := slice[bool](dst, n), slice[T](a, n), slice[T](b, n)
			for i := range d {
				d[i] = x[i] <= y[i]
			}
		}
	case op.Gt:
		return func(dst, a, b, _ unsafe.Pointer, n int) {
			d, x, y := slice[bool](dst, n), slice[T](a, n), slice[T](b, n)
			for i := range d {
				d[i] = x[i] > y[i]
			}
		}
	case op.Ge:
		return func(dst, a, b, _ unsafe.Pointer, n int) {
			d, x, y := slice[bool](dst, n), slice[T](a, n), slice[T](b, n)
			for i := range d {
				d[i] = x[i] >= y[i]
			}
		}
	}
	return nil
}
