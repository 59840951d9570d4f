package lower

import (
	"fmt"
	"go/ast"
	"go/types"
	"reflect"
	"unsafe"

	"loris/interp/native"
)

// outOfRange raises the run-time error of an index.
func outOfRange(f *frame, pos int32, i, n int) {
	f.Pos = pos
	if i < 0 {
		panic(runtimeError(fmt.Sprintf("index out of range [%d]", i)))
	}
	_ = make([]struct{}, n)[i]
}

// integerOf compiles an index or size to an int; values too large for an int
// become out of range.
func (c *compiler) integerOf(e ast.Expr) func(*frame) int {
	v := c.expr(e)
	switch v.kind() {
	case reflect.Int:
		return load[int](v)
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		g := fromNumber[uint64](v)
		return func(f *frame) int { return int(min(g(f), 1<<63-1)) }
	case reflect.Float32, reflect.Float64:
		return constantly(int(toInt(v.con)))
	}
	if v.con != nil {
		return constantly(int(toInt(v.con)))
	}
	return fromNumber[int](v)
}

func (c *compiler) index(e *ast.IndexExpr) value {
	if _, ok := c.info.Types[e.Index]; ok && c.info.Types[e.Index].IsType() {
		return c.genericFunc(e.X)
	}
	if _, ok := c.typeOf(e.X).Underlying().(*types.Map); ok {
		return c.mapIndex(e)
	}
	x := c.expr(e.X)
	i, pos := c.integerOf(e.Index), int32(c.pos)
	switch u := x.typ.Underlying().(type) {
	case *types.Basic:
		g := load[string](x)
		return c.result(types.Typ[types.Uint8], func(f *frame) uint8 {
			s := g(f)
			k := i(f)
			if uint(k) >= uint(len(s)) {
				outOfRange(f, pos, k, len(s))
			}
			return s[k]
		})
	case *types.Slice:
		return c.sliceIndex(x, u.Elem(), i)
	case *types.Array:
		return c.arrayIndex(x, u, i)
	case *types.Pointer:
		return c.arrayIndex(c.deref(x, u.Elem()), u.Elem().Underlying().(*types.Array), i)
	}
	c.fail(e.Pos(), "cannot index %s", x.typ)
	panic(0)
}

func (c *compiler) sliceIndex(x value, elem types.Type, i func(*frame) int) value {
	g, pos := load[native.Slice](x), int32(c.pos)
	size := c.rtype(elem).Size
	if x.local && x.get == nil {
		off := x.off
		return c.at(elem, func(f *frame) unsafe.Pointer {
			k := i(f)
			s := (*native.Slice)(unsafe.Add(unsafe.Pointer(f), off))
			if uint(k) >= uint(s.Len) {
				outOfRange(f, pos, k, s.Len)
			}
			return unsafe.Add(s.Data, uintptr(k)*size)
		})
	}
	return c.at(elem, func(f *frame) unsafe.Pointer {
		s := g(f)
		k := i(f)
		if uint(k) >= uint(s.Len) {
			outOfRange(f, pos, k, s.Len)
		}
		return unsafe.Add(s.Data, uintptr(k)*size)
	})
}

func (c *compiler) arrayIndex(x value, t *types.Array, i func(*frame) int) value {
	m, n, size, pos := x.memory(), int(t.Len()), c.rtype(t.Elem()).Size, int32(c.pos)
	return c.at(t.Elem(), func(f *frame) unsafe.Pointer {
		p := m(f)
		k := i(f)
		if uint(k) >= uint(n) {
			outOfRange(f, pos, k, n)
		}
		return unsafe.Add(p, uintptr(k)*size)
	})
}

// keyOf evaluates a map key into memory.
func (c *compiler) keyOf(e ast.Expr, m *types.Map) func(*frame) unsafe.Pointer {
	return c.keyMemory(c.exprTo(e, m.Key()))
}

func (c *compiler) keyMemory(v value) func(*frame) unsafe.Pointer {
	if v.local || v.place != nil || v.inMemory() {
		return v.memory()
	}
	if !native.Inline(v.rt) {
		return v.memory()
	}
	s := c.temporary(v.rt)
	put := v.storeLocal(s.off)
	return func(f *frame) unsafe.Pointer {
		put(f)
		return f.At(s.off)
	}
}

var zeroMemory [1024]byte

// mapIndex is m[k] as a value: the element or zero.
func (c *compiler) mapIndex(e *ast.IndexExpr) value {
	t := c.typeOf(e.X).Underlying().(*types.Map)
	g := load[unsafe.Pointer](c.expr(e.X))
	key := c.keyOf(e.Index, t)
	mt := c.rtype(t).AsMap()
	elem := c.rtype(t.Elem())
	zero := unsafe.Pointer(&zeroMemory)
	if elem.Size > uintptr(len(zeroMemory)) {
		zero = native.New(elem)
	}
	return c.pointerResult(t.Elem(), func(f *frame) unsafe.Pointer {
		m := g(f)
		if p := native.MapGet(mt, m, key(f)); p != nil {
			return p
		}
		return zero
	})
}

// mapIndexOK is v, ok := m[k].
func (c *compiler) mapIndexOK(e *ast.IndexExpr) (types.Type, func(f *frame, dst unsafe.Pointer) bool) {
	t := c.typeOf(e.X).Underlying().(*types.Map)
	g := load[unsafe.Pointer](c.expr(e.X))
	key := c.keyOf(e.Index, t)
	mt := c.rtype(t).AsMap()
	elem := c.rtype(t.Elem())
	return t.Elem(), func(f *frame, dst unsafe.Pointer) bool {
		m := g(f)
		if p := native.MapGet(mt, m, key(f)); p != nil {
			native.Move(elem, dst, p)
			return true
		}
		native.Clear(elem, dst)
		return false
	}
}

// sliceExpr is x[lo:hi:max].
func (c *compiler) sliceExpr(e *ast.SliceExpr) value {
	t := c.typeOf(e)
	bound := func(x ast.Expr) func(*frame) int {
		if x == nil {
			return nil
		}
		return c.integerOf(x)
	}
	x := c.expr(e.X)
	if b, ok := x.typ.Underlying().(*types.Basic); ok && b.Info()&types.IsString != 0 {
		lo, hi := bound(e.Low), bound(e.High)
		g, pos := load[string](x), int32(c.pos)
		return c.result(t, func(f *frame) string {
			s := g(f)
			i, j := 0, len(s)
			if lo != nil {
				i = lo(f)
			}
			if hi != nil {
				j = hi(f)
			}
			if uint(i) > uint(j) || uint(j) > uint(len(s)) {
				f.Pos = pos
			}
			return s[i:j]
		})
	}
	lo, hi, limit := bound(e.Low), bound(e.High), bound(e.Max)
	var base func(*frame) native.Slice
	var elem types.Type
	array := false
	switch u := x.typ.Underlying().(type) {
	case *types.Slice:
		base, elem = load[native.Slice](x), u.Elem()
	case *types.Pointer:
		a := u.Elem().Underlying().(*types.Array)
		p, n := c.deref(x, u.Elem()).place, int(a.Len())
		base, elem, array = func(f *frame) native.Slice { return native.Slice{Data: p(f), Len: n, Cap: n} }, a.Elem(), true
	case *types.Array:
		p, n := c.placeOf(x, e), int(u.Len())
		base, elem, array = func(f *frame) native.Slice { return native.Slice{Data: p(f), Len: n, Cap: n} }, u.Elem(), true
	}
	_ = array
	size, pos := c.rtype(elem).Size, int32(c.pos)
	return c.result(t, func(f *frame) native.Slice {
		s := base(f)
		i, j, k := 0, s.Len, s.Cap
		if lo != nil {
			i = lo(f)
		}
		if hi != nil {
			j = hi(f)
		}
		if limit != nil {
			k = limit(f)
			if uint(i) > uint(j) || uint(j) > uint(k) || uint(k) > uint(s.Cap) {
				f.Pos = pos
				checkSlice3(i, j, k, s.Cap)
			}
		} else if uint(j) > uint(s.Cap) || uint(i) > uint(j) {
			f.Pos = pos
			checkSlice(i, j, s.Cap, array)
		}
		r := native.Slice{Data: s.Data, Len: j - i, Cap: k - i}
		if r.Cap > 0 {
			r.Data = unsafe.Add(s.Data, uintptr(i)*size)
		}
		return r
	})
}

// checkSlice and checkSlice3 raise the run-time errors of slice bounds, by
// slicing something of the same length and capacity.
func checkSlice(i, j, cap int, array bool) {
	if uint(j) > uint(cap) && array {
		panic(runtimeError(fmt.Sprintf("slice bounds out of range [:%d] with length %d", j, cap)))
	}
	_ = make([]struct{}, 0, cap)[i:j]
}

func checkSlice3(i, j, k, cap int) { _ = make([]struct{}, 0, cap)[i:j:k] }
