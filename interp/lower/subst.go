package lower

import (
	"go/ast"
	"go/types"
	"strconv"
	"strings"

	"loris/interp/native"
)

// typeOf is the type of an expression in this instance.
func (c *compiler) typeOf(e ast.Expr) types.Type {
	t := c.info.TypeOf(e)
	if t == nil {
		if id, ok := e.(*ast.Ident); ok {
			if o := c.info.ObjectOf(id); o != nil {
				t = o.Type()
			}
		}
	}
	if t == nil {
		c.fail(e.Pos(), "expression without a type")
	}
	return c.subst(t)
}

func (c *compiler) rtype(t types.Type) *native.Type { return c.p.rtype(c.subst(t)) }

func (p *Program) rtype(t types.Type) *native.Type { return p.Types.Of(types.Default(t)) }

// subst replaces type parameters by the arguments of this instance.
func (c *compiler) subst(t types.Type) types.Type {
	if len(c.env) == 0 {
		return t
	}
	s := substituter{c: c}
	return s.typ(t)
}

type substituter struct{ c *compiler }

// localKey names a type that is declared in a generic function, in one
// instance of it.
type localKey struct {
	obj  *types.TypeName
	args string
}

func (s substituter) typ(t types.Type) types.Type {
	switch t := t.(type) {
	case nil:
		return nil
	case *types.Alias:
		return s.typ(types.Unalias(t))
	case *types.TypeParam:
		for i := len(s.c.env) - 1; i >= 0; i-- {
			if s.c.env[i].param == t {
				return s.c.env[i].arg
			}
		}
		return t
	case *types.Named:
		return s.named(t)
	case *types.Pointer:
		if e := s.typ(t.Elem()); e != t.Elem() {
			return types.NewPointer(e)
		}
	case *types.Slice:
		if e := s.typ(t.Elem()); e != t.Elem() {
			return types.NewSlice(e)
		}
	case *types.Array:
		if e := s.typ(t.Elem()); e != t.Elem() {
			return types.NewArray(e, t.Len())
		}
	case *types.Chan:
		if e := s.typ(t.Elem()); e != t.Elem() {
			return types.NewChan(t.Dir(), e)
		}
	case *types.Map:
		k, e := s.typ(t.Key()), s.typ(t.Elem())
		if k != t.Key() || e != t.Elem() {
			return types.NewMap(k, e)
		}
	case *types.Tuple:
		return s.tuple(t)
	case *types.Signature:
		params, results := s.tuple(t.Params()), s.tuple(t.Results())
		if params != t.Params() || results != t.Results() {
			return types.NewSignatureType(nil, nil, nil, params, results, t.Variadic())
		}
	case *types.Struct:
		fields := make([]*types.Var, t.NumFields())
		tags := make([]string, len(fields))
		changed := false
		for i := range fields {
			f := t.Field(i)
			fields[i], tags[i] = f, t.Tag(i)
			if ft := s.typ(f.Type()); ft != f.Type() {
				fields[i] = types.NewField(f.Pos(), f.Pkg(), f.Name(), ft, f.Embedded())
				changed = true
			}
		}
		if changed {
			return types.NewStruct(fields, tags)
		}
	case *types.Interface:
		return s.iface(t)
	case *types.Union:
		terms := make([]*types.Term, t.Len())
		for i := range terms {
			terms[i] = types.NewTerm(t.Term(i).Tilde(), s.typ(t.Term(i).Type()))
		}
		return types.NewUnion(terms)
	}
	return t
}

func (s substituter) tuple(t *types.Tuple) *types.Tuple {
	if t == nil {
		return nil
	}
	vars := make([]*types.Var, t.Len())
	changed := false
	for i := range vars {
		v := t.At(i)
		vars[i] = v
		if vt := s.typ(v.Type()); vt != v.Type() {
			vars[i] = types.NewParam(v.Pos(), v.Pkg(), v.Name(), vt)
			changed = true
		}
	}
	if !changed {
		return t
	}
	return types.NewTuple(vars...)
}

func (s substituter) iface(t *types.Interface) types.Type {
	changed := false
	methods := make([]*types.Func, t.NumExplicitMethods())
	for i := range methods {
		m := t.ExplicitMethod(i)
		methods[i] = m
		if sig := s.typ(m.Type()); sig != m.Type() {
			methods[i] = types.NewFunc(m.Pos(), m.Pkg(), m.Name(), sig.(*types.Signature))
			changed = true
		}
	}
	embedded := make([]types.Type, t.NumEmbeddeds())
	for i := range embedded {
		e := t.EmbeddedType(i)
		embedded[i] = s.typ(e)
		changed = changed || embedded[i] != e
	}
	if !changed {
		return t
	}
	return types.NewInterfaceType(methods, embedded).Complete()
}

func (s substituter) named(t *types.Named) types.Type {
	args := make([]types.Type, t.TypeArgs().Len())
	changed := false
	for i := range args {
		args[i] = s.typ(t.TypeArgs().At(i))
		changed = changed || args[i] != t.TypeArgs().At(i)
	}
	if s.local(t.Origin().Obj()) {
		return s.localType(t, args)
	}
	if !changed {
		return t
	}
	inst, err := types.Instantiate(s.c.p.context, t.Origin(), args, false)
	if err != nil {
		return t
	}
	return inst
}

// localType is a type declared in a generic function: another one in each
// instance of the function.
func (s substituter) localType(t *types.Named, args []types.Type) types.Type {
	p := s.c.p
	key := localKey{obj: t.Origin().Obj()}
	var names, own []string
	for _, b := range s.c.env {
		key.args += p.typeID(b.arg) + ","
		names = append(names, native.TypeArgName(b.arg))
	}
	for _, a := range args {
		key.args += ";" + p.typeID(a)
		own = append(own, native.TypeArgName(a))
	}
	if l, ok := p.locals[key]; ok {
		return l
	}
	name := t.Obj().Name() + "[" + strings.Join(names, ",")
	if len(own) > 0 {
		name += ";" + strings.Join(own, ",")
	}
	obj := types.NewTypeName(t.Obj().Pos(), t.Obj().Pkg(), name+"]", nil)
	native.SameNumber(obj, t.Origin().Obj())
	l := types.NewNamed(obj, nil, nil)
	p.locals[key] = l
	l.SetUnderlying(s.typ(t.Underlying()).Underlying())
	return l
}

// typeID spells a type so that only identical types have the same.
func (p *Program) typeID(t types.Type) string {
	if id := p.ids.At(t); id != nil {
		return id.(string)
	}
	id := strconv.Itoa(p.ids.Len())
	p.ids.Set(t, id)
	return id
}

// local reports whether a type is declared inside the generic function.
func (s substituter) local(obj *types.TypeName) bool {
	if obj.Pkg() == nil || obj.Parent() == nil || obj.Parent() == obj.Pkg().Scope() || obj.Parent() == types.Universe {
		return false
	}
	for scope := obj.Parent(); scope != nil; scope = scope.Parent() {
		for _, b := range s.c.env {
			if b.param.Obj().Parent() == scope {
				return true
			}
		}
	}
	return false
}
