package native

import (
	"reflect"
	"sync"
	"unsafe"
)

// pinned keeps types alive that only the collector's own tables point to.
var pinned struct {
	sync.Mutex
	types []*Type
	masks [][]byte
	other []unsafe.Pointer
}

func pin(t *Type) {
	pinned.Lock()
	pinned.types = append(pinned.types, t)
	pinned.Unlock()
}

// A Layout places values one after the other in one object, and yields the
// type that tells the collector where its pointers are.
type Layout struct {
	size uintptr
	mask []byte // one bit a word
}

// Inline reports whether a value of the type may be placed in a layout; others
// are large and live in an object of their own.
func Inline(t *Type) bool { return t.Size <= 2048 && t.TFlag&flagGCMaskOnDemand == 0 }

// Place reserves room for a value and returns its offset.
func (l *Layout) Place(t *Type) uintptr {
	align := uintptr(max(t.Align, 1))
	off := (l.size + align - 1) &^ (align - 1)
	// A value of size zero takes a byte: a pointer to the end of the object
	// would be one to whatever follows it, which the collector does not expect.
	l.size = off + max(t.Size, 1)
	l.mark(t, off)
	return off
}

// mark sets the pointer bits of a value at an offset.
func (l *Layout) mark(t *Type, off uintptr) {
	if t.TFlag&flagGCMaskOnDemand == 0 {
		for w := uintptr(0); w < t.PtrBytes/8; w++ {
			if *(*byte)(unsafe.Add(unsafe.Pointer(t.GCData), w/8))>>(w%8)&1 != 0 {
				l.set(off/8 + w)
			}
		}
		return
	}
	switch r := t.Reflect(); r.Kind() {
	case reflect.Array:
		for i := range r.Len() {
			l.mark(Of(r.Elem()), off+uintptr(i)*r.Elem().Size())
		}
	case reflect.Struct:
		for f := range r.Fields() {
			l.mark(Of(f.Type), off+f.Offset)
		}
	}
}

func (l *Layout) set(word uintptr) {
	for uintptr(len(l.mask)) <= word/8 {
		l.mask = append(l.mask, 0)
	}
	l.mask[word/8] |= 1 << (word % 8)
}

// Type returns the type of the whole.
func (l *Layout) Type() *Type {
	size := (l.size + 7) &^ 7
	t := &Type{Size: size, Align: 8, FieldAlign: 8, Kind: 25 /* struct */}
	for i := len(l.mask)*8 - 1; i >= 0; i-- {
		if l.mask[i/8]>>(i%8)&1 != 0 {
			t.PtrBytes = uintptr(i+1) * 8
			break
		}
	}
	// The collector reads the mask in words.
	mask := make([]byte, (len(l.mask)+7)&^7+8)
	copy(mask, l.mask)
	t.GCData = &mask[0]
	pin(t)
	return t
}
