package lower

import (
	"go/ast"

	"go/types"
	"reflect"
	"runtime"
	"unsafe"

	"loris/interp/native"
)

// spins is how often a channel operation lets others run before it waits, which
// costs more since it must also watch for an interrupt.
const spins = 3

// wait receives from a channel, or ends the goroutine when it is interrupted.
func wait(f *frame, ch reflect.Value) (reflect.Value, bool) {
	if !ch.IsNil() {
		for range spins {
			if v, ok := ch.TryRecv(); v.IsValid() {
				return v, ok
			}
			runtime.Gosched()
		}
	}
	done := reflect.ValueOf(f.Thread.Task.Done())
	i, v, ok := reflect.Select([]reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: ch}, {Dir: reflect.SelectRecv, Chan: done}})
	if i == 1 {
		f.Thread.Stop.Store(1)
	}
	f.Check()
	return v, ok
}

func (c *compiler) chanOf(e ast.Expr) (ch func(*frame) reflect.Value, elem types.Type) {
	x := c.expr(e)
	t := x.typ.Underlying().(*types.Chan)
	m := x.memory()
	rt := x.rt
	return func(f *frame) reflect.Value { return native.Value(rt, m(f)) }, t.Elem()
}

func (c *compiler) receive(e *ast.UnaryExpr, _ bool) value {
	ch, t := c.chanOf(e.X)
	rt := c.rtype(t)
	v := c.pointerResult(t, func(f *frame) unsafe.Pointer {
		p := native.New(rt)
		r, _ := wait(f, ch(f))
		native.Value(rt, p).Set(r)
		return p
	})
	return v
}

func (c *compiler) receiveOK(e *ast.UnaryExpr) (types.Type, func(f *frame, dst unsafe.Pointer) bool) {
	ch, t := c.chanOf(e.X)
	rt := c.rtype(t)
	return t, func(f *frame, dst unsafe.Pointer) bool {
		r, ok := wait(f, ch(f))
		native.Value(rt, dst).Set(r)
		return ok
	}
}

func (c *compiler) send(s *ast.SendStmt) step {
	ch, t := c.chanOf(s.Chan)
	save, v := c.saved(c.exprTo(s.Value, t))
	m, rt := v.memory(), v.rt
	return func(f *frame) ctl {
		q := ch(f)
		save(f)
		x := native.Value(rt, m(f))
		sendOn(f, q, x)
		return next
	}
}

func sendOn(f *frame, ch, x reflect.Value) {
	if !ch.IsNil() {
		for range spins {
			if ch.TrySend(x) {
				return
			}
			runtime.Gosched()
		}
	}
	done := reflect.ValueOf(f.Thread.Task.Done())
	i, _, _ := reflect.Select([]reflect.SelectCase{{Dir: reflect.SelectSend, Chan: ch, Send: x}, {Dir: reflect.SelectRecv, Chan: done}})
	if i == 1 {
		f.Thread.Stop.Store(1)
	}
	f.Check()
}

// selectStmt evaluates all channels and values to send in source order, waits,
// and runs the clause that was chosen.
func (c *compiler) selectStmt(s *ast.SelectStmt, l int32) step {
	type clause struct {
		dir  reflect.SelectDir
		ch   func(*frame) reflect.Value
		save func(*frame)
		val  func(*frame) reflect.Value
		recv func(*frame, reflect.Value, bool)
		body step
	}
	clauses := make([]clause, len(s.Body.List))
	hasDefault := false
	for i, cc := range s.Body.List {
		cc := cc.(*ast.CommClause)
		cl := &clauses[i]
		switch comm := cc.Comm.(type) {
		case nil:
			cl.dir = reflect.SelectDefault
			hasDefault = true
		case *ast.SendStmt:
			var t types.Type
			cl.dir = reflect.SelectSend
			cl.ch, t = c.chanOf(comm.Chan)
			save, v := c.saved(c.exprTo(comm.Value, t))
			m, rt := v.memory(), v.rt
			cl.save = save
			cl.val = func(f *frame) reflect.Value { return native.Value(rt, m(f)) }
		case *ast.ExprStmt:
			cl.dir = reflect.SelectRecv
			cl.ch, _ = c.chanOf(ast.Unparen(comm.X).(*ast.UnaryExpr).X)
		case *ast.AssignStmt:
			cl.dir = reflect.SelectRecv
			var t types.Type
			cl.ch, t = c.chanOf(ast.Unparen(comm.Rhs[0]).(*ast.UnaryExpr).X)
			cl.recv = c.received(comm, t)
		}
		cl.body = c.block(cc.Body)
	}
	pos := int32(s.Pos())
	return func(f *frame) ctl {
		f.Pos = pos
		cases := make([]reflect.SelectCase, len(clauses), len(clauses)+1)
		for i := range clauses {
			cl := &clauses[i]
			cases[i].Dir = cl.dir
			if cl.ch != nil {
				cases[i].Chan = reflect.ValueOf(cl.ch(f).Interface())
			}
			if cl.save != nil {
				cl.save(f)
				cases[i].Send = cl.val(f)
			}
		}
		if !hasDefault {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(f.Thread.Task.Done())})
		}
		k, v, ok := reflect.Select(cases)
		if k == len(clauses) {
			f.Thread.Stop.Store(1)
		}
		f.Check()
		cl := &clauses[k]
		if cl.recv != nil {
			cl.recv(f, v, ok)
		}
		return switchEnd(f, cl.body(f), l)
	}
}

// received stores what a select clause received.
func (c *compiler) received(s *ast.AssignStmt, t types.Type) func(*frame, reflect.Value, bool) {
	rt := c.rtype(t)
	tmp := c.temporary(rt)
	prep, addr := tmp.prepare(), tmp.address()
	okSlot := c.layout.Place(c.rtype(types.Typ[types.Bool]))
	t0 := c.target(s.Lhs[0], t)
	put0 := c.convert(c.slotValue(t, tmp), t0.typ).store()
	var t1 target
	var put1 func(*frame, unsafe.Pointer)
	if len(s.Lhs) > 1 {
		t1 = c.target(s.Lhs[1], types.Typ[types.Bool])
		put1 = c.convert(value{typ: types.Typ[types.Bool], rt: c.rtype(types.Typ[types.Bool]), local: true, off: okSlot}, t1.typ).store()
	}
	return func(f *frame, v reflect.Value, ok bool) {
		prep(f)
		native.Value(rt, addr(f)).Set(v)
		*(*bool)(f.At(okSlot)) = ok
		t0.prepare(f)
		t0.set(f, put0)
		if put1 != nil {
			t1.prepare(f)
			t1.set(f, put1)
		}
	}
}

// switchEnd ends an unlabelled break, or one that names the statement.
func switchEnd(f *frame, r ctl, l int32) ctl {
	if r == breaks && (f.Label == 0 || f.Label == l) {
		f.Label = 0
		return next
	}
	return r
}
