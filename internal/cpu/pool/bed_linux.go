package pool

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bed is where a worker sleeps: a futex. A goroutine that a busy one has made ready may
// wait for milliseconds until another thread steals it.
type bed struct{ asleep atomic.Uint32 }

const (
	futexWait = 128 // FUTEX_WAIT | FUTEX_PRIVATE_FLAG
	futexWake = 129
)

func (b *bed) make() {}

// sleep returns after the next wake, or at once if tired, asked after that became
// possible, says no.
func (b *bed) sleep(tired func() bool) {
	b.asleep.Store(1)
	if !tired() && b.asleep.CompareAndSwap(1, 0) {
		return
	}
	for b.asleep.Load() == 1 {
		unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.asleep)), futexWait, 1, 0, 0, 0)
	}
}

// wake wakes the worker if it sleeps.
func (b *bed) wake() {
	if b.sleeps() && b.asleep.CompareAndSwap(1, 0) {
		unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.asleep)), futexWake, 1, 0, 0, 0)
	}
}

func (b *bed) sleeps() bool { return b.asleep.Load() == 1 }
