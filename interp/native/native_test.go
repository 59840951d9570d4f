package native

import (
	"reflect"
	"testing"
	"unsafe"
)

func TestMirrors(t *testing.T) {
	s := Of(reflect.TypeFor[struct{ A, B int }]())
	if s.Size != 16 || reflect.Kind(s.Kind) != reflect.Struct || s.Reflect().NumField() != 2 {
		t.Fatal("Type does not mirror abi.Type")
	}
	if unsafe.Sizeof(Type{}) != 48 {
		t.Fatal(unsafe.Sizeof(Type{}))
	}
}

func TestEntryPoints(t *testing.T) {
	calls := make([]int, 3)
	var pcs []unsafe.Pointer
	for i := range calls {
		f := func() { calls[i]++ }
		pc := newStub(*(*unsafe.Pointer)(unsafe.Pointer(&f)))
		pcs = append(pcs, pc)
	}
	for i := range pcs {
		p := &pcs[i]
		(*(*func())(unsafe.Pointer(&p)))()
	}
	last := unsafe.Add(poolAddress(), (poolSize-1)*entrySize())
	f := func() { calls[0] += 10 }
	slots[poolSize-1] = *(*unsafe.Pointer)(unsafe.Pointer(&f))
	p := &last
	(*(*func())(unsafe.Pointer(&p)))()
	if calls[0] != 11 || calls[1] != 1 || calls[2] != 1 {
		t.Fatal(calls)
	}
}

// No value lies at the end of its object, where a pointer to it would be one to
// what follows.
func TestLayoutOfNothing(t *testing.T) {
	var l Layout
	empty := Of(reflect.TypeFor[struct{}]())
	word := Of(reflect.TypeFor[*int]())
	l.Place(word)
	off := l.Place(empty)
	if typ := l.Type(); off >= typ.Size || typ.PtrBytes != 8 {
		t.Fatalf("offset %d in %d bytes, pointers in %d", off, typ.Size, typ.PtrBytes)
	}
}
