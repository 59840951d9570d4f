package lower

import (
	"go/ast"
	"go/types"
	"unsafe"

	"loris/interp/native"
)

// compositeLit makes a new struct, array, slice or map.
func (c *compiler) compositeLit(e *ast.CompositeLit, t types.Type) value {
	switch u := t.Underlying().(type) {
	case *types.Pointer: // &T omitted in an element
		v := c.compositeLit(e, u.Elem())
		put, rt := v.store(), v.rt
		return c.result(t, func(f *frame) unsafe.Pointer {
			p := native.New(rt)
			put(f, p)
			return p
		})
	case *types.Struct:
		return c.structLit(e, t, u)
	case *types.Array:
		fill := c.elements(e, u.Elem())
		rt := c.rtype(t)
		return value{typ: t, rt: rt, get: func(f *frame) unsafe.Pointer {
			p := native.New(rt)
			fill(f, p)
			return p
		}}
	case *types.Slice:
		n := c.literalLen(e)
		fill := c.elements(e, u.Elem())
		elem := c.rtype(u.Elem())
		return c.result(t, func(f *frame) native.Slice {
			p := native.NewArray(elem, n)
			fill(f, p)
			return native.Slice{Data: p, Len: n, Cap: n}
		})
	case *types.Map:
		return c.mapLit(e, t, u)
	}
	c.fail(e.Pos(), "composite literal of type %s", t)
	panic(0)
}

func (c *compiler) structLit(e *ast.CompositeLit, t types.Type, u *types.Struct) value {
	rt := c.rtype(t)
	var fill []func(*frame, unsafe.Pointer)
	for i, el := range e.Elts {
		k := i
		if kv, ok := el.(*ast.KeyValueExpr); ok {
			k = fieldIndex(u, kv.Key.(*ast.Ident).Name)
			el = kv.Value
		}
		v := c.element(el, u.Field(k).Type())
		if u.Field(k).Name() == "_" {
			save, _ := c.saved(v)
			fill = append(fill, func(f *frame, _ unsafe.Pointer) { save(f) })
			continue
		}
		put, off := v.store(), c.fieldOffset(t, k)
		fill = append(fill, func(f *frame, p unsafe.Pointer) { put(f, unsafe.Add(p, off)) })
	}
	return value{typ: t, rt: rt, get: func(f *frame) unsafe.Pointer {
		p := native.New(rt)
		for _, g := range fill {
			g(f, p)
		}
		return p
	}}
}

func fieldIndex(u *types.Struct, name string) int {
	for i := range u.NumFields() {
		if u.Field(i).Name() == name {
			return i
		}
	}
	panic("no field " + name)
}

// element compiles an element, whose type may be left out if it is a literal.
func (c *compiler) element(e ast.Expr, t types.Type) value {
	if lit, ok := e.(*ast.CompositeLit); ok && lit.Type == nil {
		return c.compositeLit(lit, c.subst(t))
	}
	return c.exprTo(e, t)
}

func (c *compiler) elementIndex(e ast.Expr, next int) (int, ast.Expr) {
	if kv, ok := e.(*ast.KeyValueExpr); ok {
		return int(toInt(c.info.Types[kv.Key].Value)), kv.Value
	}
	return next, e
}

func (c *compiler) literalLen(e *ast.CompositeLit) int {
	n, next := 0, 0
	for _, el := range e.Elts {
		next, _ = c.elementIndex(el, next)
		next++
		n = max(n, next)
	}
	return n
}

func (c *compiler) elements(e *ast.CompositeLit, t types.Type) func(*frame, unsafe.Pointer) {
	size := c.rtype(t).Size
	puts := make([]func(*frame, unsafe.Pointer), len(e.Elts))
	offs := make([]uintptr, len(e.Elts))
	next := 0
	for i, el := range e.Elts {
		k, x := c.elementIndex(el, next)
		next = k + 1
		puts[i], offs[i] = c.element(x, t).store(), uintptr(k)*size
	}
	return func(f *frame, p unsafe.Pointer) {
		for i, put := range puts {
			put(f, unsafe.Add(p, offs[i]))
		}
	}
}

func (c *compiler) mapLit(e *ast.CompositeLit, t types.Type, u *types.Map) value {
	mt := c.rtype(t).AsMap()
	elem := c.rtype(u.Elem())
	type entry struct{ key, val func(*frame) unsafe.Pointer }
	entries := make([]entry, len(e.Elts))
	for i, el := range e.Elts {
		kv := el.(*ast.KeyValueExpr)
		first := c.evaluateAhead(kv.Key, kv.Value)
		saveK, k := c.saved(c.element(kv.Key, u.Key()))
		km := c.keyMemory(k)
		v := c.element(kv.Value, u.Elem())
		vm := c.keyMemory(v)
		entries[i] = entry{func(f *frame) unsafe.Pointer {
			if first != nil {
				first(f)
			}
			saveK(f)
			return km(f)
		}, vm}
	}
	return c.result(t, func(f *frame) unsafe.Pointer {
		m := native.MakeMap(mt, len(entries))
		for _, en := range entries {
			k := en.key(f)
			v := en.val(f)
			native.Move(elem, native.MapAssign(mt, m, k), v)
		}
		return m
	})
}
