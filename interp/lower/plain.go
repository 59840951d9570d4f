package lower

import (
	"go/ast"
	"go/token"
	"go/types"
	"reflect"

	"loris/interp/check"
	"loris/interp/native"
	"loris/interp/plain"
	"loris/interp/run"
)

// plainStatement is a statement of a cell that yaegi runs; see package plain.
type plainStatement struct {
	ast.Stmt
	index int
	pos   token.Pos // of its call, if it has one
	run   []func()  // of the whole cell, filled in once all statements are known
}

// takePlain replaces the plain statements of a cell by ones that yaegi runs.
// A statement that yaegi then refuses to compile is left to the compiler.
func (p *Program) takePlain(cell *check.Cell, list []ast.Stmt, out *Cell) {
	batch := p.plain.NewBatch(cellPackage(cell), cell.Info, plainNames{p})
	taken := map[int]*plainStatement{}
	var shown *Result
	for i, s := range list {
		var index int
		var ok bool
		switch s := s.(type) {
		case *definition:
			index, ok = batch.Define(s.lhs, s.rhs)
		case *shownValue:
			var r Result
			if index, r, ok = p.plainValue(batch, cell.Info, s.X); ok && r.RT != nil {
				shown = &r
			}
		default:
			index, ok = batch.Statement(s)
		}
		if ok {
			taken[i] = &plainStatement{Stmt: s, index: index, pos: batch.Pos(index)}
		}
	}
	run, err := batch.Compile()
	if err != nil {
		return
	}
	for i, s := range taken {
		s.run = run
		list[i] = s
	}
	if shown != nil {
		out.Results = append(out.Results, *shown)
	}
}

// plainValue takes the last expression of a cell; a call without a result has
// no Result.
func (p *Program) plainValue(batch *plain.Batch, info *types.Info, e ast.Expr) (int, Result, bool) {
	tv := info.Types[e]
	if tv.IsVoid() {
		index, ok := batch.Statement(&ast.ExprStmt{X: e})
		return index, Result{}, ok
	}
	// go/types has computed constants already.
	if _, many := tv.Type.(*types.Tuple); many || tv.IsNil() || tv.Value != nil {
		return 0, Result{}, false
	}
	t := types.Default(tv.Type)
	if !p.plainType(t) {
		return 0, Result{}, false
	}
	rt := p.Types.Of(t)
	r := Result{t, rt, native.New(rt), isStatus(e, t)}
	index, ok := batch.Value(e, reflect.NewAt(rt.Reflect(), r.Ptr))
	return index, r, ok
}

// plainType spares the making of run-time types for what is not plain anyway.
func (p *Program) plainType(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Pointer:
		return p.plainType(t.Elem())
	case *types.Slice:
		return p.plainType(t.Elem())
	case *types.Named, *types.Basic:
		return true
	}
	return false
}

func (s *plainStatement) step(f *frame) ctl {
	if s.pos.IsValid() {
		f.Pos = int32(s.pos)
	}
	s.run[s.index]()
	f.Check()
	return next
}

// plainNames gives yaegi the memory and functions that cells name.
type plainNames struct{ p *Program }

func (n plainNames) Variable(v *types.Var) reflect.Value {
	g := n.p.Global(v)
	return reflect.NewAt(g.Type.Reflect(), g.Ptr)
}

func (n plainNames) Running(pos int) {
	if th := run.Current(); th != nil {
		th.At(int32(pos))
	}
}

func (n plainNames) Method(f *types.Func) bool { return n.p.Special[f.FullName()] == nil }

func (n plainNames) Function(f *types.Func) (reflect.Value, bool) {
	fn, err := n.p.Packages.Symbol(f.Pkg().Path(), f.Name())
	if err != nil || fn.Kind() != reflect.Func {
		return reflect.Value{}, false
	}
	if special, ok := n.p.Special[f.FullName()]; ok {
		fn = reflect.MakeFunc(fn.Type(), func(args []reflect.Value) []reflect.Value {
			return special(run.Current(), args)
		})
	}
	return fn, true
}

// PlainStatements counts the statements that yaegi has run.
func (p *Program) PlainStatements() int64 { return p.plain.Executed() }

// cellPackage is the package that all cells share: that of anything the cell
// defines, and it always defines the function of its statements.
func cellPackage(cell *check.Cell) *types.Package {
	for _, o := range cell.Info.Defs {
		if o != nil && o.Pkg() != nil {
			return o.Pkg()
		}
	}
	return nil
}
