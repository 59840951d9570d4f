// Package lower turns checked cells into code that runs: a typed syntax tree
// goes in, closures over typed memory come out. go/types decides every type,
// constant and implicit conversion; nothing is guessed at run time.
//
// One file per construct. A value (value.go) is an expression that is ready to
// be evaluated; a step (stmt.go) is a statement.
package lower

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"sync"
	"unsafe"

	"golang.org/x/tools/go/types/typeutil"

	"loris/interp/native"
	"loris/interp/plain"
	"loris/interp/run"
)

// Packages gives access to compiled packages.
type Packages interface {
	// Symbol returns a function, an addressable variable or a typed nil pointer
	// of a type.
	Symbol(path, name string) (reflect.Value, error)
	// Type returns the run-time type of a named type.
	Type(t *types.Named) (reflect.Type, error)
	// Instance returns an instance of a generic function; types gives the
	// run-time types of the type arguments and of the signature.
	Instance(fn *types.Func, targs []types.Type, rt func(types.Type) reflect.Type) (reflect.Value, error)
	// Method returns a method of an instance of a generic type as a function
	// whose first parameter is the receiver.
	Method(recv *types.Named, name string, ptr bool, rt func(types.Type) reflect.Type) (reflect.Value, bool)
}

// Unsupported says that a construct cannot be run right. It is reported at
// check time.
type Unsupported struct {
	Pos token.Pos
	Msg string
}

func (u *Unsupported) Error() string { return u.Msg }

// Program holds all that the cells of a session have defined.
type Program struct {
	Types    *native.Types
	Packages Packages
	Fset     *token.FileSet
	// Special may replace a call of a compiled function, by its full name.
	Special map[string]SpecialCall
	// RoomFor says why so many bytes cannot be allocated; it may be nil.
	RoomFor func(bytes uint64) error
	// Variables replaces variables of compiled packages, by their full name.
	Variables map[string]unsafe.Pointer

	mu       sync.Mutex // see Lock
	globals  map[*types.Var]*Global
	funcs    map[*types.Func]*function
	bodies   map[*types.Func]source // declarations, for instances and late compilation
	locals   map[localKey]types.Type
	ids      typeutil.Map
	dispatch sync.Map // dispatchKey -> *target
	pending  []func()
	context  *types.Context
	plain    *plain.Interpreter
	defines  []definedFunc
}

// SpecialCall makes the value of a call that needs the calling goroutine.
type SpecialCall func(th *run.Thread, args []reflect.Value) []reflect.Value

// A Global is a package-level variable.
type Global struct {
	Ptr  unsafe.Pointer
	Type *native.Type
}

type source struct {
	decl *ast.FuncDecl
	info *types.Info
}

// function is a declared function with its instances.
type function struct {
	instances []*instance
}

type instance struct {
	targs []types.Type
	fn    *run.Func
}

// New returns an empty program.
func New(pkgs Packages, fset *token.FileSet) *Program {
	p := &Program{
		Packages:  pkgs,
		Fset:      fset,
		Special:   map[string]SpecialCall{},
		Variables: map[string]unsafe.Pointer{},
		plain:     plain.New(),
		globals:   map[*types.Var]*Global{},
		funcs:     map[*types.Func]*function{},
		bodies:    map[*types.Func]source{},
		locals:    map[localKey]types.Type{},
		context:   types.NewContext(),
	}
	p.Types = native.NewTypes((*binder)(p))
	return p
}

// UseContext makes the program share instances of generic types with the
// checker.
func (p *Program) UseContext(ctx *types.Context) { p.context = ctx }

// Global returns the place of a package-level variable, made on first use.
func (p *Program) Global(v *types.Var) *Global {
	if g := p.globals[v]; g != nil {
		return g
	}
	t := p.Types.Of(v.Type())
	g := &Global{native.New(t), t}
	p.globals[v] = g
	return g
}

// Lock lets nothing be compiled but by the caller. Cells that run compile too:
// the instances and methods that they come to need. So whoever changes what the
// program is made of, the scope of the cells included, holds it.
func (p *Program) Lock() { p.mu.Lock() }

// Unlock ends Lock.
func (p *Program) Unlock() { p.mu.Unlock() }

// Known returns the place of a package-level variable, or nil if no cell that
// ran has it. The caller holds Lock.
func (p *Program) Known(v *types.Var) *Global { return p.globals[v] }

// ShareGlobal makes v live where old lives.
func (p *Program) ShareGlobal(v, old *types.Var) { p.globals[v] = p.Global(old) }

// Function returns the late-bound function of a declaration.
func (p *Program) Function(f *types.Func) *run.Func { return p.instance(f, nil) }

// Rebind makes callers of old run f from now on.
func (p *Program) Rebind(f, old *types.Func) {
	if o := p.funcs[old]; o != nil {
		p.funcs[f] = o
	}
}

// Declare makes the body of a function known.
func (p *Program) Declare(f *types.Func, decl *ast.FuncDecl, info *types.Info) {
	p.bodies[f] = source{decl, info}
}

// instance returns the function for type arguments, compiling it later.
func (p *Program) instance(f *types.Func, targs []types.Type) *run.Func {
	fn := p.funcs[f]
	if fn == nil {
		fn = &function{}
		p.funcs[f] = fn
	}
next:
	for _, i := range fn.instances {
		if len(i.targs) != len(targs) {
			continue
		}
		for k := range targs {
			if !types.Identical(i.targs[k], targs[k]) {
				continue next
			}
		}
		return i.fn
	}
	i := &instance{targs, &run.Func{Name: funcName(f)}}
	fn.instances = append(fn.instances, i)
	if len(targs) > 0 {
		p.pending = append(p.pending, func() { p.compile(f, i) })
	}
	return i.fn
}

func funcName(f *types.Func) string {
	if recv := f.Signature().Recv(); recv != nil {
		t := recv.Type()
		if ptr, ok := t.(*types.Pointer); ok {
			return "(*" + typeBase(ptr.Elem()) + ")." + f.Name()
		}
		return typeBase(t) + "." + f.Name()
	}
	return f.Name()
}

func typeBase(t types.Type) string {
	if n, ok := types.Unalias(t).(*types.Named); ok {
		return n.Obj().Name()
	}
	return t.String()
}

// definedFunc is code that becomes a function's when all of a cell is compiled.
type definedFunc struct {
	fn   *run.Func
	code *run.Code
}

// late compiles something while cells run: the wrapper of a method, say, and
// the instances it needs.
func (p *Program) late(make func() *run.Code) *run.Code {
	p.mu.Lock()
	defer p.mu.Unlock()
	var code *run.Code
	p.defines = nil
	if err := p.guarded(func() { code = make() }); err != nil {
		panic(err)
	}
	for _, d := range p.defines {
		d.fn.Define(d.code)
	}
	return code
}

// guarded turns the panics by which compilation ends into errors.
func (p *Program) guarded(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Unsupported:
			err = r
		default:
			err = &Unsupported{Msg: fmt.Sprintf("internal error: %v", r)}
			if Debug {
				panic(r)
			}
		}
		if err != nil {
			p.pending = nil
		}
	}()
	f()
	for len(p.pending) > 0 {
		next := p.pending[0]
		p.pending = p.pending[1:]
		next()
	}
	return nil
}

// Debug lets internal errors through, with their stack.
var Debug bool

func (p *Program) compile(f *types.Func, i *instance) {
	src, ok := p.bodies[f]
	if !ok {
		panic(&Unsupported{f.Pos(), "function " + f.Name() + " has no body"})
	}
	if src.decl.Body == nil {
		panic(&Unsupported{f.Pos(), "missing function body of " + f.Name()})
	}
	c := newCompiler(p, src.info)
	sig := f.Signature()
	bind := func(list *types.TypeParamList) {
		for k := range list.Len() {
			c.env = append(c.env, binding{list.At(k), i.targs[k]})
		}
	}
	if sig.Recv() != nil {
		bind(sig.RecvTypeParams())
	} else {
		bind(sig.TypeParams())
	}
	p.defines = append(p.defines, definedFunc{i.fn, c.function(funcName(f), sig, src.decl.Recv, src.decl.Type, src.decl.Body)})
}
