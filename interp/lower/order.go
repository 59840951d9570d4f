package lower

import (
	"go/ast"
	"go/token"
	"go/types"
	"unsafe"

	"loris/interp/native"
)

// The language leaves open whether x or f() is evaluated first in x + f() or
// g(x, f()); compiled Go calls first and reads variables last. That shows when
// the call changes the variable.

// late reports whether an expression only reads variables that a call may
// change: those of packages and those that closures or pointers reach.
func (c *compiler) late(e ast.Expr) bool {
	reads, pure := false, true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if v, ok := c.info.Uses[n].(*types.Var); ok && !v.IsField() {
				s, local := c.vars[v]
				reads = reads || !local || s.boxed
			}
		case *ast.SelectorExpr:
			if sel, ok := c.info.Selections[n]; ok && (sel.Kind() != types.FieldVal || sel.Indirect()) {
				pure = false
			}
		case *ast.ParenExpr, *ast.BasicLit:
		case *ast.CallExpr: // string(bytes) reads the bytes late
			if !c.textOf(n) {
				pure = false
			}
			reads = true
		case *ast.BinaryExpr:
			if n.Op == token.QUO || n.Op == token.REM || n.Op == token.LAND || n.Op == token.LOR {
				pure = false
			}
		case nil:
		default:
			pure = false
		}
		return pure
	})
	return pure && reads
}

// textOf reports whether a call is a conversion of a variable of bytes or runes
// to a string.
func (c *compiler) textOf(call *ast.CallExpr) bool {
	if !c.info.Types[call.Fun].IsType() {
		return false
	}
	b, text := c.typeOf(call).Underlying().(*types.Basic)
	id, name := ast.Unparen(call.Args[0]).(*ast.Ident)
	if !text || !name || b.Info()&types.IsString == 0 {
		return false
	}
	_, slice := c.typeOf(id).Underlying().(*types.Slice)
	return slice
}

// calls reports whether evaluating an expression calls a function, receives or
// copies elements.
func (c *compiler) calls(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			fun := ast.Unparen(n.Fun)
			switch tv := c.info.Types[fun]; {
			case tv.IsType() || c.info.Types[n].Value != nil:
			case !tv.IsBuiltin():
				found = true
			default:
				id, ok := fun.(*ast.Ident)
				found = found || ok && (id.Name == "copy" || id.Name == "append")
			}
		case *ast.UnaryExpr:
			found = found || n.Op == token.ARROW
		}
		return !found
	})
	return found
}

// lateOperand makes the right operand be evaluated before the left one.
func (c *compiler) lateOperand(x, y value) (value, value) {
	save, y := c.saved(y)
	rt, m := x.rt, x.memory()
	return value{typ: x.typ, rt: rt, place: func(f *frame) unsafe.Pointer {
		save(f)
		if rt.Size == 0 {
			return m(f)
		}
		p := native.New(rt)
		native.Move(rt, p, m(f))
		return p
	}}, y
}

// argumentOrder returns the order in which to evaluate arguments: those that
// only read variables last, if others call.
func (c *compiler) argumentOrder(args []ast.Expr) []int {
	order := make([]int, 0, len(args))
	calling := false
	for _, a := range args {
		calling = calling || c.calls(a)
	}
	var last []int
	for i, a := range args {
		if calling && c.late(a) {
			last = append(last, i)
		} else {
			order = append(order, i)
		}
	}
	return append(order, last...)
}
