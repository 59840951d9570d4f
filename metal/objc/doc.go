// Package objc sends Objective-C messages from Go without cgo. It takes receivers, selectors and integer arguments
// and gives integer results; strings, errors, autorelease pools and blocks are built on that.
//
// It works on macOS. On Linux it exists under the build tag softmetal, where the environment variable
// LORIS_METAL_LIBRARY names a software Metal. Everywhere else Load reports ErrUnavailable.
package objc

import "errors"

// ErrUnavailable is returned where there is no Objective-C runtime to load.
var ErrUnavailable = errors.New("no Metal here: it needs macOS 14 or newer on Apple silicon")

// ID is an Objective-C object. Zero is nil.
type ID uintptr

// Size is MTLSize: three NSUInteger, passed by value.
type Size struct{ Width, Height, Depth uint }

// Range is NSRange: two NSUInteger, passed by value in two registers.
type Range struct{ Location, Length uint }

// A Message is one selector as the host code uses it. Types is its encoding without receiver and selector: the
// result first, then the arguments (@ object, # class, Q and q integers, B bool, d double, ^v pointer, @? block).
type Message struct {
	Class    string // "MTLDevice"; a leading + marks a class method
	Selector string
	Types    string
	selector uintptr
}

// Registered says whether the runtime has been loaded, which gives selectors their addresses.
func (m *Message) Registered() bool { return m.selector != 0 }

// Messages lists every message declared with Declare, for the checks against Apple's headers.
var Messages []*Message

// Declare adds a row to the table of messages that the host code sends.
func Declare(class, selector, types string) *Message {
	m := &Message{Class: class, Selector: selector, Types: types}
	Messages = append(Messages, m)
	return m
}
