//go:build darwin || (linux && softmetal && (amd64 || arm64))

package objc

import (
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// cString ends s with a zero byte, as C wants it.
func cString(s string) *byte {
	b := append([]byte(s), 0)
	return &b[0]
}

func selector(name string) uintptr {
	return Call(registerName, uintptr(unsafe.Pointer(cString(name))))
}

func class(name string) ID {
	return ID(Call(getClass, uintptr(unsafe.Pointer(cString(name)))))
}

// Send sends the message with integer, pointer or object arguments. Integers narrower than a register must come
// sign- or zero-extended; a bool result is in the lowest byte. What a pointer argument points to is moved to the
// heap for the call, since stacks move.
//
//go:uintptrescapes
func (m *Message) Send(self ID, args ...uintptr) uintptr {
	var all [8]uintptr // never more: beyond eight, Apple's ABI for arm64 differs from the standard one
	all[0], all[1] = uintptr(self), m.selector
	n := copy(all[2:], args)
	result, _, _ := purego.SyscallN(msgSend, all[:2+n]...)
	return result
}

// SendClass sends a class message.
//
//go:uintptrescapes
func (m *Message) SendClass(args ...uintptr) uintptr {
	return m.Send(class(m.Class[1:]), args...)
}

// Float sends a message whose result is a double.
func (m *Message) Float(self ID) float64 { return sendFloat(self, m.selector) }

// Size sends a message whose result is an MTLSize.
func (m *Message) Size(self ID) Size { return sendSize(self, m.selector) }

// Retain and Release change the object's reference count.
func (o ID) Retain() ID { return ID(Call(retain, uintptr(o))) }
func (o ID) Release()   { Call(release, uintptr(o)) }

// A Sender sends messages without allocating: its argument block lives on the heap for good. One goroutine at a
// time may use it.
type Sender struct {
	args   [12]uintptr
	result uintptr
}

func (s *Sender) call(function uintptr, n int) uintptr {
	s.result, _, _ = purego.SyscallN(function, s.args[:n]...)
	return s.result
}

// Value is the result of the last message sent.
func (s *Sender) Value() uintptr { return s.result }

// Send sends a message of up to three arguments; those that the selector does not take are ignored.
func (s *Sender) Send(m *Message, self ID, a0, a1, a2 uintptr) {
	s.args[0], s.args[1], s.args[2], s.args[3], s.args[4] = uintptr(self), m.selector, a0, a1, a2
	s.call(msgSend, 5)
}

// Send4 sends a message of four register arguments.
func (s *Sender) Send4(m *Message, self ID, a0, a1, a2, a3 uintptr) {
	s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], s.args[5] = uintptr(self), m.selector, a0, a1, a2, a3
	s.call(msgSend, 6)
}

// Result sends a message without arguments and returns its result.
func (s *Sender) Result(m *Message, self ID) uintptr {
	s.args[0], s.args[1] = uintptr(self), m.selector
	return s.call(msgSend, 2)
}

// Dispatch passes two MTLSize by value. AAPCS64 passes a composite above 16 bytes by the address of a copy; the
// System V ABI for amd64 puts it on the stack, behind the six register arguments.
func (s *Sender) Dispatch(m *Message, self ID, grid, group *Size) {
	s.args[0], s.args[1] = uintptr(self), m.selector
	if runtime.GOARCH == "arm64" {
		s.args[2], s.args[3] = uintptr(unsafe.Pointer(grid)), uintptr(unsafe.Pointer(group))
		s.call(msgSend, 4)
		return
	}
	s.args[2], s.args[3], s.args[4], s.args[5] = 0, 0, 0, 0
	s.args[6], s.args[7], s.args[8] = uintptr(grid.Width), uintptr(grid.Height), uintptr(grid.Depth)
	s.args[9], s.args[10], s.args[11] = uintptr(group.Width), uintptr(group.Height), uintptr(group.Depth)
	s.call(msgSend, 12)
}

// PoolPush opens an autorelease pool on this thread, which must be locked until PoolPop.
func (s *Sender) PoolPush() uintptr { return s.call(poolPush, 0) }

// PoolPop closes the pool and releases what went into it.
func (s *Sender) PoolPop(pool uintptr) {
	s.args[0] = pool
	s.call(poolPop, 1)
}

// Retain and Release are ID's, without allocating.
func (s *Sender) Retain(o ID) {
	s.args[0] = uintptr(o)
	s.call(retain, 1)
}
func (s *Sender) Release(o ID) {
	s.args[0] = uintptr(o)
	s.call(release, 1)
}
