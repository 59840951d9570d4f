package interp

import (
	"fmt"
	"go/types"
	"reflect"
	"strings"

	"loris/interp/symbols"
	"loris/interp/symbols/generic"
)

// packages gives the lowering access to the symbol tables.
type packages struct{}

func (packages) Symbol(path, name string) (reflect.Value, error) {
	m, err := symbols.Package(path)
	if err != nil {
		return reflect.Value{}, err
	}
	v, ok := m[name]
	if !ok {
		return v, fmt.Errorf("%s.%s cannot be used in a cell: it has no entry in the symbol table", path, name)
	}
	return v, nil
}

// Type returns nil for a type that must be made, as an instance of a generic
// type that no compiled code uses.
func (packages) Type(t *types.Named) (reflect.Type, error) {
	if t.TypeArgs().Len() > 0 {
		r, ok := generic.Type(types.TypeString(t, nil))
		if !ok {
			return nil, nil
		}
		return r, nil
	}
	path := t.Obj().Pkg().Path()
	r, ok := symbols.Type(path, t.Obj().Name())
	if !ok {
		return nil, nil
	}
	return r, nil
}

func (packages) Instance(fn *types.Func, targs []types.Type, rt func(types.Type) reflect.Type) (reflect.Value, error) {
	inst, err := types.Instantiate(nil, fn.Signature(), targs, false)
	if err != nil {
		return reflect.Value{}, err
	}
	return generic.Func(fn.Pkg().Path(), fn.Name(), typeArgs(targs, rt), rt(inst))
}

func typeArgs(targs []types.Type, rt func(types.Type) reflect.Type) []generic.TypeArg {
	out := make([]generic.TypeArg, len(targs))
	for i, t := range targs {
		out[i].Rep = rt(t)
	}
	return out
}

func (packages) Method(recv *types.Named, name string, ptr bool, rt func(types.Type) reflect.Type) (reflect.Value, bool) {
	var targs []types.Type
	for i := range recv.TypeArgs().Len() {
		targs = append(targs, recv.TypeArgs().At(i))
	}
	var recvType types.Type = recv
	if ptr {
		recvType = types.NewPointer(recv)
	}
	obj, _, _ := types.LookupFieldOrMethod(recvType, true, recv.Obj().Pkg(), name)
	sig := obj.(*types.Func).Signature()
	params := []*types.Var{types.NewParam(0, nil, "", recvType)}
	for v := range sig.Params().Variables() {
		params = append(params, v)
	}
	full := types.NewSignatureType(nil, nil, nil, types.NewTuple(params...), sig.Results(), sig.Variadic())
	fn, err := generic.Method(recv.Obj().Pkg().Path(), recv.Obj().Name(), name, typeArgs(targs, rt), rt(full))
	return fn, err == nil
}

// resolve finds packages that a cell uses without importing them.
func resolve(name string, members []string) (string, bool) {
	if strings.HasPrefix(name, "_") {
		return "", false
	}
	return symbols.Resolve(name, members...)
}
