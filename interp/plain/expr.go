package plain

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"math"
	"strconv"
	"strings"
)

// stmt writes a statement for yaegi, if it is plain.
func (b *Batch) stmt(s ast.Stmt) (string, bool) {
	switch s := s.(type) {
	case *ast.ExprStmt:
		call, ok := ast.Unparen(s.X).(*ast.CallExpr)
		if !ok {
			return "", false
		}
		return b.call(call)
	case *ast.AssignStmt:
		if s.Tok != token.ASSIGN {
			return b.update(s)
		}
		return b.assign(s.Lhs, s.Rhs)
	case *ast.IncDecStmt:
		x, t, ok := b.target(s.X)
		if !ok || !isArithmetic(t) {
			return "", false
		}
		return x + s.Tok.String(), true
	}
	return "", false
}

// assign writes the assignment of one expression or one call's results. Several
// right-hand sides have an order of evaluation that is not yaegi's.
func (b *Batch) assign(lhs, rhs []ast.Expr) (string, bool) {
	if len(rhs) != 1 {
		return "", false
	}
	value, ok := b.outer(rhs[0])
	if !ok {
		return "", false
	}
	results := []types.Type{b.info.TypeOf(rhs[0])}
	if tuple, ok := results[0].(*types.Tuple); ok {
		results = results[:0]
		for v := range tuple.Variables() {
			results = append(results, v.Type())
		}
	}
	if len(results) != len(lhs) {
		return "", false
	}
	left := make([]string, len(lhs))
	for i, e := range lhs {
		if id, ok := e.(*ast.Ident); ok && id.Name == "_" {
			left[i] = "_"
			continue
		}
		x, t, ok := b.target(e)
		if !ok || !types.Identical(t, results[i]) {
			return "", false
		}
		left[i] = x
	}
	return strings.Join(left, ", ") + " = " + value, true
}

// update writes x op= y on a basic type.
func (b *Batch) update(s *ast.AssignStmt) (string, bool) {
	switch s.Tok {
	case token.ADD_ASSIGN, token.SUB_ASSIGN, token.MUL_ASSIGN:
	default:
		return "", false
	}
	x, t, ok := b.target(s.Lhs[0])
	if !ok || !isArithmetic(t) && !(s.Tok == token.ADD_ASSIGN && isString(t)) {
		return "", false
	}
	y, ok := b.expr(s.Rhs[0])
	if !ok || !types.Identical(t, b.info.TypeOf(s.Rhs[0])) {
		return "", false
	}
	return x + " " + s.Tok.String() + " " + y, true
}

// target writes a variable that is assigned to.
func (b *Batch) target(e ast.Expr) (string, types.Type, bool) {
	id, ok := e.(*ast.Ident)
	if !ok {
		return "", nil, false
	}
	v, ok := b.info.ObjectOf(id).(*types.Var)
	if !ok || !b.global(v) {
		return "", nil, false
	}
	return b.variable(v), v.Type(), true
}

// global reports whether v is a variable of the session of a compiled type.
func (b *Batch) global(v *types.Var) bool {
	return v.Pkg() == b.pkg && v.Parent() == b.pkg.Scope() && b.compiled(v.Type())
}

// compiled reports whether a type and all it is made of come from compiled
// packages, and is one whose values yaegi passes on untouched.
func (b *Batch) compiled(t types.Type) bool {
	switch t := t.(type) {
	case *types.Basic:
		return t.Info()&types.IsUntyped == 0 && t.Kind() != types.UnsafePointer
	case *types.Named:
		return t.Obj().Pkg() != b.pkg && t.TypeArgs().Len() == 0
	case *types.Alias:
		return b.compiled(types.Unalias(t))
	case *types.Pointer:
		return b.compiled(t.Elem())
	case *types.Slice:
		return b.compiled(t.Elem())
	case *types.Map:
		return b.compiled(t.Key()) && b.compiled(t.Elem())
	case *types.Interface:
		return t.Empty()
	}
	return false
}

// expr writes an expression. Its value has a compiled type.
func (b *Batch) expr(e ast.Expr) (string, bool) {
	tv := b.info.Types[e]
	if tv.Value != nil {
		return literal(tv.Type, tv.Value)
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		x, ok := b.expr(e.X)
		return "(" + x + ")", ok
	case *ast.Ident:
		v, ok := b.info.Uses[e].(*types.Var)
		if !ok || !b.global(v) {
			return "", false
		}
		return "(" + b.variable(v) + ")", true
	case *ast.CallExpr:
		return b.inner(e)
	case *ast.BinaryExpr:
		return b.binary(e)
	case *ast.UnaryExpr:
		x, ok := b.expr(e.X)
		t := b.info.TypeOf(e.X)
		if e.Op == token.NOT && isBool(t) || e.Op == token.SUB && isArithmetic(t) {
			return "(" + e.Op.String() + x + ")", ok
		}
	}
	return "", false
}

func (b *Batch) binary(e *ast.BinaryExpr) (string, bool) {
	t := b.info.TypeOf(e.X)
	if !types.Identical(t, b.info.TypeOf(e.Y)) {
		return "", false
	}
	switch e.Op {
	case token.ADD:
		if !isArithmetic(t) && !isString(t) {
			return "", false
		}
	case token.SUB, token.MUL:
		if !isArithmetic(t) {
			return "", false
		}
	case token.LSS, token.LEQ, token.GTR, token.GEQ, token.EQL, token.NEQ:
		if !isArithmetic(t) && !isString(t) || !isBool(b.info.TypeOf(e)) {
			return "", false
		}
	default: // a division may panic, a shift has its own rules
		return "", false
	}
	x, ok := b.expr(e.X)
	if !ok {
		return "", false
	}
	y, ok := b.expr(e.Y)
	return "(" + x + " " + e.Op.String() + " " + y + ")", ok
}

// outer writes the expression that is all of a statement's right side.
func (b *Batch) outer(e ast.Expr) (string, bool) {
	if call, ok := ast.Unparen(e).(*ast.CallExpr); ok && b.info.Types[call].Value == nil {
		return b.call(call)
	}
	return b.expr(e)
}

// inner writes a call inside of an expression: ahead of the expression, with
// its place, so that a panic shows which of the calls failed.
func (b *Batch) inner(e *ast.CallExpr) (string, bool) {
	src, ok := b.call(e)
	if !ok {
		return "", false
	}
	if _, ok := b.info.TypeOf(e).(*types.Tuple); ok {
		return "", false
	}
	name := "t" + strconv.Itoa(len(b.current.before))
	b.current.before = append(b.current.before, b.running(b.current.last)+name+" := "+src)
	return name, true
}

// call writes the call of a compiled function, or of a method with a pointer
// receiver on a pointer.
func (b *Batch) call(e *ast.CallExpr) (string, bool) {
	sel, ok := ast.Unparen(e.Fun).(*ast.SelectorExpr)
	if !ok || e.Ellipsis.IsValid() {
		return "", false
	}
	f, ok := b.info.Uses[sel.Sel].(*types.Func)
	if !ok || f.Pkg() == nil || f.Pkg() == b.pkg {
		return "", false
	}
	sig := f.Signature()
	if sig.TypeParams().Len() > 0 || sig.RecvTypeParams().Len() > 0 {
		return "", false
	}
	for v := range sig.Results().Variables() {
		if !b.compiled(v.Type()) {
			return "", false
		}
	}
	var fun string
	if sig.Recv() == nil {
		fun, ok = b.function(f)
	} else {
		fun, ok = b.method(sel, sig)
	}
	if !ok {
		return "", false
	}
	args, ok := b.arguments(e.Args, sig)
	b.current.last = sel.Sel.Pos()
	if !b.current.first.IsValid() {
		b.current.first = b.current.last
	}
	return fun + "(" + args + ")", ok
}

func (b *Batch) method(sel *ast.SelectorExpr, sig *types.Signature) (string, bool) {
	s := b.info.Selections[sel]
	if s == nil || s.Kind() != types.MethodVal || len(s.Index()) != 1 || !sel.Sel.IsExported() {
		return "", false
	}
	if _, ok := types.Unalias(sig.Recv().Type()).(*types.Pointer); !ok || !b.names.Method(s.Obj().(*types.Func)) {
		return "", false
	}
	if _, ok := types.Unalias(s.Recv()).(*types.Pointer); !ok || !b.compiled(s.Recv()) {
		return "", false
	}
	x, ok := b.expr(sel.X)
	return x + "." + sel.Sel.Name, ok
}

func (b *Batch) arguments(args []ast.Expr, sig *types.Signature) (string, bool) {
	list := make([]string, len(args))
	for i, a := range args {
		t := b.info.TypeOf(a)
		var param types.Type
		switch n := sig.Params().Len(); {
		case sig.Variadic() && i >= n-1:
			param = sig.Params().At(n - 1).Type().(*types.Slice).Elem()
		case i < n:
			param = sig.Params().At(i).Type()
		default: // one call with several results
			return "", false
		}
		src, ok := b.expr(a)
		if !ok || !b.compiled(t) {
			return "", false
		}
		// A value goes into an interface as it is; from one interface to another
		// yaegi would have to convert.
		if !types.Identical(t, param) && (!types.IsInterface(param) || types.IsInterface(t)) {
			return "", false
		}
		list[i] = src
	}
	return strings.Join(list, ", "), true
}

// literal writes a constant of a basic type with its type.
func literal(t types.Type, v constant.Value) (string, bool) {
	basic, ok := types.Unalias(types.Default(t)).(*types.Basic)
	if !ok {
		return "", false
	}
	switch {
	case basic.Info()&types.IsBoolean != 0:
		return strconv.FormatBool(constant.BoolVal(v)), true
	case basic.Info()&types.IsString != 0:
		return strconv.Quote(constant.StringVal(v)), true
	case basic.Info()&types.IsInteger != 0:
		i := constant.ToInt(v)
		if i.Kind() != constant.Int {
			return "", false
		}
		return basic.Name() + "(" + i.ExactString() + ")", true
	case basic.Kind() == types.Float64:
		f, _ := constant.Float64Val(v)
		return float(basic, f, 64)
	case basic.Kind() == types.Float32:
		f, _ := constant.Float32Val(v)
		return float(basic, float64(f), 32)
	}
	return "", false
}

func float(t *types.Basic, f float64, bits int) (string, bool) {
	if math.IsInf(f, 0) || math.Abs(f) > 1e300 { // yaegi folds what it reads
		return "", false
	}
	return t.Name() + "(" + strconv.FormatFloat(f, 'g', -1, bits) + ")", true
}

func basicKind(t types.Type) types.BasicKind {
	if b, ok := types.Unalias(t).(*types.Basic); ok {
		return b.Kind()
	}
	return types.Invalid
}

// isArithmetic reports whether yaegi's + - * and comparisons on t are Go's.
func isArithmetic(t types.Type) bool {
	k := basicKind(t)
	return k == types.Int || k == types.Int64 || k == types.Float64
}

func isString(t types.Type) bool { return basicKind(t) == types.String }

func isBool(t types.Type) bool {
	k := basicKind(t)
	return k == types.Bool || k == types.UntypedBool
}
