package native

import (
	"reflect"
	"unsafe"
)

//go:linkname mallocgc runtime.mallocgc
func mallocgc(size uintptr, typ *Type, needzero bool) unsafe.Pointer

//go:linkname typedmemmove runtime.typedmemmove
func typedmemmove(typ *Type, dst, src unsafe.Pointer)

//go:linkname typedmemclr reflect.typedmemclr
func typedmemclr(typ *Type, p unsafe.Pointer)

//go:linkname memmove runtime.memmove
func memmove(dst, src unsafe.Pointer, n uintptr)

//go:linkname memclrNoHeapPointers runtime.memclrNoHeapPointers
func memclrNoHeapPointers(p unsafe.Pointer, n uintptr)

//go:linkname mapaccess2 runtime.mapaccess2
func mapaccess2(t *MapType, m, key unsafe.Pointer) (unsafe.Pointer, bool)

//go:linkname mapassign runtime.mapassign
func mapassign(t *MapType, m, key unsafe.Pointer) unsafe.Pointer

//go:linkname mapdelete runtime.mapdelete
func mapdelete(t *MapType, m, key unsafe.Pointer)

//go:linkname mapiterinit runtime.mapiterinit
func mapiterinit(t *MapType, m unsafe.Pointer, it *MapIter)

//go:linkname mapiternext runtime.mapiternext
func mapiternext(it *MapIter)

//go:linkname mapclear reflect.mapclear
func mapclear(t *MapType, m unsafe.Pointer)

//go:linkname maplen reflect.maplen
func maplen(m unsafe.Pointer) int

//go:linkname makemap reflect.makemap
func makemap(t *MapType, size int) unsafe.Pointer

//go:linkname typedslicecopy reflect.typedslicecopy
func typedslicecopy(elem *Type, dst, src Slice) int

//go:linkname growslice reflect.growslice
func growslice(elem *Type, old Slice, n int) Slice

//go:linkname newArray reflect.unsafe_NewArray
func newArray(elem *Type, n int) unsafe.Pointer

//go:linkname getitab runtime.getitab
func getitab(inter, typ *Type, canFail bool) *Itab

// Slice is the memory of a slice value.
type Slice struct {
	Data unsafe.Pointer
	Len  int
	Cap  int
}

// Iface is the memory of an interface value. Tab is a *Type if the interface
// type has no methods, else an *Itab.
type Iface struct {
	Tab  unsafe.Pointer
	Data unsafe.Pointer
}

// Itab mirrors the start of the runtime's itab.
type Itab struct {
	Inter *Type
	Type  *Type
	Hash  uint32
	Fun   [1]uintptr
}

// MapIter mirrors the runtime's iterator for users of go:linkname.
type MapIter struct {
	Key, Elem unsafe.Pointer
	_         [2]unsafe.Pointer // the runtime's own
}

// zeroBase is where compiled Go puts all values of size zero.
var zeroBase = unsafe.Pointer(escaped(new(struct{})))

//go:noinline
func escaped(p *struct{}) *struct{} { return p }

// New allocates a zeroed value.
func New(t *Type) unsafe.Pointer {
	if t.Size == 0 {
		return zeroBase
	}
	return mallocgc(t.Size, t, true)
}

// Move copies a value with the write barriers its type needs.
func Move(t *Type, dst, src unsafe.Pointer) {
	if t.PtrBytes == 0 {
		memmove(dst, src, t.Size)
		return
	}
	typedmemmove(t, dst, src)
}

// Clear zeroes a value.
func Clear(t *Type, p unsafe.Pointer) {
	if t.PtrBytes == 0 {
		memclrNoHeapPointers(p, t.Size)
		return
	}
	typedmemclr(t, p)
}

// Equal compares two values in memory as == does.
func Equal(t *Type, p, q unsafe.Pointer) bool { return t.Equal(p, q) }

// NewArray allocates n zeroed elements.
func NewArray(elem *Type, n int) unsafe.Pointer { return newArray(elem, n) }

// CopySlice is the builtin copy.
func CopySlice(elem *Type, dst, src Slice) int {
	n := min(dst.Len, src.Len)
	if n == 0 || elem.Size == 0 {
		return n
	}
	if elem.PtrBytes == 0 {
		memmove(dst.Data, src.Data, uintptr(n)*elem.Size)
		return n
	}
	return typedslicecopy(elem, dst, src)
}

// ClearSlice zeroes the elements of a slice.
func ClearSlice(elem *Type, s Slice) {
	for i := range s.Len {
		Clear(elem, unsafe.Add(s.Data, uintptr(i)*elem.Size))
	}
}

// Grow returns s with room for n more elements, and its length unchanged.
func Grow(elem *Type, s Slice, n int) Slice {
	if s.Cap-s.Len >= n {
		return s
	}
	if s.Len+n < 0 {
		panic(tooLong{})
	}
	g := growslice(elem, s, n)
	g.Len = s.Len
	return g
}

// tooLong is the run-time error of an append beyond the largest int.
type tooLong struct{}

func (tooLong) Error() string { return "runtime error: growslice: len out of range" }

func (tooLong) RuntimeError() {}

// MapGet returns the element of a key, or nil.
func MapGet(t *MapType, m, key unsafe.Pointer) unsafe.Pointer {
	checkMap(m, "concurrent map read and map write")
	p, ok := mapaccess2(t, m, key)
	if !ok {
		return nil
	}
	return p
}

// MapAssign returns the place of a key's element, adding it if need be.
func MapAssign(t *MapType, m, key unsafe.Pointer) unsafe.Pointer {
	checkMap(m, "concurrent map writes")
	return mapassign(t, m, key)
}

// MapDelete removes a key.
func MapDelete(t *MapType, m, key unsafe.Pointer) {
	checkMap(m, "concurrent map writes")
	mapdelete(t, m, key)
}

// MapClear removes all keys.
func MapClear(t *MapType, m unsafe.Pointer) { mapclear(t, m) }

// MapLen is the number of keys.
func MapLen(m unsafe.Pointer) int { return maplen(m) }

// MakeMap makes a map with room for size keys.
func MakeMap(t *MapType, size int) unsafe.Pointer { return makemap(t, size) }

// MapRange starts an iteration; it is at its end when Key is nil.
func MapRange(t *MapType, m unsafe.Pointer) *MapIter {
	it := new(MapIter)
	mapiterinit(t, m, it)
	return it
}

// Next moves to the next key.
func (it *MapIter) Next() { mapiternext(it) }

// mapMirror is the head of the runtime's map.
type mapMirror struct {
	used                     uint64
	seed                     uintptr
	directory                unsafe.Pointer
	directoryLen             int
	globalDepth, globalShift uint8
	writing                  uint8
}

// checkMap panics if another goroutine is writing to the map. The runtime finds
// out too, but ends the process; the few nanoseconds in which only it can are
// left to it.
func checkMap(m unsafe.Pointer, msg string) {
	if m != nil && (*mapMirror)(m).writing != 0 {
		panic(Fatal{msg})
	}
}

// Fatal is the panic of what ends a compiled program for good: cells cannot
// recover it.
type Fatal struct{ Msg string }

func (e Fatal) Error() string { return "fatal error: " + e.Msg }

// FindItab returns the method table of a concrete type for an interface type
// with methods, or nil if the type does not implement it.
func FindItab(inter, typ *Type) *Itab { return getitab(inter, typ, true) }

// InterfaceMethods is the number of methods of an interface type.
func (t *Type) InterfaceMethods() int { return len((*interfaceType)(unsafe.Pointer(t)).methods) }

// IsInterface reports the kind.
func (t *Type) IsInterface() bool { return reflect.Kind(t.Kind) == reflect.Interface }

// AsMap views a map type.
func (t *Type) AsMap() *MapType { return (*MapType)(unsafe.Pointer(t)) }

// Value views memory as an addressable reflect.Value.
func Value(t *Type, p unsafe.Pointer) reflect.Value {
	return reflect.NewAt(t.Reflect(), p).Elem()
}

// Box makes an interface data word from memory: the word itself for a direct
// type, else a pointer to a fresh copy.
func Box(t *Type, p unsafe.Pointer) unsafe.Pointer {
	if t.Direct() {
		return *(*unsafe.Pointer)(p)
	}
	if t.Size == 0 {
		return zeroBase
	}
	q := mallocgc(t.Size, t, t.PtrBytes != 0)
	Move(t, q, p)
	return q
}

// Any makes an empty interface from memory.
func Any(t *Type, p unsafe.Pointer) any {
	if t.IsInterface() {
		f := *(*Iface)(p)
		if f.Tab != nil && t.InterfaceMethods() > 0 {
			f.Tab = unsafe.Pointer((*Itab)(f.Tab).Type)
		}
		return *(*any)(unsafe.Pointer(&f))
	}
	f := Iface{unsafe.Pointer(t), Box(t, p)}
	return *(*any)(unsafe.Pointer(&f))
}
