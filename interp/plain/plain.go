// Package plain lets yaegi execute the plain statements of cells: a checked
// statement goes in, a function that runs it comes out. Plain is what yaegi is
// known to run exactly as compiled Go does: calls of compiled functions and
// methods, assignments to the cell's variables, and arithmetic on the basic
// types, all over values of compiled types. That is most of what a notebook
// says ("y := x.MatMul(w).Add(b)"). Everything else (loops, functions, closures,
// types of cells, whatever may panic in a way that yaegi words differently)
// stays with package lower.
//
// The statement is written anew for yaegi: names become entries of a symbol
// table made for the cell, constants become literals of the type that go/types
// gave them, variables become pointers to their memory.
package plain

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"io"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/traefik/yaegi/interp"
)

// Names finds what statements name.
type Names interface {
	// Variable returns a pointer to the memory of a variable of the session.
	Variable(v *types.Var) reflect.Value
	// Function returns a compiled function.
	Function(f *types.Func) (reflect.Value, bool)
	// Method reports whether a method of a compiled type may be called as it is.
	Method(f *types.Func) bool
	// Running is told the place of a call ahead of it, where a statement has
	// several.
	Running(pos int)
}

// Interpreter runs the plain statements of one session.
type Interpreter struct {
	yaegi    *interp.Interpreter
	serial   int
	executed atomic.Int64
}

// New returns an interpreter that knows no symbols: each batch brings its own.
func New() *Interpreter { return &Interpreter{yaegi: newYaegi()} }

// renewal is the number of batches after which yaegi is replaced: it keeps the
// syntax tree of everything that it has compiled, some 25 KB for a cell.
const renewal = 64

func newYaegi() *interp.Interpreter {
	// A panic is reported by whoever runs the cell; what yaegi writes about it
	// goes nowhere.
	return interp.New(interp.Options{Stdout: io.Discard, Stderr: io.Discard})
}

// Executed counts the statements run so far.
func (in *Interpreter) Executed() int64 { return in.executed.Load() }

// Batch collects the plain statements of one cell.
type Batch struct {
	in      *Interpreter
	info    *types.Info
	pkg     *types.Package
	names   Names
	symbols map[string]reflect.Value
	known   map[types.Object]string
	bodies  []string
	calls   []token.Pos // of each body, the first of its calls
	current statement
}

// statement is what is known of the statement being written.
type statement struct {
	before []string // calls inside of expressions, ahead and in order
	first  token.Pos
	last   token.Pos
}

// NewBatch starts the statements of a cell; pkg is the package of the cells.
func (in *Interpreter) NewBatch(pkg *types.Package, info *types.Info, names Names) *Batch {
	return &Batch{in: in, info: info, pkg: pkg, names: names,
		symbols: map[string]reflect.Value{}, known: map[types.Object]string{}}
}

// Len is the number of statements collected.
func (b *Batch) Len() int { return len(b.bodies) }

// Statement adds s if it is plain; i is its index in the result of Compile.
func (b *Batch) Statement(s ast.Stmt) (i int, ok bool) {
	b.current = statement{}
	src, ok := b.stmt(s)
	if !ok {
		return 0, false
	}
	return b.add(src), true
}

// Define adds the definition or assignment of variables if it is plain.
func (b *Batch) Define(lhs, rhs []ast.Expr) (i int, ok bool) {
	b.current = statement{}
	src, ok := b.assign(lhs, rhs)
	if !ok {
		return 0, false
	}
	return b.add(src), true
}

// Value adds the evaluation of e into the memory that ptr points to, a value of
// e's own type.
func (b *Batch) Value(e ast.Expr, ptr reflect.Value) (i int, ok bool) {
	b.current = statement{}
	src, ok := b.outer(e)
	if !ok {
		return 0, false
	}
	return b.add("*" + b.symbol("r", ptr) + " = " + src), true
}

func (b *Batch) add(src string) int {
	if before := b.current.before; len(before) > 0 {
		src = strings.Join(before, "; ") + "; " + b.running(b.current.last) + src
	}
	b.bodies = append(b.bodies, src)
	b.calls = append(b.calls, b.current.first)
	return len(b.bodies) - 1
}

// Pos is the place of the first call of a statement, if it has any.
func (b *Batch) Pos(i int) token.Pos { return b.calls[i] }

// running writes the note that the call at pos comes next.
func (b *Batch) running(pos token.Pos) string {
	if _, ok := b.symbols["Running"]; !ok {
		b.symbols["Running"] = reflect.ValueOf(b.names.Running)
	}
	return fmt.Sprintf("c.Running(%d); ", pos)
}

// Compile returns the functions of all statements, in order.
func (b *Batch) Compile() (run []func(), err error) {
	if len(b.bodies) == 0 {
		return nil, nil
	}
	in := b.in
	if in.serial++; in.serial%renewal == 0 {
		in.yaegi = newYaegi()
	}
	// yaegi may panic on what it does not expect.
	defer func() {
		if r := recover(); r != nil {
			run, err = nil, fmt.Errorf("yaegi: %v", r)
		}
	}()
	path := fmt.Sprintf("cell/c%d", in.serial)
	if err := in.yaegi.Use(interp.Exports{path + "/c": b.symbols}); err != nil {
		return nil, fmt.Errorf("yaegi: %w", err)
	}
	pkg := fmt.Sprintf("p%d", in.serial)
	var src strings.Builder
	fmt.Fprintf(&src, "package %s\n\nimport c %q\n\n", pkg, path)
	for i, body := range b.bodies {
		fmt.Fprintf(&src, "func F%d() { %s }\n", i, body)
	}
	if _, err := in.yaegi.Eval(src.String()); err != nil {
		return nil, fmt.Errorf("yaegi: %w", err)
	}
	for i := range b.bodies {
		v, err := in.yaegi.Eval(fmt.Sprintf("%s.F%d", pkg, i))
		if err != nil {
			return nil, fmt.Errorf("yaegi: %w", err)
		}
		f, ok := v.Interface().(func())
		if !ok {
			return nil, fmt.Errorf("yaegi: a statement became a %s", v.Type())
		}
		run = append(run, func() {
			in.executed.Add(1)
			f()
		})
	}
	return run, nil
}

// symbol enters v under a new name and returns how the source refers to it.
func (b *Batch) symbol(kind string, v reflect.Value) string {
	name := fmt.Sprintf("%s%d", strings.ToUpper(kind), len(b.symbols))
	b.symbols[name] = v
	return "c." + name
}

func (b *Batch) variable(v *types.Var) string {
	if name, ok := b.known[v]; ok {
		return name
	}
	name := "*" + b.symbol("v", b.names.Variable(v))
	b.known[v] = name
	return name
}

func (b *Batch) function(f *types.Func) (string, bool) {
	if name, ok := b.known[f]; ok {
		return name, true
	}
	fn, ok := b.names.Function(f)
	if !ok || fn.Kind() != reflect.Func || fn.IsNil() {
		return "", false
	}
	name := b.symbol("f", fn)
	b.known[f] = name
	return name, true
}
