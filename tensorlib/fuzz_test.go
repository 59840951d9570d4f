package tensorlib_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"

	lt "loris/tensorlib"
)

// caller calls functions of the library with random arguments.
type caller struct {
	rng  *rand.Rand
	pool []*lt.Tensor
}

var fuzzTypes = []lt.DType{lt.F32, lt.F32, lt.F32, lt.F16, lt.BF16, lt.F64, lt.I32, lt.I64, lt.U8, lt.Bool}

func newCaller(seed uint64) *caller {
	c := &caller{rng: rand.New(rand.NewPCG(seed, 11))}
	shapes := [][]int{{}, {1}, {3}, {0}, {2, 3}, {3, 2}, {3, 3}, {1, 3}, {2, 0}, {2, 3, 3}, {1, 2, 3, 4}, {2, 2, 3, 3}}
	r := lt.NewRand(int(seed))
	for _, s := range shapes {
		for range 2 {
			d := fuzzTypes[c.rng.IntN(len(fuzzTypes))]
			c.pool = append(c.pool, r.Normal(s...).Mul(3).Cast(d))
		}
	}
	c.pool = append(c.pool, lt.Ones(4, 64).Quantize(lt.Q8), lt.Ones(4, 64).Quantize(lt.Q4).T(), lt.Ones(2, 64), lt.Full(math.NaN(), 2, 2))
	return c
}

// ints returns small integers, sometimes absurd ones.
func (c *caller) int() int {
	switch c.rng.IntN(30) {
	case 0:
		return math.MaxInt
	case 1:
		return math.MinInt
	case 2:
		return 1 << 40
	}
	return c.rng.IntN(9) - 3
}

func (c *caller) float() float64 {
	return []float64{0, 1, -1, 0.5, 1e-6, 1e300, math.NaN(), math.Inf(1), -0.25}[c.rng.IntN(9)]
}

func (c *caller) tensor() *lt.Tensor {
	if c.rng.IntN(60) == 0 {
		return nil
	}
	return c.pool[c.rng.IntN(len(c.pool))]
}

// value makes an argument of a type.
func (c *caller) value(t reflect.Type, depth int) reflect.Value {
	switch t {
	case reflect.TypeFor[*lt.Tensor]():
		return reflect.ValueOf(c.tensor())
	case reflect.TypeFor[lt.DType]():
		return reflect.ValueOf(lt.DType(c.rng.IntN(12)))
	case reflect.TypeFor[lt.Index]():
		if c.rng.IntN(3) == 0 {
			return reflect.ValueOf(lt.All)
		}
		return reflect.ValueOf(lt.R(c.int(), c.int(), c.int()))
	case reflect.TypeFor[lt.KernelCall]():
		return reflect.ValueOf(lt.KernelCall{Shapes: [][]int{{c.rng.IntN(5)}}})
	}
	switch t.Kind() {
	case reflect.Int:
		return reflect.ValueOf(c.int())
	case reflect.Int64:
		return reflect.ValueOf(int64(c.int()))
	case reflect.Float64:
		return reflect.ValueOf(c.float())
	case reflect.Bool:
		return reflect.ValueOf(c.rng.IntN(2) == 0)
	case reflect.String:
		specs := []string{"ij,jk->ik", "ij->ji", "ii->i", "...i,i->...", "ab,ab->", "i,j", "", "ij,j-k", "aab", "->", "é"}
		return reflect.ValueOf(specs[c.rng.IntN(len(specs))])
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return reflect.Zero(t)
		}
		v := reflect.New(t).Elem()
		options := []any{nil, c.int(), c.float(), true, c.tensor(), "x", lt.All, lt.R(c.int(), c.int()), []float32{1, 2}, [][]int{{1}, {2, 3}}, struct{}{}}
		if x := options[c.rng.IntN(len(options))]; x != nil {
			v.Set(reflect.ValueOf(x))
		}
		return v
	case reflect.Slice:
		n := c.rng.IntN(4)
		s := reflect.MakeSlice(t, n, n)
		for i := range n {
			s.Index(i).Set(c.value(t.Elem(), depth+1))
		}
		return s
	case reflect.Array:
		a := reflect.New(t).Elem()
		for i := range a.Len() {
			a.Index(i).Set(c.value(t.Elem(), depth+1))
		}
		return a
	case reflect.Struct:
		s := reflect.New(t).Elem()
		for i := range t.NumField() {
			if t.Field(i).IsExported() && c.rng.IntN(2) == 0 {
				s.Field(i).Set(c.value(t.Field(i).Type, depth+1))
			}
		}
		return s
	}
	return reflect.Zero(t)
}

// functions lists what is called: the ops, by reflection, and the functions.
func functions() (names []string, fs []reflect.Value) {
	add := func(name string, f any) { names, fs = append(names, name), append(fs, reflect.ValueOf(f)) }
	skip := map[string]bool{"Release": true, "Set": true, "MakeParameter": true, "Rename": true, "Track": true, "Keep": true}
	for _, t := range []reflect.Type{reflect.TypeFor[*lt.Tensor](), reflect.TypeFor[*lt.Rand]()} {
		for i := range t.NumMethod() {
			if m := t.Method(i); !skip[m.Name] && m.Name != "SetState" {
				names, fs = append(names, t.Elem().Name()+"."+m.Name), append(fs, m.Func)
			}
		}
	}
	add("Of", lt.Of)
	add("Ints", lt.Ints)
	add("From", lt.From)
	add("Full", lt.Full)
	add("Zeros", lt.Zeros)
	add("Ones", lt.Ones)
	add("Eye", lt.Eye)
	add("Arange", lt.Arange)
	add("Linspace", lt.Linspace)
	add("Concat", lt.Concat)
	add("Stack", lt.Stack)
	add("Where", lt.Where)
	add("Einsum", lt.Einsum)
	add("Grads", lt.Grads)
	add("Graph", lt.Graph)
	add("Eval", lt.Eval)
	add("FindNaN", lt.FindNaN)
	return names, fs
}

// call calls one function and evaluates small results. It returns what is
// wrong: a panic that is no *Error.
func (c *caller) call(name string, f reflect.Value) (problem string) {
	var args []reflect.Value
	stage := "building"
	defer func() {
		r := recover()
		if _, ok := r.(*lt.Error); r == nil || ok {
			return
		}
		var texts []string
		for _, a := range args {
			texts = append(texts, fmt.Sprintf("%#v", a.Interface()))
		}
		problem = fmt.Sprintf("%s(%s), %s: panic %T: %v\n%s", name, strings.Join(texts, ", "), stage, r, r, debug.Stack())
	}()
	t := f.Type()
	for i := range t.NumIn() {
		in := t.In(i)
		if i == 0 && in == reflect.TypeFor[*lt.Rand]() {
			args = append(args, reflect.ValueOf(lt.NewRand(c.rng.Int())))
			continue
		}
		if t.IsVariadic() && i == t.NumIn()-1 {
			for range c.rng.IntN(4) {
				args = append(args, c.value(in.Elem(), 0))
			}
			break
		}
		args = append(args, c.value(in, 0))
	}
	// What would only fill the memory is left out.
	if x, ok := args0(args); ok && strings.HasPrefix(name, "Tensor.") && x != nil && x.Size() > 1e5 {
		return ""
	}
	for _, out := range f.Call(args) {
		ys := []*lt.Tensor{}
		switch y := out.Interface().(type) {
		case *lt.Tensor:
			ys = append(ys, y)
		case []*lt.Tensor:
			ys = y
		}
		for _, y := range ys {
			if y == nil || y.Size() > 1e5 {
				continue
			}
			if len(c.pool) < 60 && c.rng.IntN(3) == 0 && y.Size() <= 64 {
				c.pool = append(c.pool, y)
			}
			stage = "evaluating"
			y.Eval()
			if d := y.DType(); d != lt.Q8 && d != lt.Q4 {
				y.Floats()
			}
		}
	}
	return ""
}

func args0(args []reflect.Value) (*lt.Tensor, bool) {
	if len(args) == 0 {
		return nil, false
	}
	x, ok := args[0].Interface().(*lt.Tensor)
	return x, ok
}

// Every function returns or panics with *Error, whatever it is given.
func TestRandomCallsPanicOnlyWithError(t *testing.T) {
	names, fs := functions()
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		c := newCaller(uint64(round))
		for i, f := range fs {
			for range 6 {
				if p := c.call(names[i], f); p != "" {
					t.Fatal(p)
				}
			}
		}
	}
}

func FuzzCalls(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	names, fs := functions()
	f.Fuzz(func(t *testing.T, seed, which uint64) {
		c := newCaller(seed % 16)
		c.rng = rand.New(rand.NewPCG(seed, which))
		for range 8 {
			i := c.rng.IntN(len(fs))
			if p := c.call(names[i], fs[i]); p != "" {
				t.Fatal(p)
			}
		}
	})
}
