package generic

import (
	"bytes"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"io/fs"
	"iter"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unique"
	"unsafe"
	"weak"
)

// provide returns an instance as a typed function.
func provide[F any](t testing.TB, name string, targs ...TypeArg) F {
	t.Helper()
	fn, err := instance(name, targs, reflect.TypeFor[F]())
	if err != nil {
		t.Fatal(err)
	}
	return fn.Interface().(F)
}

func arg[T any]() TypeArg { return TypeArg{Rep: reflect.TypeFor[T]()} }

// fault is a type in two views: what a cell declares and how the interpreter
// holds it.
type (
	fault    struct{ code int }
	faultRep struct{ Xcode int }
)

func (f fault) Error() string { return fmt.Sprint("fault ", f.code) }

var twoViews = TypeArg{Rep: reflect.TypeFor[faultRep](), True: reflect.TypeFor[fault]()}

func TestTypeSensitive(t *testing.T) {
	asType := provide[func(error) (faultRep, bool)](t, "errors.AsType", twoViews)
	if got, ok := asType(fmt.Errorf("wrapped: %w", fault{7})); !ok || got.Xcode != 7 {
		t.Errorf("AsType = %v, %v", got, ok)
	}
	if _, ok := asType(errors.New("other")); ok {
		t.Error("AsType found a fault in another error")
	}
	if _, ok := asType(nil); ok {
		t.Error("AsType found a fault in nil")
	}
	pathError := provide[func(error) (*fs.PathError, bool)](t, "errors.AsType", arg[*fs.PathError]())
	if got, ok := pathError(&fs.PathError{Op: "open"}); !ok || got.Op != "open" {
		t.Errorf("AsType[*fs.PathError] = %v, %v", got, ok)
	}
	timeouts := provide[func(error) (interface{ Timeout() bool }, bool)](t, "errors.AsType", arg[interface{ Timeout() bool }]())
	if _, ok := timeouts(&fs.PathError{Err: errors.New("x")}); !ok {
		t.Error("AsType of an interface found nothing")
	}

	if got := provide[func() reflect.Type](t, "reflect.TypeFor", twoViews)(); got != twoViews.True {
		t.Errorf("TypeFor = %v", got)
	}
	assert := provide[func(reflect.Value) (faultRep, bool)](t, "reflect.TypeAssert", twoViews)
	if got, ok := assert(reflect.ValueOf(fault{3})); !ok || got.Xcode != 3 {
		t.Errorf("TypeAssert = %v, %v", got, ok)
	}
	if _, ok := assert(reflect.ValueOf(faultRep{3})); ok {
		t.Error("TypeAssert took the representation for the type")
	}
	if got, ok := provide[func(reflect.Value) (error, bool)](t, "reflect.TypeAssert", arg[error]())(reflect.ValueOf(fault{3})); !ok || got.Error() != "fault 3" {
		t.Errorf("TypeAssert[error] = %v, %v", got, ok)
	}
}

// handleRep has the layout of unique.Handle[T].
type handleRep struct{ Xvalue *faultRep }

func TestUnique(t *testing.T) {
	make1 := provide[func(faultRep) handleRep](t, "unique.Make", twoViews)
	value := provide[func(handleRep) faultRep](t, "unique.Handle.Value", twoViews)
	a, b, c := make1(faultRep{1}), make1(faultRep{1}), make1(faultRep{2})
	if a != b || a == c {
		t.Error("handles do not compare as their values")
	}
	runtime.GC()
	runtime.GC()
	if value(a).Xcode != 1 || value(c).Xcode != 2 {
		t.Error("handles lost their values")
	}
	text := provide[func(string) unique.Handle[string]](t, "unique.Make", arg[string]())
	if text("x") != text(string([]byte("x"))) {
		t.Error("equal strings have different handles")
	}
}

func TestPointerTypes(t *testing.T) {
	type pointerRep struct {
		X0 [0]*faultRep
		X1 struct{}
		V  unsafe.Pointer
	}
	if reflect.TypeFor[pointerRep]().Size() != reflect.TypeFor[atomic.Pointer[fault]]().Size() {
		t.Fatal("the test does not know the layout")
	}
	load := provide[func(*pointerRep) *faultRep](t, "sync/atomic.Pointer.Load", twoViews)
	store := provide[func(*pointerRep, *faultRep)](t, "sync/atomic.Pointer.Store", twoViews)
	swap := provide[func(*pointerRep, *faultRep) *faultRep](t, "sync/atomic.Pointer.Swap", twoViews)
	cas := provide[func(*pointerRep, *faultRep, *faultRep) bool](t, "sync/atomic.Pointer.CompareAndSwap", twoViews)
	p, x, y := new(pointerRep), &faultRep{1}, &faultRep{2}
	if load(p) != nil {
		t.Error("not nil at first")
	}
	store(p, x)
	if swap(p, y) != x || cas(p, x, x) || !cas(p, y, x) || load(p) != x {
		t.Error("atomic pointer went wrong")
	}

	makeWeak := provide[func(*[4]int) weak.Pointer[[4]int]](t, "weak.Make", arg[[4]int]())
	strong := provide[func(weak.Pointer[[4]int]) *[4]int](t, "weak.Pointer.Value", arg[[4]int]())
	v := &[4]int{1, 2, 3, 4}
	w := makeWeak(v)
	if strong(w) != v || w != weak.Make(v) {
		t.Error("weak pointer lost its value")
	}
	runtime.KeepAlive(v)
}

func TestOnce(t *testing.T) {
	calls := 0
	once := provide[func(func() person) func() person](t, "sync.OnceValue", arg[person]())(func() person {
		calls++
		return person{"p", calls}
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { once() })
	}
	wg.Wait()
	if got := once(); got.Age != 1 {
		t.Errorf("called %d times", got.Age)
	}
	two := provide[func(func() (int, error)) func() (int, error)](t, "sync.OnceValues", arg[int](), arg[error]())
	f := two(func() (int, error) { panic("first") })
	for range 2 {
		func() {
			defer func() {
				if r := recover(); r != "first" {
					t.Errorf("recovered %v", r)
				}
			}()
			f()
		}()
	}
	if n, err := two(func() (int, error) { return 4, nil })(); n != 4 || err != nil {
		t.Errorf("OnceValues = %v, %v", n, err)
	}
}

func TestPull(t *testing.T) {
	pull := provide[func(iter.Seq[person]) (func() (person, bool), func())](t, "iter.Pull", arg[person]())
	next, stop := pull(slices.Values([]person{{"a", 1}, {"b", 2}}))
	a, ok1 := next()
	b, ok2 := next()
	c, ok3 := next()
	stop()
	if a.Age != 1 || b.Age != 2 || c.Age != 0 || !ok1 || !ok2 || ok3 {
		t.Error("Pull went wrong", a, b, c)
	}
	pull2 := provide[func(iter.Seq2[int, person]) (func() (int, person, bool), func())](t, "iter.Pull2", arg[int](), arg[person]())
	next2, stop2 := pull2(slices.All([]person{{"a", 1}}))
	i, p, ok := next2()
	stop2()
	_, _, after := next2()
	if i != 0 || p.Name != "a" || !ok || after {
		t.Error("Pull2 went wrong")
	}
}

func TestSmallFunctions(t *testing.T) {
	if got := provide[func(...person) person](t, "cmp.Or", arg[person]())(person{}, person{"x", 0}, person{"y", 1}); got.Name != "x" {
		t.Errorf("cmp.Or = %v", got)
	}
	if got := provide[func(...person) person](t, "cmp.Or", arg[person]())(); got != (person{}) {
		t.Errorf("cmp.Or() = %v", got)
	}
	if got := provide[func(label, label) int](t, "cmp.Compare", arg[label]())("a", "b"); got != -1 {
		t.Errorf("cmp.Compare = %v", got)
	}
	n := provide[func(level) level](t, "math/rand/v2.N", arg[level]())
	for range 100 {
		if v := n(3); v < 0 || v > 2 {
			t.Fatalf("rand.N(3) = %d", v)
		}
	}
	seed := maphash.MakeSeed()
	hashOf := provide[func(maphash.Seed, person) uint64](t, "hash/maphash.Comparable", arg[person]())
	if hashOf(seed, person{"a", 1}) != hashOf(seed, person{string([]byte("a")), 1}) || hashOf(seed, person{"a", 1}) == hashOf(seed, person{"a", 2}) {
		t.Error("maphash.Comparable went wrong")
	}
	var h maphash.Hash
	h.SetSeed(seed)
	before := h.Sum64()
	provide[func(*maphash.Hash, person)](t, "hash/maphash.WriteComparable", arg[person]())(&h, person{"a", 1})
	if h.Sum64() == before {
		t.Error("maphash.WriteComparable wrote nothing")
	}
}

func TestKeyDerivation(t *testing.T) {
	secret, salt := []byte("secret"), []byte("salt")
	h := arg[hash.Hash]()
	want, _ := hkdf.Key(sha256.New, secret, salt, "info", 40)
	got, err := provide[func(func() hash.Hash, []byte, []byte, string, int) ([]byte, error)](t, "crypto/hkdf.Key", h)(sha256.New, secret, salt, "info", 40)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("hkdf.Key = %x, %v", got, err)
	}
	want, _ = hkdf.Extract(sha256.New, secret, salt)
	got, err = provide[func(func() hash.Hash, []byte, []byte) ([]byte, error)](t, "crypto/hkdf.Extract", h)(sha256.New, secret, salt)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("hkdf.Extract = %x, %v", got, err)
	}
	want, _ = hkdf.Expand(sha256.New, want, "info", 40)
	got, err = provide[func(func() hash.Hash, []byte, string, int) ([]byte, error)](t, "crypto/hkdf.Expand", h)(sha256.New, got, "info", 40)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("hkdf.Expand = %x, %v", got, err)
	}
	want, _ = pbkdf2.Key(sha256.New, "pw", salt, 3, 20)
	got, err = provide[func(func() hash.Hash, string, []byte, int, int) ([]byte, error)](t, "crypto/pbkdf2.Key", h)(sha256.New, "pw", salt, 3, 20)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("pbkdf2.Key = %x, %v", got, err)
	}
}

// money reads and writes itself as text.
type money struct{ cents int }
type moneyRep struct{ Xcents int }

func (m *money) Scan(v any) error {
	_, err := fmt.Sscanf(v.(string), "%dc", &m.cents)
	return err
}
func (m money) Value() (driver.Value, error) { return fmt.Sprintf("%dc", m.cents), nil }

func TestSQLNull(t *testing.T) {
	type nullRep struct {
		V     moneyRep
		Valid bool
	}
	m := TypeArg{Rep: reflect.TypeFor[moneyRep](), True: reflect.TypeFor[money]()}
	scan := provide[func(*nullRep, any) error](t, "database/sql.Null.Scan", m)
	value := provide[func(nullRep) (driver.Value, error)](t, "database/sql.Null.Value", m)
	var n nullRep
	if err := scan(&n, "250c"); err != nil || n.V.Xcents != 250 || !n.Valid {
		t.Errorf("Scan: %v, %+v", err, n)
	}
	if v, err := value(n); err != nil || v != "250c" {
		t.Errorf("Value: %v, %v", v, err)
	}
	if err := scan(&n, nil); err != nil || n != (nullRep{}) {
		t.Errorf("Scan(nil): %v, %+v", err, n)
	}
	if v, err := value(n); err != nil || v != nil {
		t.Errorf("Value of null: %v, %v", v, err)
	}
	var i sql.Null[int]
	if err := provide[func(*sql.Null[int], any) error](t, "database/sql.Null.Scan", arg[int]())(&i, "12"); err != nil || i.V != 12 {
		t.Errorf("Scan into int: %v, %+v", err, i)
	}
	if err := provide[func(*sql.Null[int], any) error](t, "database/sql.Null.Scan", arg[int]())(&i, "x"); err == nil {
		t.Error("Scan of x into int worked")
	}
}

func TestCleanup(t *testing.T) {
	add := provide[func(*[8]int, func(person), person) runtime.Cleanup](t, "runtime.AddCleanup", arg[[8]int](), arg[person]())
	done := make(chan person, 1)
	func() {
		add(new([8]int), func(p person) { done <- p }, person{"gone", 1})
	}()
	for range 100 {
		runtime.GC()
		select {
		case p := <-done:
			if p.Name != "gone" {
				t.Errorf("cleanup got %v", p)
			}
			return
		default:
			runtime.Gosched()
		}
	}
	t.Error("cleanup did not run")
}

func TestLinkedInstances(t *testing.T) {
	if got, ok := Type("iter.Seq[string]"); !ok || got != reflect.TypeFor[iter.Seq[string]]() {
		t.Errorf("Type = %v, %v", got, ok)
	}
}

// A wrong signature must be refused: it would corrupt memory.
func TestWrongSignatures(t *testing.T) {
	for _, c := range []struct {
		name  string
		targs []TypeArg
		sig   reflect.Type
	}{
		{"slices.Sort", []TypeArg{arg[[]int](), arg[int]()}, reflect.TypeFor[func([]int) int]()},
		{"slices.Sort", []TypeArg{arg[[]int](), arg[int]()}, reflect.TypeFor[func(int)]()},
		{"slices.Sort", []TypeArg{arg[[]person](), arg[person]()}, reflect.TypeFor[func([]person)]()},
		{"slices.Sort", nil, reflect.TypeFor[func([]person)]()},
		{"slices.Sort", []TypeArg{{}, {}}, reflect.TypeFor[func([]person)]()},
		{"slices.Sort", nil, nil},
		{"slices.Nothing", nil, reflect.TypeFor[func()]()},
		{"sync/atomic.Pointer.Load", nil, reflect.TypeFor[func(int) int]()},
		{"math/rand/v2.N", []TypeArg{arg[float64]()}, reflect.TypeFor[func(float64) float64]()},
	} {
		if _, err := instance(c.name, c.targs, c.sig); err == nil {
			t.Errorf("%s with signature %v was provided", c.name, c.sig)
		}
	}
}

// Shapes survive the collector: elements moved by a linked function must be
// found by it.
func TestShapesUnderCollector(t *testing.T) {
	type handle *int
	insert := provide[func([]handle, int, ...handle) []handle](t, "slices.Insert", arg[[]handle](), arg[handle]())
	var s []handle
	for i := range 2000 {
		n := i
		s = insert(s, len(s)/2, &n)
		if i%200 == 0 {
			runtime.GC()
		}
	}
	seen := map[int]bool{}
	for _, h := range s {
		seen[*h] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d of 2000 values are left", len(seen))
	}
}

func BenchmarkSort(b *testing.B) {
	random := make([]level, 1_000_000)
	for i := range random {
		random[i] = level(rand.Int())
	}
	people := make([]person, 10_000)
	for i := range people {
		people[i].Age = rand.Int()
	}
	b.Run("Sort of a million named ints", func(b *testing.B) {
		sort := provide[func([]level)](b, "slices.Sort", arg[[]level](), arg[level]())
		for b.Loop() {
			b.StopTimer()
			s := slices.Clone(random)
			b.StartTimer()
			sort(s)
		}
	})
	b.Run("the same compiled", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			s := slices.Clone(random)
			b.StartTimer()
			slices.Sort(s)
		}
	})
	b.Run("SortFunc of 10000 structs", func(b *testing.B) {
		sort := provide[func([]person, func(a, b person) int)](b, "slices.SortFunc", arg[[]person](), arg[person]())
		for b.Loop() {
			b.StopTimer()
			s := slices.Clone(people)
			b.StartTimer()
			sort(s, func(a, b person) int { return a.Age - b.Age })
		}
	})
}

func BenchmarkInstance(b *testing.B) {
	targs := []TypeArg{arg[[]level](), arg[level]()}
	sig := reflect.TypeFor[func([]level, func(a, b level) int)]()
	for b.Loop() {
		if _, err := Func("slices", "SortFunc", targs, sig); err != nil {
			b.Fatal(err)
		}
	}
}
