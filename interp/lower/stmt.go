package lower

import (
	"go/ast"
	"go/token"
	"go/types"
	"unsafe"

	"loris/interp/native"
	"loris/interp/run"
)

// ctl says how a statement ended.
type ctl uint8

const (
	next      ctl = iota
	breaks        // to the statement that Frame.Label names, or the innermost if 0
	continues     // likewise
	returns
	jumps // goto the label in Frame.Label
)

// step is a statement ready to run.
type step func(f *frame) ctl

func nothing(*frame) ctl { return next }

func simply(run func(*frame)) step {
	return func(f *frame) ctl {
		run(f)
		return next
	}
}

// block compiles a list of statements.
func (c *compiler) block(list []ast.Stmt) step {
	steps := make([]step, 0, len(list))
	positions := make([]int32, 0, len(list))
	labels := map[int32]int{}
	for _, s := range list {
		for {
			l, ok := s.(*ast.LabeledStmt)
			if !ok {
				break
			}
			labels[c.label(c.info.Defs[l.Label].(*types.Label))] = len(steps)
			if isLoop(l.Stmt) {
				break
			}
			s = l.Stmt
		}
		if _, ok := s.(*ast.EmptyStmt); ok {
			continue
		}
		steps = append(steps, c.stmt(s))
		positions = append(positions, int32(s.Pos()))
	}
	if len(labels) > 0 {
		return jumpable(steps, positions, labels)
	}
	return sequence(steps, positions)
}

func isLoop(s ast.Stmt) bool {
	switch s.(type) {
	case *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt, *ast.BlockStmt, *ast.IfStmt:
		return true
	}
	return false
}

func sequence(steps []step, positions []int32) step {
	switch len(steps) {
	case 0:
		return nothing
	case 1:
		a, p := steps[0], positions[0]
		return func(f *frame) ctl {
			f.Pos = p
			return a(f)
		}
	case 2:
		a, p, b, q := steps[0], positions[0], steps[1], positions[1]
		return func(f *frame) ctl {
			f.Pos = p
			if r := a(f); r != next {
				return r
			}
			f.Pos = q
			return b(f)
		}
	}
	return func(f *frame) ctl {
		for i, s := range steps {
			f.Pos = positions[i]
			if r := s(f); r != next {
				return r
			}
		}
		return next
	}
}

// jumpable is a block with labels: goto continues at the labelled statement.
func jumpable(steps []step, positions []int32, labels map[int32]int) step {
	return func(f *frame) ctl {
		for i := 0; i < len(steps); {
			f.Pos = positions[i]
			r := steps[i](f)
			if r == next {
				i++
				continue
			}
			if r == jumps {
				if at, ok := labels[f.Label]; ok {
					f.Check()
					i = at
					continue
				}
			}
			return r
		}
		return next
	}
}

func (c *compiler) label(l *types.Label) int32 {
	if n, ok := c.labels[l]; ok {
		return n
	}
	*c.nlabels++
	c.labels[l] = *c.nlabels
	return *c.nlabels
}

// stmt compiles one statement.
func (c *compiler) stmt(s ast.Stmt) step {
	c.pos = s.Pos()
	switch s := s.(type) {
	case *ast.ExprStmt:
		return simply(c.discarded(s.X))
	case *ast.AssignStmt:
		return c.assignInOrder(s.Tok, s.Lhs, s.Rhs, func() step { return c.assign(s) })
	case *ast.IncDecStmt:
		return c.incDec(s)
	case *ast.DeclStmt:
		return c.declStmt(s.Decl.(*ast.GenDecl))
	case *ast.BlockStmt:
		return c.block(s.List)
	case *ast.IfStmt:
		return c.ifStmt(s)
	case *ast.ForStmt:
		return c.forStmt(s, 0)
	case *ast.RangeStmt:
		return c.rangeStmt(s, 0)
	case *ast.SwitchStmt:
		return c.switchStmt(s, 0)
	case *ast.TypeSwitchStmt:
		return c.typeSwitch(s, 0)
	case *ast.SelectStmt:
		return c.selectStmt(s, 0)
	case *ast.LabeledStmt:
		return c.labeled(s)
	case *ast.BranchStmt:
		return c.branch(s)
	case *ast.ReturnStmt:
		return c.inOrder(s.Results, func() step { return c.returnStmt(s) })
	case *ast.DeferStmt:
		return c.deferStmt(s.Call)
	case *ast.GoStmt:
		return c.goStmt(s.Call)
	case *ast.SendStmt:
		return c.inOrder([]ast.Expr{s.Chan, s.Value}, func() step { return c.send(s) })
	case *ast.EmptyStmt:
		return nothing
	case *plainStatement:
		return s.step
	case *definition:
		return c.assignInOrder(token.ASSIGN, s.lhs, s.rhs, func() step { return c.defineGlobals(s) })
	case *shownValue:
		return c.inOrder([]ast.Expr{s.X}, func() step { return c.showValue(s.X, s.out) })
	}
	c.fail(s.Pos(), "unexpected statement")
	panic(0)
}

func (c *compiler) labeled(s *ast.LabeledStmt) step {
	l := c.label(c.info.Defs[s.Label].(*types.Label))
	switch inner := s.Stmt.(type) {
	case *ast.ForStmt:
		return c.forStmt(inner, l)
	case *ast.RangeStmt:
		return c.rangeStmt(inner, l)
	case *ast.SwitchStmt:
		return c.switchStmt(inner, l)
	case *ast.TypeSwitchStmt:
		return c.typeSwitch(inner, l)
	case *ast.SelectStmt:
		return c.selectStmt(inner, l)
	}
	return breakable(c.stmt(s.Stmt), l)
}

// breakable ends a break that names the label.
func breakable(body step, l int32) step {
	return func(f *frame) ctl {
		r := body(f)
		if r == breaks && f.Label == l {
			f.Label = 0
			return next
		}
		return r
	}
}

// discarded evaluates an expression for its effect.
func (c *compiler) discarded(e ast.Expr) func(*frame) {
	v := c.expr(e)
	if v.run != nil {
		return v.run
	}
	m := v.store()
	s := c.temporary(v.rt)
	prep, addr := s.prepare(), s.address()
	return func(f *frame) { prep(f); m(f, addr(f)) }
}

func (c *compiler) declStmt(d *ast.GenDecl) step {
	if d.Tok != token.VAR {
		return nothing
	}
	var steps []step
	var positions []int32
	for _, spec := range d.Specs {
		vs := spec.(*ast.ValueSpec)
		lhs := make([]ast.Expr, len(vs.Names))
		for i, n := range vs.Names {
			lhs[i] = n
		}
		if len(vs.Values) == 0 {
			for _, n := range vs.Names {
				if v, ok := c.info.Defs[n].(*types.Var); ok && n.Name != "_" {
					_, zero := c.declare(v)
					steps = append(steps, simply(zero))
					positions = append(positions, int32(n.Pos()))
				}
			}
			continue
		}
		steps = append(steps, c.assignInOrder(token.ASSIGN, lhs, vs.Values, func() step { return c.define(lhs, vs.Values) }))
		positions = append(positions, int32(vs.Pos()))
	}
	return sequence(steps, positions)
}

func (c *compiler) ifStmt(s *ast.IfStmt) step {
	init := nothing
	if s.Init != nil {
		init = c.stmt(s.Init)
	}
	cond := c.condition(s.Cond)
	then := c.block(s.Body.List)
	var other step = nothing
	if s.Else != nil {
		other = c.stmt(s.Else)
	}
	if s.Init == nil {
		return func(f *frame) ctl {
			if cond(f) {
				return then(f)
			}
			return other(f)
		}
	}
	return func(f *frame) ctl {
		init(f)
		if cond(f) {
			return then(f)
		}
		return other(f)
	}
}

// forStmt compiles a three-clause loop. A variable that lives in an object of
// its own is a new one in each iteration.
func (c *compiler) forStmt(s *ast.ForStmt, l int32) step {
	init := nothing
	var fresh []slot
	if s.Init != nil {
		init = c.stmt(s.Init)
		if a, ok := s.Init.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
			for _, x := range a.Lhs {
				if v, ok := c.info.Defs[x.(*ast.Ident)].(*types.Var); ok {
					if sl, ok := c.vars[v]; ok && sl.boxed {
						fresh = append(fresh, sl)
					}
				}
			}
		}
	}
	var cond func(*frame) bool
	if s.Cond != nil {
		cond = c.condition(s.Cond)
	}
	post := nothing
	if s.Post != nil {
		post = c.stmt(s.Post)
	}
	body := c.block(s.Body.List)
	pos := int32(s.Pos())
	return func(f *frame) ctl {
		init(f)
		for cond == nil || cond(f) {
			if r := body(f); r != next {
				if out, again := loopEnd(f, r, l); !again {
					return out
				}
			}
			if f.Thread.Stop.Load() != 0 {
				f.Check()
			}
			for _, sl := range fresh {
				old := *(*unsafe.Pointer)(f.At(sl.off))
				p := native.New(sl.t)
				native.Move(sl.t, p, old)
				*(*unsafe.Pointer)(f.At(sl.off)) = p
			}
			f.Pos = pos
			post(f)
		}
		return next
	}
}

// loopEnd decides what the end of a loop's body means: another iteration, or
// what the loop itself ends with.
func loopEnd(f *frame, r ctl, l int32) (out ctl, again bool) {
	if (r == continues || r == breaks) && (f.Label == 0 || f.Label == l) {
		f.Label = 0
		return next, r == continues
	}
	return r, false
}

func (c *compiler) branch(s *ast.BranchStmt) step {
	l := int32(0)
	if s.Label != nil {
		l = c.label(c.info.Uses[s.Label].(*types.Label))
	}
	r := map[token.Token]ctl{token.BREAK: breaks, token.CONTINUE: continues, token.GOTO: jumps}[s.Tok]
	if s.Tok == token.FALLTHROUGH {
		return nothing // the switch handles it
	}
	return func(f *frame) ctl {
		f.Label = l
		return r
	}
}

func (c *compiler) returnStmt(s *ast.ReturnStmt) step {
	results := c.results
	sig := c.sig
	if len(s.Results) == 0 {
		return func(*frame) ctl { return returns }
	}
	put := func(i int, v value) func(*frame) {
		v = c.convert(v, c.subst(sig.Results().At(i).Type()))
		if !results[i].boxed {
			return v.storeLocal(results[i].off)
		}
		st, addr := v.store(), results[i].address()
		return func(f *frame) {
			// Evaluated before the place is read: the value may replace it.
			st(f, addr(f))
		}
	}
	if len(s.Results) == 1 && len(results) == 1 {
		set := put(0, c.exprTo(s.Results[0], sig.Results().At(0).Type()))
		return func(f *frame) ctl {
			set(f)
			return returns
		}
	}
	var first func(*frame)
	var vals []value
	if len(s.Results) == 1 {
		v := c.expr(s.Results[0])
		first, vals = v.run, v.many
	} else {
		var saves []func(*frame)
		for i, e := range s.Results {
			save, v := c.saved(c.exprTo(e, sig.Results().At(i).Type()))
			saves = append(saves, save)
			vals = append(vals, v)
		}
		first = func(f *frame) {
			for _, save := range saves {
				save(f)
			}
		}
	}
	sets := make([]func(*frame), len(vals))
	for i, v := range vals {
		sets[i] = put(i, v)
	}
	return func(f *frame) ctl {
		first(f)
		for _, set := range sets {
			set(f)
		}
		return returns
	}
}

// goStmt evaluates the function and its arguments now and calls it on a new
// goroutine.
func (c *compiler) goStmt(e *ast.CallExpr) step {
	prepare := c.deferredInOrder(e)
	return func(f *frame) ctl {
		call := prepare(f)
		f.Thread.Go(func(th *run.Thread) { call(th, nil) })
		return next
	}
}

func (c *compiler) deferStmt(e *ast.CallExpr) step {
	prepare := c.deferredInOrder(e)
	return func(f *frame) ctl {
		f.Defer(prepare(f))
		return next
	}
}
