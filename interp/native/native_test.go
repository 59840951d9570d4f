package native

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"reflect"
	"runtime"
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

// The flag of a map that is being written to is where the running Go has it.
func TestMapMirror(t *testing.T) {
	dir := filepath.Join(build.Default.GOROOT, "src", "internal", "runtime", "maps")
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, filepath.Join(dir, "map.go"), nil, 0)
	if err != nil {
		t.Skip("needs the source of Go: ", err)
	}
	var fields []*types.Var
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Map" {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			typ := types.Typ[types.UnsafePointer]
			if id, ok := f.Type.(*ast.Ident); ok {
				typ = types.Universe.Lookup(id.Name).Type().(*types.Basic)
			}
			for _, name := range f.Names {
				fields = append(fields, types.NewVar(0, nil, name.Name, typ))
			}
		}
		return false
	})
	offsets := types.SizesFor("gc", runtime.GOARCH).Offsetsof(fields)
	for i, f := range fields {
		if f.Name() == "writing" && uintptr(offsets[i]) != unsafe.Offsetof(mapMirror{}.writing) {
			t.Errorf("writing is at %d, mirrored at %d", offsets[i], unsafe.Offsetof(mapMirror{}.writing))
		}
	}
	m := map[int]int{1: 2, 3: 4}
	p := *(*unsafe.Pointer)(unsafe.Pointer(&m))
	if head := (*mapMirror)(p); head.used != 2 || head.writing != 0 {
		t.Errorf("%+v", *head)
	}
	mt := Of(reflect.TypeOf(m)).AsMap()
	key := 3
	if e := MapGet(mt, p, unsafe.Pointer(&key)); *(*int)(e) != 4 {
		t.Error("element not found")
	}
	(*mapMirror)(p).writing = 1
	defer func() {
		(*mapMirror)(p).writing = 0
		if _, ok := recover().(Fatal); !ok {
			t.Error("reading a map that is written to did not panic")
		}
	}()
	MapGet(mt, p, unsafe.Pointer(&key))
}
