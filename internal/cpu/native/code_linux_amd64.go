//go:build !noasm

package native

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"loris/internal/cpu/feature"
)

// system tells that code runs here.
const system = true

// refused is set when the system does not allow executable memory.
var refused atomic.Bool

// Supported reports whether this machine runs code for a level.
func Supported(l feature.Level) bool {
	return HasLevel(l) && slices.Contains(feature.Levels(), l) && !refused.Load()
}

// Check tells why there is no machine code here, nil if there is.
func Check() error {
	if !HasLevel(feature.Active()) {
		return errors.New("needs AVX2 or AVX-512")
	}
	_, err := load([]byte{0xc3}) // RET
	return err
}

// Code is executable. It may run on many threads at the same time.
type Code struct{ memory []byte }

// load puts finished machine code into executable memory, which is never writable and
// executable at once.
func load(code []byte) (*Code, error) {
	page := unix.Getpagesize()
	m, err := unix.Mmap(-1, 0, (len(code)+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("native: %w", err)
	}
	copy(m, code)
	if err := unix.Mprotect(m, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		unix.Munmap(m)
		if err != unix.ENOMEM { // that passes
			refused.Store(true)
		}
		return nil, fmt.Errorf("native: the system refuses executable memory: %w", err)
	}
	c := &Code{m}
	runtime.AddCleanup(c, func(m []byte) { unix.Munmap(m) }, m)
	return c, nil
}

// Run runs the code.
func (c *Code) Run(a *Arguments) {
	call(unsafe.Pointer(&c.memory[0]), a)
	runtime.KeepAlive(c)
}

// call jumps to code with the arguments in AX.
//
//go:noescape
func call(code unsafe.Pointer, a *Arguments)
