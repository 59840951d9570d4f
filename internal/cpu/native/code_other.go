//go:build noasm || !linux || !amd64

package native

import (
	"errors"
)

// Supported reports whether this machine runs code of this package.
func Supported() bool { return false }

// Check tells why there is no machine code here.
func Check() error { return errSystem }

var errSystem = errors.New("only on Linux and amd64")

// Code is executable.
type Code struct{}

func load([]byte) (*Code, error) {
	return nil, errSystem
}

// Run runs the code.
func (*Code) Run(*Arguments) { panic("native: no code") }
