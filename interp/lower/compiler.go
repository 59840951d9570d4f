package lower

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"unsafe"

	"loris/interp/native"
	"loris/interp/run"
)

type frame = run.Frame

// compiler compiles one function body; function literals get a child.
type compiler struct {
	p      *Program
	info   *types.Info
	env    []binding
	parent *compiler

	layout   native.Layout
	vars     map[*types.Var]slot
	captured []*types.Var // in the order of the closure's captures
	capSlots []uintptr
	results  []slot
	sig      *types.Signature
	boxed    map[*types.Var]bool
	ahead    map[ast.Expr]value // evaluated before the rest of their statements, see order.go
	defers   bool
	labels   map[*types.Label]int32
	nlabels  *int32
	pos      token.Pos
	name     string
	nlits    *int
}

type binding struct {
	param *types.TypeParam
	arg   types.Type
}

// slot is where a variable lives: in the frame, or, boxed, in an object of its
// own to which the frame points.
type slot struct {
	off   uintptr
	t     *native.Type
	boxed bool
}

var wordType = native.Of(reflect.TypeFor[unsafe.Pointer]())

func newCompiler(p *Program, info *types.Info) *compiler {
	c := &compiler{p: p, info: info, vars: map[*types.Var]slot{}, labels: map[*types.Label]int32{}, nlabels: new(int32), nlits: new(int)}
	c.layout.Place(run.FrameType)
	return c
}

func (c *compiler) fail(pos token.Pos, format string, args ...any) {
	panic(&Unsupported{pos, fmt.Sprintf(format, args...)})
}

// function compiles a function: parameters, body and results.
func (c *compiler) function(name string, sig *types.Signature, recv *ast.FieldList, typ *ast.FuncType, body *ast.BlockStmt) *run.Code {
	code := run.NewCode(name)
	c.name = name
	c.sig = sig
	c.boxed = map[*types.Var]bool{}
	if c.parent != nil {
		c.boxed = c.parent.boxed
	} else {
		findBoxed(c.info, body, c.boxed)
	}
	c.defers = hasDefer(body)

	code.Func = c.rtype(types.NewSignatureType(nil, nil, nil, sig.Params(), sig.Results(), sig.Variadic())).Reflect()
	var params, results []*types.Var
	if recv != nil {
		params = append(params, c.paramObject(recv, 0))
		code.Params = append(code.Params, c.place(sig.Recv().Type()))
	}
	for i := range sig.Params().Len() {
		params = append(params, c.paramObject(typ.Params, i))
		code.Params = append(code.Params, c.place(sig.Params().At(i).Type()))
	}
	for i := range sig.Results().Len() {
		results = append(results, c.paramObject(typ.Results, i))
		code.Results = append(code.Results, c.place(sig.Results().At(i).Type()))
	}

	var prologue, epilogue []func(*frame)
	for i, v := range params {
		if v == nil {
			continue
		}
		rt, off := code.Params[i].Type, code.Params[i].Off
		if !c.boxed[v] {
			c.vars[v] = slot{off, rt, false}
			continue
		}
		box := c.layout.Place(wordType)
		c.vars[v] = slot{box, rt, true}
		prologue = append(prologue, func(f *frame) {
			p := native.New(rt)
			native.Move(rt, p, f.At(off))
			*(*unsafe.Pointer)(f.At(box)) = p
		})
	}
	for i, v := range results {
		rt, off := code.Results[i].Type, code.Results[i].Off
		s := slot{off, rt, false}
		if v != nil && c.boxed[v] {
			box := c.layout.Place(wordType)
			s = slot{box, rt, true}
			prologue = append(prologue, func(f *frame) { *(*unsafe.Pointer)(f.At(box)) = native.New(rt) })
			epilogue = append(epilogue, func(f *frame) { native.Move(rt, f.At(off), *(*unsafe.Pointer)(f.At(box))) })
		} else {
			prologue = append(prologue, func(f *frame) { native.Clear(rt, f.At(off)) })
		}
		c.results = append(c.results, s)
		if v != nil {
			c.vars[v] = s
		}
	}
	block := c.block(body.List)
	code.Captures = c.capSlots
	code.Layout = c.layout.Type()
	code.Body = assemble(code.Captures, prologue, block, epilogue, c.defers)
	return code
}

// place reserves a parameter or result. They come first in every frame, so that
// their offsets follow from the signature alone.
func (c *compiler) place(t types.Type) run.Slot {
	rt := c.rtype(t)
	return run.Slot{Off: c.layout.Place(rt), Type: rt}
}

// assemble puts the parts of a function together.
func assemble(captures []uintptr, prologue []func(*frame), body step, epilogue []func(*frame), defers bool) func(*frame) {
	plain := func(f *frame) { body(f) }
	if defers {
		inner := plain
		plain = func(f *frame) { f.RunDeferring(inner) }
	}
	if len(captures)+len(prologue)+len(epilogue) == 0 {
		return plain
	}
	return func(f *frame) {
		for i, off := range captures {
			*(*unsafe.Pointer)(f.At(off)) = f.Closure.Captured[i]
		}
		for _, g := range prologue {
			g(f)
		}
		plain(f)
		for _, g := range epilogue {
			g(f)
		}
	}
}

// paramObject returns the variable of the i'th name in a field list, or nil.
func (c *compiler) paramObject(list *ast.FieldList, i int) *types.Var {
	if list == nil {
		return nil
	}
	for _, f := range list.List {
		n := max(len(f.Names), 1)
		if i < n {
			if len(f.Names) == 0 || f.Names[i].Name == "_" {
				return nil
			}
			v, _ := c.info.Defs[f.Names[i]].(*types.Var)
			return v
		}
		i -= n
	}
	return nil
}

// declare gives a variable its place in the frame. The step that it returns
// makes a new zero variable.
func (c *compiler) declare(v *types.Var) (slot, func(*frame)) {
	rt := c.rtype(v.Type())
	if c.boxed[v] || !native.Inline(rt) {
		s, ok := c.vars[v]
		if !ok {
			s = slot{c.layout.Place(wordType), rt, true}
			c.vars[v] = s
		}
		return s, func(f *frame) { *(*unsafe.Pointer)(f.At(s.off)) = native.New(rt) }
	}
	s, ok := c.vars[v]
	if !ok {
		s = slot{c.layout.Place(rt), rt, false}
		c.vars[v] = s
	}
	return s, func(f *frame) { native.Clear(rt, f.At(s.off)) }
}

// temporary reserves room for an unnamed value.
func (c *compiler) temporary(rt *native.Type) slot {
	if native.Inline(rt) {
		return slot{c.layout.Place(rt), rt, false}
	}
	return slot{c.layout.Place(wordType), rt, true}
}

// prepare makes the memory of a boxed temporary.
func (s slot) prepare() func(*frame) {
	if !s.boxed {
		return func(*frame) {}
	}
	return func(f *frame) { *(*unsafe.Pointer)(f.At(s.off)) = native.New(s.t) }
}

// address returns where the slot's value is.
func (s slot) address() func(*frame) unsafe.Pointer {
	off := s.off
	if s.boxed {
		return func(f *frame) unsafe.Pointer { return *(*unsafe.Pointer)(f.At(off)) }
	}
	return func(f *frame) unsafe.Pointer { return f.At(off) }
}

// lookup finds a variable, capturing it from an enclosing function if need be.
func (c *compiler) lookup(v *types.Var) (slot, bool) {
	if s, ok := c.vars[v]; ok {
		return s, true
	}
	if c.parent == nil {
		return slot{}, false
	}
	outer, ok := c.parent.lookup(v)
	if !ok {
		return slot{}, false
	}
	if !outer.boxed {
		panic(fmt.Sprintf("captured variable %s is not in an object of its own", v.Name()))
	}
	s := slot{c.layout.Place(wordType), outer.t, true}
	c.vars[v] = s
	c.captured = append(c.captured, v)
	c.capSlots = append(c.capSlots, s.off)
	return s, true
}

// findBoxed marks the variables that need an object of their own: those that
// function literals capture and those whose address is taken.
func findBoxed(info *types.Info, body ast.Node, boxed map[*types.Var]bool) {
	var lits []*ast.FuncLit
	mark := func(e ast.Expr) {
		if id := rootVariable(info, e); id != nil {
			if v, ok := info.Uses[id].(*types.Var); ok {
				boxed[v] = true
			} else if v, ok := info.Defs[id].(*types.Var); ok {
				boxed[v] = true
			}
		}
	}
	var visit func(n ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			lits = append(lits, n)
			ast.Inspect(n.Type, visit)
			ast.Inspect(n.Body, visit)
			lits = lits[:len(lits)-1]
			return false
		case *ast.Ident:
			if v, ok := info.Uses[n].(*types.Var); ok && len(lits) > 0 {
				inner := lits[len(lits)-1]
				if v.Pos() < inner.Pos() || v.Pos() >= inner.End() {
					boxed[v] = true
				}
			}
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				mark(n.X)
			}
		case *ast.SliceExpr:
			if t := info.TypeOf(n.X); t != nil {
				if _, ok := t.Underlying().(*types.Array); ok || isTypeParam(t) {
					mark(n.X)
				}
			}
		case *ast.SelectorExpr:
			if sel, ok := info.Selections[n]; ok && sel.Kind() == types.MethodVal && takesAddress(sel) {
				mark(n.X)
			}
		case *ast.RangeStmt:
			if t := info.TypeOf(n.X); t != nil && isTypeParam(t) {
				mark(n.X)
			}
		}
		return true
	}
	ast.Inspect(body, visit)
}

func isTypeParam(t types.Type) bool {
	_, ok := types.Unalias(t).(*types.TypeParam)
	return ok
}

// rootVariable returns the variable that holds the memory of an addressable
// expression, if it is not behind a pointer.
func rootVariable(info *types.Info, e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			if _, ok := info.Selections[x]; !ok || isPointer(info.TypeOf(x.X)) {
				return nil
			}
			e = x.X
		case *ast.IndexExpr:
			if _, ok := info.TypeOf(x.X).Underlying().(*types.Array); !ok && !isTypeParam(info.TypeOf(x.X)) {
				return nil
			}
			e = x.X
		default:
			return nil
		}
	}
}

// hasDefer reports whether a body defers calls, apart from its function
// literals.
func hasDefer(body ast.Node) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.DeferStmt:
			found = true
		}
		return !found
	})
	return found
}

func isPointer(t types.Type) bool {
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

// takesAddress reports whether a method call or value uses the address of its
// operand as the receiver.
func takesAddress(sel *types.Selection) bool {
	if isPointer(sel.Recv()) {
		return false
	}
	return isTypeParam(sel.Recv()) || isPointer(sel.Obj().(*types.Func).Signature().Recv().Type())
}
