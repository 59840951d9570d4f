//go:build noasm || !linux || !amd64

package native

import (
	"errors"

	"loris/internal/cpu/feature"
)

// system tells that no code runs here.
const system = false

// Supported reports whether this machine runs code for a level.
func Supported(feature.Level) bool { return false }

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
