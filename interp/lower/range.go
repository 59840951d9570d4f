package lower

import (
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"unicode/utf8"
	"unsafe"

	"loris/interp/native"
	"loris/interp/run"
)

// rangeStmt compiles a range loop over any type.
func (c *compiler) rangeStmt(s *ast.RangeStmt, l int32) step {
	xt := c.typeOf(s.X)
	switch u := xt.Underlying().(type) {
	case *types.Basic:
		if u.Info()&types.IsString != 0 {
			return c.rangeString(s, l)
		}
		return c.rangeInt(s, l)
	case *types.Slice:
		x := c.expr(s.X)
		elem := c.rtype(u.Elem())
		save, v := c.saved(x)
		g := load[native.Slice](v)
		return c.rangeList(s, l, u.Elem(), save, func(f *frame) int { return g(f).Len }, func(f *frame, i int) unsafe.Pointer {
			return unsafe.Add(g(f).Data, uintptr(i)*elem.Size)
		})
	case *types.Array:
		elem, n := c.rtype(u.Elem()), int(u.Len())
		if !c.needsOperand(s) {
			return c.rangeList(s, l, u.Elem(), func(*frame) {}, func(*frame) int { return n }, nil)
		}
		v := c.expr(s.X)
		var save func(*frame)
		if m := v.place; m != nil && (s.Value == nil || isBlank(s.Value)) {
			save = func(f *frame) { m(f) } // only what evaluating it does
		} else {
			save, v = c.saved(v)
		}
		m := v.memory()
		return c.rangeList(s, l, u.Elem(), save, func(*frame) int { return n }, func(f *frame, i int) unsafe.Pointer {
			return unsafe.Add(m(f), uintptr(i)*elem.Size)
		})
	case *types.Pointer:
		a := u.Elem().Underlying().(*types.Array)
		elem, n := c.rtype(a.Elem()), int(a.Len())
		if !c.needsOperand(s) {
			return c.rangeList(s, l, a.Elem(), func(*frame) {}, func(*frame) int { return n }, nil)
		}
		save, v := c.saved(c.expr(s.X))
		m, pos := load[unsafe.Pointer](v), int32(s.X.Pos())
		return c.rangeList(s, l, a.Elem(), save, func(*frame) int { return n }, func(f *frame, i int) unsafe.Pointer {
			p := m(f)
			if p == nil {
				nilDereference(f, pos)
			}
			return unsafe.Add(p, uintptr(i)*elem.Size)
		})
	case *types.Map:
		return c.rangeMap(s, l, u)
	case *types.Chan:
		return c.rangeChan(s, l, u)
	case *types.Signature:
		return c.rangeFunc(s, l, u)
	}
	c.fail(s.Pos(), "cannot range over %s", xt)
	panic(0)
}

// needsOperand reports whether a range over an array evaluates it: not if only
// its length matters and that is constant.
func (c *compiler) needsOperand(s *ast.RangeStmt) bool {
	if s.Value != nil && !isBlank(s.Value) {
		return true
	}
	effects := false
	ast.Inspect(s.X, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			effects = true
		case *ast.UnaryExpr:
			effects = effects || n.Op == token.ARROW
		case *ast.FuncLit:
			return false
		}
		return true
	})
	return effects
}

// rangeTarget stores an iteration value in a loop variable.
func (c *compiler) rangeTarget(e ast.Expr, t types.Type, v value) func(*frame) {
	if e == nil || isBlank(e) {
		return nil
	}
	if nv := c.newVariable(e); nv != nil {
		s, fresh := c.declare(nv)
		val := c.convert(v, c.subst(nv.Type()))
		if !s.boxed {
			return val.storeLocal(s.off)
		}
		put, addr := val.store(), s.address()
		return func(f *frame) {
			fresh(f)
			put(f, addr(f))
		}
	}
	tg := c.target(e, t)
	put := c.convert(v, tg.typ).store()
	return func(f *frame) {
		tg.prepare(f)
		tg.set(f, put)
	}
}

// rangeTargets stores both iteration values. Those of an assignment are stored
// after the operands of both were evaluated.
func (c *compiler) rangeTargets(s *ast.RangeStmt, kt types.Type, k value, vt types.Type, v value) (key, val func(*frame)) {
	if s.Tok == token.ASSIGN && s.Key != nil && s.Value != nil {
		a, b := c.target(s.Key, kt), c.target(s.Value, vt)
		putA, putB := c.convert(k, a.typ).store(), c.convert(v, b.typ).store()
		return func(f *frame) {
			a.prepare(f)
			b.prepare(f)
			a.set(f, putA)
			b.set(f, putB)
		}, nil
	}
	return c.rangeTarget(s.Key, kt, k), c.rangeTarget(s.Value, vt, v)
}

var intRT = native.Of(reflect.TypeFor[int]())

// rangeList loops over an index and the elements at it.
func (c *compiler) rangeList(s *ast.RangeStmt, l int32, elem types.Type, save func(*frame), length func(*frame) int, at func(*frame, int) unsafe.Pointer) step {
	idx := c.layout.Place(intRT)
	key := value{typ: types.Typ[types.Int], rt: intRT, local: true, off: idx}
	var setKey, setVal func(*frame)
	if at == nil {
		setKey = c.rangeTarget(s.Key, types.Typ[types.Int], key)
	} else {
		setKey, setVal = c.rangeTargets(s, types.Typ[types.Int], key, elem, c.at(elem, func(f *frame) unsafe.Pointer { return at(f, *(*int)(f.At(idx))) }))
	}
	body := c.block(s.Body.List)
	pos := int32(s.Pos())
	return func(f *frame) ctl {
		save(f)
		n := length(f)
		for i := 0; i < n; i++ {
			f.Pos = pos
			*(*int)(f.At(idx)) = i
			if setKey != nil {
				setKey(f)
			}
			if setVal != nil {
				setVal(f)
			}
			if r := body(f); r != next {
				if out, again := loopEnd(f, r, l); !again {
					return out
				}
			}
			if f.Thread.Stop.Load() != 0 {
				f.Check()
			}
		}
		return next
	}
}

func (c *compiler) rangeInt(s *ast.RangeStmt, l int32) step {
	v := c.expr(s.X)
	t := types.Default(v.typ)
	if s.Key != nil && !isBlank(s.Key) {
		if nv := c.newVariable(s.Key); nv != nil {
			t = c.subst(nv.Type())
		} else {
			t = c.typeOf(s.Key)
		}
	}
	save, n := c.saved(c.convert(v, t))
	counter := c.temporary(n.rt)
	cv := c.slotValue(t, counter)
	less := c.compare(token.LSS, cv, n)
	setKey := c.rangeTarget(s.Key, t, cv)
	one := c.constant(t, oneConstant)
	inc := c.arith(token.ADD, cv, one, t).storeLocal(counter.off)
	body := c.block(s.Body.List)
	pos := int32(s.Pos())
	rt := n.rt
	return func(f *frame) ctl {
		save(f)
		native.Clear(rt, f.At(counter.off))
		for less(f) {
			f.Pos = pos
			if setKey != nil {
				setKey(f)
			}
			if r := body(f); r != next {
				if out, again := loopEnd(f, r, l); !again {
					return out
				}
			}
			if f.Thread.Stop.Load() != 0 {
				f.Check()
			}
			inc(f)
		}
		return next
	}
}

func (c *compiler) rangeString(s *ast.RangeStmt, l int32) step {
	save, v := c.saved(c.expr(s.X))
	g := load[string](v)
	idx := c.layout.Place(intRT)
	char := c.layout.Place(c.rtype(types.Typ[types.Rune]))
	setKey, setVal := c.rangeTargets(s, types.Typ[types.Int], value{typ: types.Typ[types.Int], rt: intRT, local: true, off: idx},
		types.Typ[types.Rune], value{typ: types.Typ[types.Rune], rt: c.rtype(types.Typ[types.Rune]), local: true, off: char})
	body := c.block(s.Body.List)
	return func(f *frame) ctl {
		save(f)
		str := g(f)
		for i := 0; i < len(str); {
			r, size := utf8.DecodeRuneInString(str[i:])
			*(*int)(f.At(idx)) = i
			*(*rune)(f.At(char)) = r
			if setKey != nil {
				setKey(f)
			}
			if setVal != nil {
				setVal(f)
			}
			i += size
			if r := body(f); r != next {
				if out, again := loopEnd(f, r, l); !again {
					return out
				}
			}
			f.Check()
		}
		return next
	}
}

func (c *compiler) rangeMap(s *ast.RangeStmt, l int32, t *types.Map) step {
	g := load[unsafe.Pointer](c.expr(s.X))
	mt := c.rtype(t).AsMap()
	it := c.layout.Place(wordType)
	key := func(f *frame) unsafe.Pointer { return (*(**native.MapIter)(f.At(it))).Key }
	elem := func(f *frame) unsafe.Pointer { return (*(**native.MapIter)(f.At(it))).Elem }
	setKey, setVal := c.rangeTargets(s, t.Key(), c.at(t.Key(), key), t.Elem(), c.at(t.Elem(), elem))
	body := c.block(s.Body.List)
	pos := int32(s.Pos())
	return func(f *frame) ctl {
		m := g(f)
		for i := native.MapRange(mt, m); i.Key != nil; i.Next() {
			f.Pos = pos
			*(**native.MapIter)(f.At(it)) = i
			if setKey != nil {
				setKey(f)
			}
			if setVal != nil {
				setVal(f)
			}
			if r := body(f); r != next {
				if out, again := loopEnd(f, r, l); !again {
					return out
				}
			}
			f.Check()
		}
		return next
	}
}

func (c *compiler) rangeChan(s *ast.RangeStmt, l int32, t *types.Chan) step {
	save, x := c.saved(c.expr(s.X))
	m, rt := x.memory(), x.rt
	elem := c.rtype(t.Elem())
	tmp := c.temporary(elem)
	prep, addr := tmp.prepare(), tmp.address()
	setKey := c.rangeTarget(s.Key, t.Elem(), c.slotValue(t.Elem(), tmp))
	body := c.block(s.Body.List)
	pos := int32(s.Pos())
	return func(f *frame) ctl {
		save(f)
		for {
			f.Pos = pos
			v, ok := wait(f, native.Value(rt, m(f)))
			if !ok {
				return next
			}
			prep(f)
			native.Value(elem, addr(f)).Set(v)
			if setKey != nil {
				setKey(f)
			}
			if r := body(f); r != next {
				if out, again := loopEnd(f, r, l); !again {
					return out
				}
			}
			f.Check()
		}
	}
}

// loopState is the state of a range over a function: it outlives the loop, so
// that a late call of yield is noticed.
type loopState struct {
	frame   *frame
	end     ctl
	label   int32
	ended   bool // the body asked to stop, or the loop is over
	running bool
	left    bool // the iterator function has returned
	paniced bool
}

// rangeFunc compiles a range over a function: the body becomes the function
// that it yields to. It works on the frame of the surrounding function, so
// that defer, return and branches mean what they say.
func (c *compiler) rangeFunc(s *ast.RangeStmt, l int32, t *types.Signature) step {
	yieldSig := t.Params().At(0).Type().Underlying().(*types.Signature)
	var sets []func(*frame)
	var temps []slot
	targets := []ast.Expr{s.Key, s.Value}
	for i := range yieldSig.Params().Len() {
		pt := c.subst(yieldSig.Params().At(i).Type())
		tmp := c.temporary(c.rtype(pt))
		temps = append(temps, tmp)
		if set := c.rangeTarget(targets[i], pt, c.slotValue(pt, tmp)); set != nil {
			sets = append(sets, set)
		}
	}
	body := c.block(s.Body.List)
	cv := c.p.convention(nil, yieldSig)
	code := run.NewCode(c.name)
	code.Hidden = true
	code.Params, code.Results = cv.params, cv.results
	var lay native.Layout
	lay.Place(run.FrameType)
	for _, sl := range append(append([]run.Slot{}, cv.params...), cv.results...) {
		lay.Place(sl.Type)
	}
	code.Layout = lay.Type()
	code.Body = func(nf *frame) {
		st := (*loopState)(nf.Closure.Captured[0])
		if st.ended || st.running {
			panic(runtimeError(lateYield(st)))
		}
		f := st.frame
		for i, tmp := range temps {
			if tmp.boxed {
				tmp.prepare()(f)
			}
			native.Move(tmp.t, tmp.address()(f), nf.At(cv.params[i].Off))
		}
		st.running = true
		st.paniced = true
		for _, set := range sets {
			set(f)
		}
		r := body(f)
		st.running = false
		st.paniced = false
		more := true
		if r != next {
			out, again := loopEnd(f, r, l)
			if !again {
				st.end, st.label, st.ended, more = out, f.Label, true, false
			}
		}
		f.Check()
		*(*bool)(nf.At(cv.results[0].Off)) = more
	}
	fnValue := c.expr(s.X)
	yieldType := c.rtype(yieldSig).Reflect()
	tmp := c.layout.Place(wordType)
	cl := c.valueCallee(fnValue, t)
	yield := value{typ: yieldSig, rt: c.rtype(yieldSig), local: true, off: tmp}
	call := c.call(cl, []value{yield})
	return func(f *frame) ctl {
		st := &loopState{frame: f}
		yieldClosure := &run.Closure{Code: code, Captured: []unsafe.Pointer{unsafe.Pointer(st)}, Task: f.Thread.Task}
		*(*unsafe.Pointer)(f.At(tmp)) = yieldClosure.Value(yieldType)
		defer func() { st.left, st.ended = true, true }()
		call.run(f)
		if st.paniced {
			panic(runtimeError("range function recovered a loop body panic and did not resume panicking"))
		}
		if st.end != next {
			f.Label = st.label
		}
		return st.end
	}
}

func lateYield(st *loopState) string {
	switch {
	case st.left:
		return "range function continued iteration after whole loop exit"
	case st.paniced:
		return "range function continued iteration after loop body panic"
	}
	return "range function continued iteration after function for loop body returned false"
}
