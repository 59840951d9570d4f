package eval

import (
	"runtime/debug"

	"loris/internal/ir"
)

// Guarded runs f, which reads memory of tensors, and returns an error where that is
// of a mapped file that cannot be read any more: without it the process would end.
func Guarded(f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			if e, ok := v.(error); ok {
				if fault, ok := ir.FaultError(e); ok {
					err = fault
					return
				}
			}
			panic(v)
		}
	}()
	f()
	return nil
}
