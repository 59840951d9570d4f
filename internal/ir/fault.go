package ir

import (
	"errors"
	"runtime"
)

// FaultError returns the error of a failed read of mapped memory: err is what a
// goroutine with debug.SetPanicOnFault panicked with; ok is false if that is
// something else.
func FaultError(err error) (e *Error, ok bool) {
	var fault interface {
		runtime.Error
		Addr() uintptr
	}
	if !errors.As(err, &fault) {
		return nil, false
	}
	return &Error{Code: CodeFormat, Msg: "the file that this tensor lies in could not be read any more: it was cut off, or its disk has failed",
		Hint: "load it again; to change a file that is in use, write another and rename it"}, true
}
