package ir

import "sync/atomic"

// Pos is a place in a cell or file: where an op was called.
type Pos struct {
	Cell string // cell name ("cell 3") or file name
	Line int    // 1-based, 0 if unknown
	Col  int    // 1-based, 0 if unknown
}

// Host is what runs the library, as far as the library needs to know. The
// library works without one.
type Host interface {
	// Pos returns the place of the running statement of the calling goroutine.
	Pos() Pos
	// Done is closed when the running cell is interrupted; each cell has its own.
	Done() <-chan struct{}
	// Unwrap returns the native value behind a cell-defined value, or v itself.
	Unwrap(v any) any
	// Globals calls yield with the name and value of each variable of the cells.
	Globals(yield func(name string, v any))
}

// Protector is a Host that must know when the library calls functions of cells
// on a goroutine of its own: else their panics would end that goroutine.
type Protector interface {
	// Protect calls f and returns what it panicked with, nil if it did not, and
	// the place in a cell where that happened.
	Protect(f func()) (value any, at Pos)
}

// Protect calls f, which calls a function that a user wrote, and returns what it
// panicked with and where, as far as the host can tell.
func Protect(f func()) (value any, at Pos) {
	if h, ok := CurrentHost().(Protector); ok {
		return h.Protect(f)
	}
	defer func() { value = recover() }()
	f()
	return nil, Pos{}
}

// Finder is a Host that can tell where in its cells a text stands.
type Finder interface {
	// Find returns the place of the first byte of text in the newest cell that
	// contains it; not ok if none does.
	Find(text string) (at Pos, ok bool)
}

// Find returns where in a cell a text stands that a user wrote there, such as the
// source of a kernel; not ok without a host that knows.
func Find(text string) (at Pos, ok bool) {
	if h, is := CurrentHost().(Finder); is {
		return h.Find(text)
	}
	return Pos{}, false
}

var host atomic.Pointer[Host]

// SetHost installs h; nil removes it.
func SetHost(h Host) {
	if h == nil {
		host.Store(nil)
		return
	}
	host.Store(&h)
}

// CurrentHost returns the installed host or nil.
func CurrentHost() Host {
	if p := host.Load(); p != nil {
		return *p
	}
	return nil
}
