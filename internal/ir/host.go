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
