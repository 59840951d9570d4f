package native

import (
	"fmt"
	"go/types"
	"hash/fnv"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/tools/go/types/typeutil"
)

// A Binder supplies what the types themselves cannot know.
type Binder interface {
	// Imported returns the run-time type of a named type of a compiled package.
	Imported(t *types.Named) (reflect.Type, error)
	// Method returns the func value behind a method of recv. Its first
	// parameter is the receiver word (an unsafe.Pointer) if word is set, which
	// is a pointer to the receiver unless recv itself is held directly in an
	// interface; else the first parameter is of type recv.
	Method(recv types.Type, sel *types.Selection, word bool) reflect.Value
}

// Types holds the run-time types of a session, one for each go/types identity.
type Types struct {
	mu     sync.Mutex
	bind   Binder
	known  typeutil.Map // types.Type -> *Type
	made   map[*Type]types.Type
	owners []*made // every type with a method table of ours
	queue  []func()
	depth  int
	serial uint32

	pointerMethods map[*types.Named]int // the number of methods of *T when T was made
	renewed        atomic.Bool
}

// A made type with the place of its method table.
type made struct {
	t        *Type
	src      types.Type
	uncommon *uncommonType
	table    []method
}

// NewTypes returns an empty set.
func NewTypes(b Binder) *Types {
	u := &Types{bind: b, made: map[*Type]types.Type{}, pointerMethods: map[*types.Named]int{}}
	u.known.SetHasher(typeutil.MakeHasher())
	return u
}

// Source returns the go/types type that a made type stands for.
func (u *Types) Source(t *Type) (types.Type, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	src, ok := u.made[t]
	return src, ok
}

// Of returns the run-time type of t, which must be free of type parameters.
// It panics with an error if t cannot be made.
func (u *Types) Of(t types.Type) *Type {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.depth++
	r := u.of(t)
	if u.depth == 1 {
		u.drain()
	}
	u.depth--
	return r
}

// drain finishes types that others were built from before they were complete.
func (u *Types) drain() {
	for len(u.queue) > 0 {
		f := u.queue[0]
		u.queue = u.queue[1:]
		f()
	}
}

func (u *Types) of(t types.Type) *Type {
	t = types.Unalias(t)
	if r := u.known.At(t); r != nil {
		return r.(*Type)
	}
	r := u.build(t)
	if old := u.known.At(t); old != nil {
		return old.(*Type) // made on the way, by recursion
	}
	u.known.Set(t, r)
	return r
}

func (u *Types) rt(t types.Type) reflect.Type { return u.of(t).Reflect() }

func (u *Types) build(t types.Type) *Type {
	switch t := t.(type) {
	case *types.Basic:
		return basicType(t)
	case *types.Named:
		if isUniverse(t.Obj()) {
			if t.Obj().Name() == "comparable" {
				panic(fmt.Errorf("comparable is a constraint, not a type of values"))
			}
			return Of(reflect.TypeFor[error]())
		}
		if t.Obj().Pkg().Path() != "main" {
			r, err := u.bind.Imported(t)
			if err != nil {
				panic(err)
			}
			if r == nil {
				return u.named(t)
			}
			return Of(r)
		}
		return u.named(t)
	case *types.Pointer:
		return Of(reflect.PointerTo(u.rt(t.Elem())))
	case *types.Slice:
		return Of(reflect.SliceOf(u.rt(t.Elem())))
	case *types.Array:
		u.layout(t.Elem())
		return Of(reflect.ArrayOf(int(t.Len()), u.rt(t.Elem())))
	case *types.Map:
		u.layout(t.Key())
		u.layout(t.Elem())
		return Of(reflect.MapOf(u.rt(t.Key()), u.rt(t.Elem())))
	case *types.Chan:
		dir := map[types.ChanDir]reflect.ChanDir{types.SendRecv: reflect.BothDir, types.SendOnly: reflect.SendDir, types.RecvOnly: reflect.RecvDir}[t.Dir()]
		u.layout(t.Elem())
		return Of(reflect.ChanOf(dir, u.rt(t.Elem())))
	case *types.Signature:
		in, out := u.signature(t)
		return Of(reflect.FuncOf(in, out, t.Variadic()))
	case *types.Struct:
		return u.structLiteral(t)
	case *types.Interface:
		if t.NumMethods() == 0 {
			return Of(reflect.TypeFor[any]())
		}
		m := u.allocate(t, reflect.Interface, typeName(t), false)
		u.fillInterface(m, t)
		return m.t
	}
	panic(fmt.Errorf("a value of type %s cannot exist at run time", t))
}

func (u *Types) signature(t *types.Signature) (in, out []reflect.Type) {
	for v := range t.Params().Variables() {
		in = append(in, u.rt(v.Type()))
	}
	for v := range t.Results().Variables() {
		out = append(out, u.rt(v.Type()))
	}
	return in, out
}

func isUniverse(o *types.TypeName) bool { return o.Pkg() == nil }

var basicKinds = map[types.BasicKind]reflect.Type{
	types.Bool: reflect.TypeFor[bool](), types.Int: reflect.TypeFor[int](), types.Int8: reflect.TypeFor[int8](),
	types.Int16: reflect.TypeFor[int16](), types.Int32: reflect.TypeFor[int32](), types.Int64: reflect.TypeFor[int64](),
	types.Uint: reflect.TypeFor[uint](), types.Uint8: reflect.TypeFor[uint8](), types.Uint16: reflect.TypeFor[uint16](),
	types.Uint32: reflect.TypeFor[uint32](), types.Uint64: reflect.TypeFor[uint64](), types.Uintptr: reflect.TypeFor[uintptr](),
	types.Float32: reflect.TypeFor[float32](), types.Float64: reflect.TypeFor[float64](),
	types.Complex64: reflect.TypeFor[complex64](), types.Complex128: reflect.TypeFor[complex128](),
	types.String: reflect.TypeFor[string](), types.UnsafePointer: reflect.TypeFor[unsafe.Pointer](),
	types.UntypedBool: reflect.TypeFor[bool](), types.UntypedInt: reflect.TypeFor[int](), types.UntypedRune: reflect.TypeFor[rune](),
	types.UntypedFloat: reflect.TypeFor[float64](), types.UntypedComplex: reflect.TypeFor[complex128](),
	types.UntypedString: reflect.TypeFor[string](), types.UntypedNil: reflect.TypeFor[unsafe.Pointer](),
}

func basicType(t *types.Basic) *Type {
	r, ok := basicKinds[t.Kind()]
	if !ok {
		panic(fmt.Errorf("no values of type %s", t))
	}
	return Of(r)
}

// allocate makes the block of a type: its kind's structure, the uncommon part
// and room for methods, with name and hash but not yet layout.
func (u *Types) allocate(src types.Type, kind reflect.Kind, name string, named bool) *made {
	var words uintptr
	switch kind {
	case reflect.Struct:
		words = unsafe.Sizeof(structType{})
	case reflect.Pointer, reflect.Slice:
		words = unsafe.Sizeof(ptrType{})
	case reflect.Func:
		words = unsafe.Sizeof(funcType{})
	case reflect.Array:
		words = unsafe.Sizeof(arrayType{})
	case reflect.Chan:
		words = unsafe.Sizeof(chanType{})
	case reflect.Map:
		words = unsafe.Sizeof(MapType{})
	case reflect.Interface:
		words = unsafe.Sizeof(interfaceType{})
	default:
		words = unsafe.Sizeof(Type{})
	}
	head := (words + 7) / 8
	tail := 0 // in and out types of a func follow the uncommon part
	if sig, ok := src.Underlying().(*types.Signature); ok && kind == reflect.Func {
		tail = sig.Params().Len() + sig.Results().Len()
	}
	spare := 0
	if kind != reflect.Interface {
		spare = types.NewMethodSet(src).Len()
		if n, ok := src.(*types.Named); ok {
			u.pointerMethods[n] = types.NewMethodSet(types.NewPointer(n)).Len()
		}
	}
	const uncommonWords = unsafe.Sizeof(uncommonType{}) / 8
	const methodWords = unsafe.Sizeof(method{}) / 8
	// Every word may hold a pointer as far as the collector knows; what is no
	// pointer to the heap does no harm.
	block := make([]unsafe.Pointer, head+uncommonWords+uintptr(tail)+uintptr(spare)*methodWords)
	t := (*Type)(unsafe.Pointer(&block[0]))
	m := &made{t: t, src: src, uncommon: (*uncommonType)(unsafe.Pointer(&block[head]))}
	if spare > 0 {
		off := head + uncommonWords + uintptr(tail)
		m.table = unsafe.Slice((*method)(unsafe.Pointer(&block[off])), spare)
		m.uncommon.moff = uint32((off - head) * 8)
	}
	u.serial++
	h := fnv.New32a()
	h.Write([]byte(name))
	t.Hash = h.Sum32() + u.serial*2654435761
	t.Kind = uint8(kind)
	t.TFlag = flagUncommon | flagExtraStar
	if named {
		t.TFlag |= flagNamed
		m.uncommon.pkgPath = nameOff("main", false)
	}
	t.Str = nameOff("*"+name, true)
	pin(t)
	u.known.Set(src, t)
	u.made[t] = src
	if kind != reflect.Interface {
		u.owners = append(u.owners, m)
	}
	if spare > 0 {
		u.queue = append(u.queue, func() { u.bindMethods(m) })
	}
	return m
}

// setLayout copies size, alignment, equality and pointer map.
func (t *Type) setLayout(from *Type) {
	t.Size, t.PtrBytes, t.Align, t.FieldAlign = from.Size, from.PtrBytes, from.Align, from.FieldAlign
	t.Equal, t.GCData = from.Equal, from.GCData
	t.TFlag |= from.TFlag & (flagRegularMemory | flagGCMaskOnDemand | flagDirectIface)
}

func (u *Types) named(t *types.Named) *Type {
	under := t.Underlying()
	kind := kindOf(under)
	m := u.allocate(t, kind, typeName(t), true)
	u.pointerTo(m, types.NewPointer(t))
	m.t.setLayout(Of(u.layoutOf(under)))
	switch under := under.(type) {
	case *types.Basic:
	case *types.Interface:
		u.fillInterface(m, under)
	case *types.Struct:
		u.queueFields(m, under)
	case *types.Array: // types are built around it by its element
		u.fillComposite(m.t, kind, under)
	default:
		u.queue = append(u.queue, func() { u.fillComposite(m.t, kind, under) })
	}
	if kind != reflect.Struct && kind != reflect.Interface && u.depth == 0 {
		u.drain()
	}
	return m.t
}

// pointerTo makes *T beside T, since the one that reflect would make has no
// methods.
func (u *Types) pointerTo(elem *made, src *types.Pointer) {
	if kindOf(elem.src.Underlying()) == reflect.Interface {
		return
	}
	m := u.allocate(src, reflect.Pointer, "*"+typeName(elem.src), false)
	m.t.setLayout(Of(reflect.TypeFor[*int]()))
	(*ptrType)(unsafe.Pointer(m.t)).elem = elem.t
	elem.t.PtrToThis = typeOff(m.t)
}

// fillComposite copies the kind's own part from the type literal.
func (u *Types) fillComposite(t *Type, kind reflect.Kind, under types.Type) {
	lit := unsafe.Pointer(u.of(under))
	p := unsafe.Pointer(t)
	switch kind {
	case reflect.Pointer, reflect.Slice:
		(*ptrType)(p).elem = (*ptrType)(lit).elem
	case reflect.Array:
		a, b := (*arrayType)(p), (*arrayType)(lit)
		a.elem, a.slice, a.len = b.elem, b.slice, b.len
	case reflect.Chan:
		a, b := (*chanType)(p), (*chanType)(lit)
		a.elem, a.dir = b.elem, b.dir
	case reflect.Map:
		a, b := (*MapType)(p), (*MapType)(lit)
		base := a.Type
		*a = *b
		a.Type = base
	case reflect.Func:
		a, b := (*funcType)(p), (*funcType)(lit)
		a.inCount, a.outCount = b.inCount, b.outCount
		n := int(b.inCount) + int(b.outCount&(1<<15-1))
		if n == 0 {
			return
		}
		from := unsafe.Add(lit, unsafe.Sizeof(funcType{}))
		if b.TFlag&flagUncommon != 0 {
			from = unsafe.Add(from, unsafe.Sizeof(uncommonType{}))
		}
		to := unsafe.Add(p, unsafe.Sizeof(funcType{})+unsafe.Sizeof(uncommonType{}))
		copy(unsafe.Slice((*unsafe.Pointer)(to), n), unsafe.Slice((*unsafe.Pointer)(from), n))
	}
}

func kindOf(t types.Type) reflect.Kind {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return basicKinds[t.Kind()].Kind()
	case *types.Pointer:
		return reflect.Pointer
	case *types.Slice:
		return reflect.Slice
	case *types.Array:
		return reflect.Array
	case *types.Map:
		return reflect.Map
	case *types.Chan:
		return reflect.Chan
	case *types.Signature:
		return reflect.Func
	case *types.Struct:
		return reflect.Struct
	case *types.Interface:
		return reflect.Interface
	}
	panic(fmt.Errorf("no values of type %s", t))
}

// OfLocked is Of for a Binder, which is called while types are being made.
func (u *Types) OfLocked(t types.Type) *Type { return u.of(t) }
