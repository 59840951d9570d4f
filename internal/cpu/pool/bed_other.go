//go:build !linux

package pool

import "sync/atomic"

// bed is where a worker sleeps: a channel.
type bed struct {
	asleep atomic.Bool
	bell   chan struct{}
}

func (b *bed) make() { b.bell = make(chan struct{}, 1) }

// sleep returns after the next wake, or at once if tired, asked after that became
// possible, says no.
func (b *bed) sleep(tired func() bool) {
	b.asleep.Store(true)
	if tired() || !b.asleep.CompareAndSwap(true, false) {
		<-b.bell
	}
}

// wake wakes the worker if it sleeps.
func (b *bed) wake() {
	if b.sleeps() && b.asleep.CompareAndSwap(true, false) {
		b.bell <- struct{}{}
	}
}

func (b *bed) sleeps() bool { return b.asleep.Load() }
