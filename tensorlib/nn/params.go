// Package nn holds what models are made of: layers, which are structs with
// tensors in them, Collect, which finds these tensors, optimisers, which change
// them, learning-rate schedules and losses.
package nn

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// Module is a layer with one input and one output. Models need not be
// Modules: Collect takes any struct.
type Module interface {
	Forward(x *lt.Tensor) *lt.Tensor
}

// Params are the named parameters of a model.
type Params struct {
	all    []parameter // sorted by name
	byName map[string]*lt.Tensor
}

type parameter struct {
	name   string
	tensor *lt.Tensor
	frozen bool
}

// Collect finds the tensors in a model: in the exported fields of structs and,
// through pointers, slices, maps with string keys and interfaces, in theirs.
// Each floating-point tensor becomes a parameter, named by the path of fields
// to it: "layers.0.up.w". A field is called by its tag `lt:"up"`, else by its
// name with the first letter in lower case; `lt:"-"` leaves it out, and `lt:""`
// adds nothing to the path. A tensor
// found twice counts once, under its first name.
func Collect(model any) *Params {
	p := &Params{byName: map[string]*lt.Tensor{}}
	c := collector{seen: map[any]bool{}}
	c.tensor = func(name string, v reflect.Value) { p.add(&c, name, v) }
	c.walk("", reflect.ValueOf(model), 0)
	slices.SortFunc(p.all, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	return p
}

// trainer is a layer that does something else in training.
type trainer interface{ SetTraining(on bool) }

// SetTraining tells all layers in a model whether it is trained: Dropout and LoRA
// layers, and every type of your own with a method SetTraining(bool). They are looked
// for where Collect looks for tensors. It returns how many there are.
func SetTraining(model any, on bool) int {
	n := 0
	c := collector{seen: map[any]bool{}}
	c.layer = func(l trainer) { l.SetTraining(on); n++ }
	c.walk("", reflect.ValueOf(model), 0)
	return n
}

// collector walks through a model.
type collector struct {
	tensor func(name string, v reflect.Value) // nil: not asked for
	layer  func(l trainer)
	seen   map[any]bool // pointers that were visited: models may hold cycles
}

// deepest bounds the nesting of models; what is deeper is none.
const deepest = 64

var tensorType = reflect.TypeFor[*lt.Tensor]()

func (c *collector) walk(name string, v reflect.Value, depth int) {
	if !v.IsValid() || depth > deepest {
		return
	}
	if v.Type() == tensorType {
		if c.tensor != nil {
			c.tensor(name, v)
		}
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if v.CanInterface() {
			if h := ir.CurrentHost(); h != nil {
				c.walk(name, reflect.ValueOf(h.Unwrap(v.Interface())), depth+1)
				return
			}
		}
		c.walk(name, v.Elem(), depth+1)
	case reflect.Pointer:
		if v.IsNil() || foreign(v.Type().Elem()) || c.visited(v) {
			return
		}
		if v.Elem().Kind() != reflect.Struct { // those of structs are found below
			c.tell(v)
		}
		c.walk(name, v.Elem(), depth+1)
	case reflect.Struct:
		c.structure(name, v, depth)
	case reflect.Slice, reflect.Array:
		if !mayHold(v.Type().Elem()) || v.Kind() == reflect.Slice && v.Len() > 0 && c.visited(v.Index(0).Addr()) {
			return
		}
		for i := range v.Len() {
			c.walk(join(name, strconv.Itoa(i)), v.Index(i), depth+1)
		}
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String || !mayHold(v.Type().Elem()) || v.IsNil() || c.visited(v) {
			return
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			c.walk(join(name, k.String()), v.MapIndex(k), depth+1)
		}
	}
}

// structure walks the fields of a struct.
func (c *collector) structure(name string, v reflect.Value, depth int) {
	t := v.Type()
	if foreign(t) {
		return
	}
	// An interface value of a cell-defined type is wrapped in a generated struct
	// that holds the value itself in IValue.
	if f := v.FieldByName("IValue"); f.IsValid() && f.Kind() == reflect.Interface {
		c.walk(name, f, depth+1)
		return
	}
	if v.CanAddr() {
		c.tell(v.Addr())
	} else {
		c.tell(v)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		part, tagged := f.Tag.Lookup("lt")
		if !f.IsExported() || part == "-" {
			continue
		}
		if !tagged && !f.Anonymous {
			part = fieldName(f.Name)
		}
		c.walk(join(name, part), v.Field(i), depth+1)
	}
}

// tell passes v on if it is a layer.
func (c *collector) tell(v reflect.Value) {
	if c.layer == nil || !v.CanInterface() {
		return
	}
	if l, ok := v.Interface().(trainer); ok {
		c.layer(l)
	}
}

// fieldName is the name of a field without a tag. The interpreter exports the
// unexported field scale as Xscale.
func fieldName(s string) string {
	r := []rune(s)
	if len(r) > 1 && r[0] == 'X' && unicode.IsLower(r[1]) {
		r = r[1:]
	}
	r[0] = unicode.ToLower(r[0])
	return string(r)
}

func join(name, part string) string {
	switch {
	case name == "":
		return part
	case part == "":
		return name
	}
	return name + "." + part
}

func (c *collector) visited(v reflect.Value) bool {
	key := [2]any{v.Pointer(), v.Type()}
	if c.seen[key] {
		return true
	}
	c.seen[key] = true
	return false
}

// mayHold reports whether values of type t can lead to a tensor.
func mayHold(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Struct, reflect.Slice, reflect.Array, reflect.Map:
		return true
	}
	return false
}

// foreign types belong to the standard library, the interpreter or this
// library's machinery: nothing of a model is in them.
func foreign(t reflect.Type) bool {
	p := t.PkgPath()
	if p == "" || p == "main" || strings.HasPrefix(p, "loris/tensorlib/") {
		return false
	}
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".") && first != "loris" && isStandard(first) ||
		p == "loris/tensorlib" || strings.HasPrefix(p, "loris/internal/") || strings.Contains(p, "/yaegi/")
}

// isStandard reports whether a first path element is one of the standard
// library that a model's fields may come from.
func isStandard(first string) bool {
	switch first {
	case "sync", "reflect", "context", "time", "os", "io", "log", "net", "math", "runtime", "go", "bytes", "strings", "container", "encoding", "testing":
		return true
	}
	return false
}

// add makes a tensor that was found a parameter, unless it is one already.
func (p *Params) add(c *collector, name string, v reflect.Value) {
	if v.IsNil() || !v.CanInterface() {
		return
	}
	t := v.Interface().(*lt.Tensor)
	if !t.DType().IsFloat() || c.seen[t] {
		return
	}
	c.seen[t] = true
	for base, i := name, 2; p.byName[name] != nil; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	t.MakeParameter()
	t.Rename(name)
	p.byName[name] = t
	p.all = append(p.all, parameter{name: name, tensor: t})
}

// Names returns the names of the trainable parameters, sorted.
func (p *Params) Names() []string {
	out := []string{}
	for i := range p.all {
		if !p.all[i].frozen {
			out = append(out, p.all[i].name)
		}
	}
	return out
}

// Tensors returns the trainable parameters in the order of Names: what Grads
// and an optimiser's Step take.
func (p *Params) Tensors() []*lt.Tensor {
	out := make([]*lt.Tensor, 0, len(p.all))
	for i := range p.all {
		if !p.all[i].frozen {
			out = append(out, p.all[i].tensor)
		}
	}
	return out
}

// Map returns all parameters by name, frozen ones included: what lt.Save takes.
func (p *Params) Map() map[string]*lt.Tensor {
	return maps.Clone(p.byName)
}

// Count returns the number of trainable elements and of all.
func (p *Params) Count() (trainable, all int) {
	for _, x := range p.all {
		all += x.tensor.Size()
		if !x.frozen {
			trainable += x.tensor.Size()
		}
	}
	return trainable, all
}

// Get returns a parameter by name, or nil.
func (p *Params) Get(name string) *lt.Tensor { return p.byName[name] }

// Set replaces the value of one parameter; it panics if there is none of that
// name or the shape differs.
func (p *Params) Set(name string, value *lt.Tensor) {
	t := p.byName[name]
	if t == nil {
		panic(&lt.Error{Code: ir.CodeValue, Op: "Set", Msg: fmt.Sprintf("there is no parameter %q", name), Hint: "Names lists them"})
	}
	t.Set(value)
}

// LoadReport tells how named tensors fit a model.
type LoadReport struct {
	Loaded     int
	Missing    []string // parameters that were not given
	Unexpected []string // tensors that no parameter is for
	BadShape   []string // "name: f32[3 4], the model has f32[4 3]"
}

// Load replaces parameters by the tensors of the same names, cast to their
// dtypes. Nothing is changed, and an error returned, if a shape differs;
// missing and unexpected names are only reported.
func (p *Params) Load(tensors map[string]*lt.Tensor) (*LoadReport, error) {
	r := &LoadReport{}
	var to, from []*lt.Tensor
	for _, x := range p.all {
		n, t, v := x.name, x.tensor, tensors[x.name]
		switch {
		case v == nil:
			r.Missing = append(r.Missing, n)
		case !v.Shape().Equal(t.Shape()):
			r.BadShape = append(r.BadShape, fmt.Sprintf("%s: %s%v, the model has %s%v", n, v.DType(), v.Shape(), t.DType(), t.Shape()))
		default:
			to, from = append(to, t), append(from, v.Cast(t.DType()))
		}
	}
	for n := range tensors {
		if p.byName[n] == nil {
			r.Unexpected = append(r.Unexpected, n)
		}
	}
	slices.Sort(r.Unexpected)
	if len(r.BadShape) > 0 {
		return r, &lt.Error{Code: ir.CodeShape, Op: "Load", Msg: "shapes differ: " + strings.Join(r.BadShape, "; ")}
	}
	r.Loaded = len(to)
	return r, lt.Try(func() { lt.SetAll(to, from) })
}

// Freeze takes the parameters whose names match one of the patterns (as in
// path.Match, where * also matches dots: "layers.*.w") out of training, and
// returns p. Unfreeze brings them back.
func (p *Params) Freeze(patterns ...string) *Params { return p.freeze(true, patterns) }

// Unfreeze undoes Freeze.
func (p *Params) Unfreeze(patterns ...string) *Params { return p.freeze(false, patterns) }

func (p *Params) freeze(frozen bool, patterns []string) *Params {
	for _, pattern := range patterns {
		hit := false
		for i := range p.all {
			ok, err := path.Match(pattern, p.all[i].name)
			if err != nil {
				panic(&lt.Error{Code: ir.CodeValue, Op: "Freeze", Msg: fmt.Sprintf("pattern %q", pattern), Err: err})
			}
			if ok {
				hit = true
				p.all[i].frozen = frozen
			}
		}
		if !hit {
			panic(&lt.Error{Code: ir.CodeValue, Op: "Freeze", Msg: fmt.Sprintf("pattern %q matches no parameter", pattern), Hint: "Names lists them"})
		}
	}
	return p
}
