package cpu

import (
	"unsafe"

	"loris/internal/ir"
	"loris/internal/plan"
)

// arg is an operand of a kernel that wants row-major elements, halves as
// float32: it is read in place where it is like that already.
type arg struct {
	o     *plan.Operand
	n     int
	dense *mover // nil where it is read in place

	writer *mover // for copyTo
}

func newArg(o *plan.Operand) *arg {
	a := &arg{o: o, n: o.Shape.Size()}
	if size := computed(o.DType).Bytes(); !o.IsDense() || size != o.DType.Bytes() {
		a.dense = newMover(o, (*loader).load, size)
	}
	return a
}

// get returns the elements, valid until the step ends. It panics when memory
// has run out.
func (a *arg) get(r *run) unsafe.Pointer {
	if a.dense == nil {
		return r.at(a.o)
	}
	p := r.mustTemp(a.n * computed(a.o.DType).Bytes())
	a.dense.run(r, p, r.at(a.o))
	return p
}

// copyTo writes the elements to memory of the step's own.
func (a *arg) copyTo(r *run, dst unsafe.Pointer) {
	if a.writer == nil {
		if a.writer = a.dense; a.writer == nil {
			a.writer = newMover(a.o, (*loader).load, a.o.DType.Bytes())
		}
	}
	a.writer.run(r, dst, r.at(a.o))
}

// mustTemp is temp that panics with the error.
func (r *run) mustTemp(bytes int) unsafe.Pointer {
	p, err := r.temp(bytes)
	if err != nil {
		panic(err)
	}
	return p
}

// result is an output of a kernel that writes row-major elements, halves as float32.
type result struct {
	o    *plan.Operand
	n    int
	half bool
}

func newResult(o *plan.Operand) *result {
	return &result{o, o.Shape.Size(), computed(o.DType) != o.DType}
}

// get returns where to write; put must follow.
func (o *result) get(r *run) unsafe.Pointer {
	if o.half {
		return r.mustTemp(4 * o.n)
	}
	return r.at(o.o)
}

// put writes to the output what the kernel wrote to p.
func (o *result) put(r *run, p unsafe.Pointer) {
	if o.half {
		narrow(slice[uint16](r.at(o.o), o.n), slice[float32](p, o.n), o.o.DType)
	}
}

// element reads element i of strided memory.
func element[T any](p unsafe.Pointer, i int) T {
	var v T
	return *(*T)(unsafe.Add(p, i*int(unsafe.Sizeof(v))))
}

// typed picks the instance of a generic kernel for the registers of a dtype.
func typed[F any](d ir.DType, f32, f64, i32, i64, u8 F) F {
	switch computed(d) {
	case ir.F32:
		return f32
	case ir.F64:
		return f64
	case ir.I32:
		return i32
	case ir.I64:
		return i64
	}
	return u8
}
