//go:build (amd64 || arm64) && !noasm

package pool

// pause tells the processor n times that this thread spins.
//
//go:noescape
func pause(n int)
