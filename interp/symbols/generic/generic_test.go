package generic

import (
	"cmp"
	"fmt"
	"go/types"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"loris/interp/symbols"
)

// Every generic function and method of the standard library has a row, and
// every row belongs to one.
func TestRowsAreComplete(t *testing.T) {
	want := map[string]bool{}
	for _, path := range symbols.Paths() {
		if strings.HasPrefix(path, "loris/") {
			continue
		}
		pkg, err := symbols.Importer().Import(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pkg.Scope().Names() {
			obj := pkg.Scope().Lookup(name)
			if !obj.Exported() {
				continue
			}
			switch typ := obj.Type().(type) {
			case *types.Signature:
				if typ.TypeParams().Len() > 0 {
					want[path+"."+name] = true
				}
			case *types.Named:
				for m := range typ.Methods() {
					if typ.TypeParams().Len() > 0 && m.Exported() {
						want[path+"."+name+"."+m.Name()] = true
					}
				}
			}
		}
	}
	for name := range want {
		if !Has(name) {
			t.Errorf("%s has no row", name)
		}
	}
	for name, r := range rows {
		if !want[name] {
			t.Errorf("row %s belongs to nothing", name)
		}
		if r.elems == nil && r.build == nil {
			t.Errorf("row %s provides nothing", name)
		}
	}
}

type person struct {
	Name string
	Age  int
}

type (
	celsius float64
	label   string
	level   int
)

// natives are the compiled instances that ours are compared with.
func natives[E comparable]() map[string]any {
	m := map[string]any{}
	maps.Copy(m, anyElements[E]())
	maps.Copy(m, comparableOnly[E]())
	for _, name := range []string{"iter.Pull", "sync.OnceValue", "cmp.Or"} {
		delete(m, name)
	}
	return m
}

func nativesOrdered[E cmp.Ordered]() map[string]any {
	m := natives[E]()
	maps.Copy(m, orderedOnly[E]())
	for _, name := range []string{"cmp.Or", "cmp.Compare", "cmp.Less"} {
		delete(m, name)
	}
	return m
}

// targsOf are the type arguments of a function on []E.
func targsOf[E any](name string) []TypeArg {
	s, e := TypeArg{Rep: reflect.TypeFor[[]E]()}, TypeArg{Rep: reflect.TypeFor[E]()}
	switch name {
	case "slices.Collect", "slices.Sorted", "slices.SortedFunc", "slices.SortedStableFunc":
		return []TypeArg{e}
	case "slices.BinarySearchFunc":
		return []TypeArg{s, e, e}
	case "slices.CompareFunc", "slices.EqualFunc":
		return []TypeArg{s, s, e, e}
	}
	return []TypeArg{s, e}
}

func TestSlicesAgreeWithCompiled(t *testing.T) {
	t.Run("struct", func(t *testing.T) {
		compare(t, natives[person](), func(r *rand.Rand) person {
			return person{string(rune('a' + r.IntN(3))), r.IntN(4)}
		}, func(a, b person) int { return cmp.Compare(a.Age, b.Age) })
	})
	t.Run("array", func(t *testing.T) {
		compare(t, natives[[2]int8](), func(r *rand.Rand) [2]int8 {
			return [2]int8{int8(r.IntN(2)), int8(r.IntN(3))}
		}, func(a, b [2]int8) int { return cmp.Compare(a[0], b[0]) })
	})
	t.Run("pointer in struct", func(t *testing.T) {
		type boxed struct{ P *int }
		ints := []int{0, 1, 2, 3}
		compare(t, natives[boxed](), func(r *rand.Rand) boxed {
			return boxed{&ints[r.IntN(len(ints))]}
		}, func(a, b boxed) int { return cmp.Compare(*a.P, *b.P) })
	})
	t.Run("interface", func(t *testing.T) {
		compare(t, natives[any](), func(r *rand.Rand) any {
			return []any{1, "x", 2.5, nil, level(1), person{"p", 1}}[r.IntN(6)]
		}, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	})
	t.Run("float", func(t *testing.T) {
		compare(t, nativesOrdered[celsius](), func(r *rand.Rand) celsius { return celsius(r.IntN(5)) / 2 }, cmp.Compare[celsius])
	})
	t.Run("string", func(t *testing.T) {
		compare(t, nativesOrdered[label](), func(r *rand.Rand) label { return label(rune('a' + r.IntN(4))) }, cmp.Compare[label])
	})
	t.Run("int", func(t *testing.T) {
		compare(t, nativesOrdered[level](), func(r *rand.Rand) level { return level(r.IntN(6) - 3) }, cmp.Compare[level])
	})
	t.Run("int16", func(t *testing.T) {
		compare(t, nativesOrdered[int16](), func(r *rand.Rand) int16 { return int16(r.IntN(6) - 3) }, cmp.Compare[int16])
	})
	t.Run("complex", func(t *testing.T) {
		compare(t, natives[complex128](), func(r *rand.Rand) complex128 {
			return complex(float64(r.IntN(2)), float64(r.IntN(2)))
		}, func(a, b complex128) int { return cmp.Compare(real(a), real(b)) })
	})
}

// compare runs each function, as provided by shape and as built by reflection,
// beside the compiled one on random arguments.
func compare[E comparable](t *testing.T, natives map[string]any, random func(*rand.Rand) E, order func(a, b E) int) {
	for _, name := range slices.Sorted(maps.Keys(natives)) {
		native := reflect.ValueOf(natives[name])
		sig := native.Type()
		provided, err := instance(name, targsOf[E](name), sig)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		ours := map[string]reflect.Value{"provided": provided}
		if b := rows[name].build; b != nil {
			ours["reflection"] = b(targsOf[E](name), sig)
		}
		for how, fn := range ours {
			if fn.Type() != sig {
				t.Errorf("%s (%s) is %s, want %s", name, how, fn.Type(), sig)
				continue
			}
			for seed := range uint64(40) {
				want, wantArgs := outcome(native, arguments(sig, rand.New(rand.NewPCG(seed, 1)), random, order))
				got, gotArgs := outcome(fn, arguments(sig, rand.New(rand.NewPCG(seed, 1)), random, order))
				if got != want || gotArgs != wantArgs {
					t.Errorf("%s (%s) on %T, seed %d:\n got %s, arguments now %s\nwant %s, arguments now %s", name, how, *new(E), seed, got, gotArgs, want, wantArgs)
					break
				}
			}
		}
	}
}

// arguments makes random arguments for a signature over E.
func arguments[E comparable](sig reflect.Type, r *rand.Rand, random func(*rand.Rand) E, order func(a, b E) int) []reflect.Value {
	list := func() []E {
		s := make([]E, 0, r.IntN(30))
		for range r.IntN(20) {
			s = append(s, random(r))
		}
		if r.IntN(8) == 0 {
			s = nil
		}
		return s
	}
	pivot := random(r)
	var args []reflect.Value
	for i := range sig.NumIn() {
		var a any
		switch sig.In(i) {
		case reflect.TypeFor[[]E]():
			s := list()
			if r.IntN(2) == 0 && len(args) > 0 && args[0].Type() == sig.In(i) && args[0].Len() > 0 {
				s = args[0].Interface().([]E)[r.IntN(args[0].Len()):] // overlaps the first
			}
			a = s
		case reflect.TypeFor[[][]E]():
			a = [][]E{list(), list(), nil, list()}
		case reflect.TypeFor[E]():
			a = random(r)
		case reflect.TypeFor[int]():
			a = r.IntN(12) - 1
		case reflect.TypeFor[func(E) bool]():
			a = func(e E) bool { return order(e, pivot) < 0 }
		case reflect.TypeFor[func(E, E) bool]():
			a = func(a, b E) bool { return order(a, b) == 0 }
		case reflect.TypeFor[func(E, E) int]():
			a = order
		case reflect.TypeFor[iter.Seq[E]]():
			a = slices.Values(list())
		default:
			panic("no arguments of type " + sig.In(i).String())
		}
		args = append(args, reflect.ValueOf(a))
	}
	return args
}

// outcome describes what a call returned or panicked with, and what became of
// its arguments.
func outcome(fn reflect.Value, args []reflect.Value) (result, after string) {
	defer func() {
		if p := recover(); p != nil {
			result = fmt.Sprintf("panic: %v", p)
		}
	}()
	var out []reflect.Value
	if fn.Type().IsVariadic() {
		out = fn.CallSlice(args)
	} else {
		out = fn.Call(args)
	}
	for _, v := range out {
		result += describe(v) + "; "
	}
	for _, a := range args {
		if a.Kind() == reflect.Slice {
			after += describe(a.Slice(0, a.Cap())) + "; "
		}
	}
	return result, after
}

func describe(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice:
		return fmt.Sprintf("%s%v len %d cap %d nil %v", v.Type(), v, v.Len(), v.Cap(), v.IsNil())
	case v.Kind() == reflect.Func:
		text := ""
		for n := 1; n < 4; n++ { // all of it, and stopping early
			left := n * n * n
			v.Call([]reflect.Value{reflect.MakeFunc(v.Type().In(0), func(args []reflect.Value) []reflect.Value {
				text += fmt.Sprint(args, " ")
				left--
				return []reflect.Value{reflect.ValueOf(left > 0)}
			})})
		}
		return v.Type().String() + text
	}
	return fmt.Sprintf("%s %v", v.Type(), v)
}

func TestMapsAgreeWithCompiled(t *testing.T) {
	type key struct{ A, B int8 }
	mapTest(t, func(r *rand.Rand) key { return key{int8(r.IntN(3)), int8(r.IntN(3))} }, func(r *rand.Rand) person { return person{"x", r.IntN(3)} })
	mapTest(t, func(r *rand.Rand) label { return label(rune('a' + r.IntN(9))) }, func(r *rand.Rand) level { return level(r.IntN(3)) })
	mapTest(t, func(r *rand.Rand) level { return level(r.IntN(9)) }, func(r *rand.Rand) celsius { return celsius(r.IntN(3)) })
	mapTest(t, func(r *rand.Rand) any { return []any{1, "a", 2.5, level(3)}[r.IntN(4)] }, func(r *rand.Rand) any { return r.IntN(3) })
}

func mapTest[K, V comparable](t *testing.T, key func(*rand.Rand) K, value func(*rand.Rand) V) {
	type M = map[K]V
	k, v, m := TypeArg{Rep: reflect.TypeFor[K]()}, TypeArg{Rep: reflect.TypeFor[V]()}, TypeArg{Rep: reflect.TypeFor[M]()}
	random := func(r *rand.Rand) M {
		out := M{}
		for range r.IntN(40) {
			out[key(r)] = value(r)
		}
		return out
	}
	keep := func(_ K, v V) bool { return fmt.Sprint(v) != "1" }
	get := func(name string, native any, reflection bool, targs ...TypeArg) any {
		sig := reflect.TypeOf(native)
		fn, err := instance(name, targs, sig)
		if reflection {
			fn = rows[name].build(targs, sig)
		}
		if err != nil {
			t.Fatal(err)
		}
		return fn.Interface()
	}
	for _, reflection := range []bool{false, true} {
		keys := get("maps.Keys", maps.Keys[M], reflection, m, k, v).(func(M) iter.Seq[K])
		values := get("maps.Values", maps.Values[M], reflection, m, k, v).(func(M) iter.Seq[V])
		all := get("maps.All", maps.All[M], reflection, m, k, v).(func(M) iter.Seq2[K, V])
		collect := get("maps.Collect", maps.Collect[K, V], reflection, k, v).(func(iter.Seq2[K, V]) M)
		insert := get("maps.Insert", maps.Insert[M], reflection, m, k, v).(func(M, iter.Seq2[K, V]))
		clone := get("maps.Clone", maps.Clone[M], reflection, m, k, v).(func(M) M)
		copyTo := get("maps.Copy", maps.Copy[M, M], reflection, m, m, k, v).(func(M, M))
		deleteFunc := get("maps.DeleteFunc", maps.DeleteFunc[M], reflection, m, k, v).(func(M, func(K, V) bool))
		equal := get("maps.Equal", maps.Equal[M, M], reflection, m, m, k, v).(func(M, M) bool)
		equalFunc := get("maps.EqualFunc", maps.EqualFunc[M, M], reflection, m, m, k, v, v).(func(M, M, func(V, V) bool) bool)
		for seed := range uint64(40) {
			r := rand.New(rand.NewPCG(seed, 2))
			a, b := random(r), random(r)
			set := func(s iter.Seq[K]) map[K]bool {
				out := map[K]bool{}
				for k := range s {
					out[k] = true
				}
				return out
			}
			if !maps.Equal(set(keys(a)), set(maps.Keys(a))) {
				t.Errorf("Keys(%v)", a)
			}
			count := 0
			for range values(a) {
				count++
			}
			if count != len(a) {
				t.Errorf("Values(%v) yields %d", a, count)
			}
			if got := collect(all(a)); !maps.Equal(got, a) {
				t.Errorf("Collect(All(%v)) = %v", a, got)
			}
			got, want := clone(a), maps.Clone(a)
			copyTo(got, b)
			maps.Copy(want, b)
			if !maps.Equal(got, want) {
				t.Errorf("Copy: %v, want %v", got, want)
			}
			deleteFunc(got, keep)
			maps.DeleteFunc(want, keep)
			insert(got, maps.All(b))
			maps.Insert(want, maps.All(b))
			if !equal(got, want) || equal(a, b) != maps.Equal(a, b) || !maps.Equal(got, want) {
				t.Errorf("DeleteFunc, Insert: %v, want %v", got, want)
			}
			if !equalFunc(got, want, func(x, y V) bool { return x == y }) {
				t.Errorf("EqualFunc of equal maps is false")
			}
			for range all(a) {
				break
			}
		}
		if clone(nil) != nil {
			t.Error("Clone(nil) is not nil")
		}
	}
}
