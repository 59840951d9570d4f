// Package native makes real run-time types out of go/types types, and gives
// the raw memory operations that code working on such types needs. A type made
// here has its Go name, its unexported fields and its methods, so fmt, json,
// errors.As, map keys and type switches treat its values as compiled Go does.
//
// The structures in this file mirror internal/abi of the Go release named in
// go.mod; TestMirrors holds them against the running one.
package native

import (
	"reflect"
	"unsafe"
)

// Type mirrors abi.Type.
type Type struct {
	Size       uintptr
	PtrBytes   uintptr
	Hash       uint32
	TFlag      uint8
	Align      uint8
	FieldAlign uint8
	Kind       uint8
	Equal      func(unsafe.Pointer, unsafe.Pointer) bool
	GCData     *byte
	Str        int32
	PtrToThis  int32
}

const (
	flagUncommon       = 1 << 0
	flagExtraStar      = 1 << 1
	flagNamed          = 1 << 2
	flagRegularMemory  = 1 << 3
	flagGCMaskOnDemand = 1 << 4
	flagDirectIface    = 1 << 5
)

type uncommonType struct {
	pkgPath        int32
	mcount, xcount uint16
	moff           uint32
	_              uint32
}

type method struct{ name, mtyp, ifn, tfn int32 }

type imethod struct{ name, typ int32 }

type arrayType struct {
	Type
	elem  *Type
	slice *Type
	len   uintptr
}

type chanType struct {
	Type
	elem *Type
	dir  int
}

type funcType struct {
	Type
	inCount, outCount uint16
}

type interfaceType struct {
	Type
	pkgPath *byte
	methods []imethod
}

// MapType mirrors abi.MapType.
type MapType struct {
	Type
	Key       *Type
	Elem      *Type
	group     *Type
	hasher    func(unsafe.Pointer, uintptr) uintptr
	groupSize uintptr
	slotSize  uintptr
	elemOff   uintptr
	flags     uint32
}

type ptrType struct {
	Type
	elem *Type
}

type structField struct {
	name   *byte
	typ    *Type
	offset uintptr
}

type structType struct {
	Type
	pkgPath *byte
	fields  []structField
}

// Of returns the run-time type behind a reflect.Type.
func Of(t reflect.Type) *Type {
	return (*Type)((*[2]unsafe.Pointer)(unsafe.Pointer(&t))[1])
}

// Reflect is the inverse of Of.
func (t *Type) Reflect() reflect.Type {
	r := reflect.TypeFor[int]()
	(*[2]unsafe.Pointer)(unsafe.Pointer(&r))[1] = unsafe.Pointer(t)
	return r
}

// Direct reports whether an interface holds a value of the type in its data
// word itself and not by a pointer.
func (t *Type) Direct() bool { return t.TFlag&flagDirectIface != 0 }

// HasPointers reports whether the collector must look into values of the type.
func (t *Type) HasPointers() bool { return t.PtrBytes != 0 }

//go:linkname addReflectOff reflect.addReflectOff
func addReflectOff(ptr unsafe.Pointer) int32

// encodeName builds an abi.Name.
func encodeName(name, tag string, exported, embedded bool) *byte {
	b := make([]byte, 1, len(name)+len(tag)+8)
	if exported {
		b[0] |= 1 << 0
	}
	if tag != "" {
		b[0] |= 1 << 1
	}
	if embedded {
		b[0] |= 1 << 3
	}
	b = appendVarint(b, name)
	if tag != "" {
		b = appendVarint(b, tag)
	}
	return &b[0]
}

func appendVarint(b []byte, s string) []byte {
	n := len(s)
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), s...)
}

func nameOff(name string, exported bool) int32 {
	return addReflectOff(unsafe.Pointer(encodeName(name, "", exported, false)))
}

func typeOff(t *Type) int32 { return addReflectOff(unsafe.Pointer(t)) }
