package lower

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"

	"loris/interp/native"
)

// switchStmt compiles an expression switch.
func (c *compiler) switchStmt(s *ast.SwitchStmt, l int32) step {
	init := nothing
	if s.Init != nil {
		init = c.stmt(s.Init)
	}
	save := func(*frame) {}
	var tag value
	if s.Tag != nil {
		first := c.evaluateAhead(s.Tag)
		v := c.expr(s.Tag)
		if v.con != nil {
			v = c.constant(types.Default(v.typ), v.con)
		}
		t := v
		t.con = nil // so that it is kept like any value
		save, tag = c.saved(t)
		if first != nil {
			keep := save
			save = func(f *frame) { first(f); keep(f) }
		}
	}
	var bodies []step
	var fall []bool
	var tests []func(*frame) bool
	var targets []int
	dflt := -1
	for i, cc := range s.Body.List {
		cc := cc.(*ast.CaseClause)
		for _, e := range cc.List {
			var test func(*frame) bool
			if s.Tag == nil {
				if t := c.typeOf(e); isInterface(t) {
					yes := c.constant(types.Typ[types.Bool], constant.MakeBool(true))
					test = c.compare(token.EQL, c.convert(yes, t), c.expr(e))
				} else {
					test = c.condition(e)
				}
			} else {
				test = c.caseTest(tag, e)
			}
			tests = append(tests, test)
			targets = append(targets, i)
		}
		if cc.List == nil {
			dflt = i
		}
		bodies = append(bodies, c.block(cc.Body))
		fall = append(fall, fallsThrough(cc.Body))
	}
	table := intTable(c, s, tag)
	return func(f *frame) ctl {
		init(f)
		save(f)
		k := dflt
		if table != nil {
			if i, ok := table(f); ok {
				k = i
			}
		} else {
			for i, test := range tests {
				if test(f) {
					k = targets[i]
					break
				}
			}
		}
		if k < 0 {
			return next
		}
		for {
			r := bodies[k](f)
			if r == next && fall[k] {
				k++
				continue
			}
			return switchEnd(f, r, l)
		}
	}
}

// intTable makes a table of a large switch over integer constants.
func intTable(c *compiler, s *ast.SwitchStmt, tag value) func(*frame) (int, bool) {
	if s.Tag == nil || tag.rt == nil || !isInteger(tag.kind()) || len(s.Body.List) < 6 {
		return nil
	}
	table := map[int64]int{}
	for i, cc := range s.Body.List {
		for _, e := range cc.(*ast.CaseClause).List {
			v := c.info.Types[e].Value
			if v == nil || constant.ToInt(v).Kind() != constant.Int {
				return nil
			}
			if _, dup := table[toInt(v)]; !dup {
				table[toInt(v)] = i
			}
		}
	}
	g := fromNumber[int64](tag)
	return func(f *frame) (int, bool) {
		i, ok := table[g(f)]
		return i, ok
	}
}

func fallsThrough(body []ast.Stmt) bool {
	for i := len(body) - 1; i >= 0; i-- {
		if _, ok := body[i].(*ast.EmptyStmt); ok {
			continue
		}
		b, ok := body[i].(*ast.BranchStmt)
		return ok && b.Tok == token.FALLTHROUGH
	}
	return false
}

func (c *compiler) caseTest(tag value, e ast.Expr) func(*frame) bool {
	if c.info.Types[e].IsNil() {
		return c.compare(token.EQL, tag, c.zero(tag.typ))
	}
	y := c.expr(e)
	x := tag
	switch xi, yi := isInterface(x.typ), isInterface(y.typ); {
	case xi && !yi:
		y = c.convert(y, x.typ)
	case yi && !xi:
		x = c.convert(x, y.typ)
	case y.con != nil:
		y = c.convert(y, x.typ)
	}
	return c.compare(token.EQL, x, y)
}

// typeSwitch compiles a type switch. Each clause has its own variable.
func (c *compiler) typeSwitch(s *ast.TypeSwitchStmt, l int32) step {
	init := nothing
	if s.Init != nil {
		init = c.stmt(s.Init)
	}
	var x ast.Expr
	switch a := s.Assign.(type) {
	case *ast.ExprStmt:
		x = a.X.(*ast.TypeAssertExpr).X
	case *ast.AssignStmt:
		x = a.Rhs[0].(*ast.TypeAssertExpr).X
	}
	v := c.expr(x)
	save, v := c.saved(v)
	g := load[native.Iface](v)
	hit := c.temporary(anyType) // the value in the type of the case
	type clauseTest struct {
		test  func(native.Iface) (native.Iface, bool)
		index int
	}
	var tests []clauseTest
	var bodies []step
	dflt := -1
	for i, cc := range s.Body.List {
		cc := cc.(*ast.CaseClause)
		for _, e := range cc.List {
			test := func(x native.Iface) (native.Iface, bool) { return x, x.Tab == nil }
			if !c.info.Types[e].IsNil() {
				test = c.typeTest(v.rt, c.typeOf(e))
			}
			tests = append(tests, clauseTest{test, i})
		}
		if cc.List == nil {
			dflt = i
		}
		bind := func(*frame) {}
		if obj, ok := c.info.Implicits[cc].(*types.Var); ok {
			bind = c.bindCase(obj, cc, v, hit)
		}
		body := c.block(cc.Body)
		bodies = append(bodies, func(f *frame) ctl { bind(f); return body(f) })
	}
	return func(f *frame) ctl {
		init(f)
		save(f)
		x := g(f)
		k := dflt
		for _, t := range tests {
			if r, ok := t.test(x); ok {
				*(*native.Iface)(f.At(hit.off)) = r
				k = t.index
				break
			}
		}
		if k < 0 {
			return next
		}
		return switchEnd(f, bodies[k](f), l)
	}
}

// bindCase makes the variable of a clause: of the case's type if there is one,
// else of the operand's.
func (c *compiler) bindCase(obj *types.Var, cc *ast.CaseClause, v value, hit slot) func(*frame) {
	val := v
	if len(cc.List) == 1 && !c.info.Types[cc.List[0]].IsNil() {
		off := hit.off
		val = c.unboxed(c.typeOf(cc.List[0]), func(f *frame) native.Iface { return *(*native.Iface)(f.At(off)) })
	}
	s, fresh := c.declare(obj)
	put, addr := c.convert(val, c.subst(obj.Type())).store(), s.address()
	return func(f *frame) {
		fresh(f)
		put(f, addr(f))
	}
}
