//go:build noasm || !linux || !amd64

package native

import (
	"errors"
	"unsafe"
)

// Supported reports whether this machine runs code of this package.
func Supported() bool { return false }

// MaxOperands bounds the operands of code.
const MaxOperands = 10

// Arguments are what code is called with.
type Arguments struct {
	Operands [MaxOperands]unsafe.Pointer
	N        int
}

// Code is executable.
type Code struct{}

func load([]byte) (*Code, error) {
	return nil, errors.New("native: not on this system")
}

// Run runs the code.
func (*Code) Run(*Arguments) { panic("native: no code") }
