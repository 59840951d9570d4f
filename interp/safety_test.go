package interp

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// each of these ends as an error of its cell; the session goes on.
func TestCellsThatGoWrong(t *testing.T) {
	s, r := newSession(t)
	cell(t, s, r, "kept := 42\nvar mu sync.Mutex")
	for _, c := range []struct{ name, code, err string }{
		{"infinite recursion", "func rec(n int) int { return rec(n+1) + 1 }\nrec(0)", "stack overflow"},
		{"recursion of methods", "type R struct{ next *R }\nfunc (r *R) f() int { return r.f() + 1 }\n(&R{}).f()", "stack overflow"},
		{"recursion through compiled code", "type L []int\nfunc (l L) String() string { return fmt.Sprint(l) }\nvar lss func(i, j int) bool\nlss = func(i, j int) bool { sort.Slice([]int{2, 1}, lss); return false }\nsort.Slice([]int{2, 1}, lss)", "stack overflow"},
		{"panic", `panic(fmt.Errorf("boom %d", 1))`, "boom 1"},
		{"goroutine panic", "done := make(chan bool)\ngo func() { defer close(done); panic(\"in goroutine\") }()\n<-done; time.Sleep(20*time.Millisecond)", "in goroutine"},
		{"goroutine panic that others wait for", "done2 := make(chan bool)\ngo func() { panic(\"before done\"); close(done2) }()\n<-done2", "before done"},
		{"panic of a timer", "time.AfterFunc(0, func() { panic(\"in a timer\") }); select {}", "in a timer"},
		{"panic of an iterator in a coroutine", "next, _ := iter.Pull(func(func(int) bool) { panic(\"in seq\") })\nnext()", "in seq"},
		{"os.Exit in a goroutine", "go os.Exit(4); select {}", "os.Exit(4)"},
		{"more memory than there is", "make([]byte, 1<<45)", "out of memory: 32768.0 GiB wanted"},
		{"os.Exit", "os.Exit(3)", "os.Exit(3)"},
		{"log.Fatal", `log.Fatal("bye")`, "os.Exit(1)"},
		{"nil map", "var m map[string]int; m[\"a\"] = 1", "assignment to entry in nil map"},
		{"division by zero", "z := 0; 1 / z", "integer divide by zero"},
		{"negative make", "n := -1; make([]int, n)", "makeslice: len out of range"},
		{"type assertion", "var a any = 1; a.(string)", "interface conversion: interface {} is int, not string"},
		{"close of closed channel", "c := make(chan int); close(c); close(c)", "close of closed channel"},
	} {
		out, o := cell(t, s, r, c.code)
		if o.Err == nil || !strings.Contains(o.Err.Value, c.err) {
			t.Errorf("%s: error %v, want %q (printed %q)", c.name, o.Err, c.err, out)
		}
		if _, o := cell(t, s, r, "kept"); o.Value == nil || o.Value.Data["text/plain"] != "42" {
			t.Fatalf("%s: the session is lost: %v", c.name, o.Err)
		}
	}
}

func TestInterrupt(t *testing.T) {
	for name, code := range map[string]string{
		"loop":               "for {}",
		"counting loop":      "for i := 0; ; i++ { kept = 42 }",
		"goto loop":          "func spin() { again: goto again }\nspin()",
		"calls":              "func a(n int) { if n > 0 { a(n-1) } }\nfor { a(10) }",
		"receive":            "<-make(chan int)",
		"send":               "make(chan int) <- 1",
		"range of channel":   "for range make(chan int) {}",
		"nil channel":        "var c chan int; <-c",
		"empty select":       "select {}",
		"select":             "select { case <-make(chan int): case make(chan int) <- 1: }",
		"sleep":              "time.Sleep(time.Hour)",
		"http":               "ln, _ := net.Listen(\"tcp\", \"127.0.0.1:0\"); http.Get(\"http://\" + ln.Addr().String())",
		"cond":               "var mu sync.Mutex; mu.Lock(); sync.NewCond(&mu).Wait()",
		"tensors":            "x := lt.Ones(512, 512); for { lt.Eval(x.MatMul(x)) }",
		"mutex":              "var mu sync.Mutex; mu.Lock(); mu.Lock()",
		"wait group":         "var wg sync.WaitGroup; wg.Add(1); wg.Wait()",
		"callback":           "sort.Slice([]int{3, 2, 1}, func(i, j int) bool { for {} })",
		"callback elsewhere": "d := make(chan bool); time.AfterFunc(0, func() { for {} }); <-d",
		"deferred loop":      "func f() { defer func() { for {} }(); for {} }\nf()",
		"recovering loop":    "func g() { defer func() { recover() }(); for {} }\nfor { g() }",
		"map iteration":      "m := map[int]int{1: 1}; for { for range m {} }",
		"iterator":           "for range func(yield func() bool) { for yield() {} } {}",
	} {
		t.Run(name, func(t *testing.T) {
			s, r := newSession(t)
			cell(t, s, r, "kept := 42")
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
			defer cancel()
			start := time.Now()
			o := s.Run(ctx, Cell{Code: code})
			if o.Err == nil || o.Err.Name != "Interrupted" {
				t.Fatalf("got %v", o.Err)
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("took %v", d)
			}
			if _, o := cell(t, s, r, "kept"); o.Value == nil || o.Value.Data["text/plain"] != "42" {
				t.Errorf("variables are lost: %v", o.Err)
			}
		})
	}
}

func TestInterruptedCellsDoNotWake(t *testing.T) {
	s, r := newSession(t)
	cell(t, s, r, "x := 1\nvar mu sync.Mutex\nmu.Lock()")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	s.Run(ctx, Cell{Code: "mu.Lock(); x = 777; fmt.Println(\"woken\")"})
	cell(t, s, r, "mu.Unlock()")
	time.Sleep(50 * time.Millisecond)
	if out, o := cell(t, s, r, "x"); o.Value.Data["text/plain"] != "1" || strings.Contains(out, "woken") {
		t.Errorf("x is %v, printed %q", o.Value.Data["text/plain"], out)
	}
}

func TestBackgroundGoroutinesPrintInTheirCell(t *testing.T) {
	got := make(chan string, 100)
	s, err := New(Options{Sink: streamFunc(func(cell, name, text string) { got <- cell + ":" + text })})
	if err != nil {
		t.Fatal(err)
	}
	s.Run(context.Background(), Cell{ID: "a", Code: "next := make(chan int)\ngo func() { for n := range next { fmt.Println(n); fmt.Fprintln(os.Stdout, \"file\") } }()"})
	s.Run(context.Background(), Cell{ID: "b", Code: "next <- 7; time.Sleep(10*time.Millisecond); fmt.Println(\"own\")"})
	var all []string
	for range 3 {
		select {
		case s := <-got:
			all = append(all, s)
		case <-time.After(2 * time.Second):
			t.Fatal("nothing more was printed after", all)
		}
	}
	text := strings.Join(all, "")
	for _, want := range []string{"a:7\n", "a:file\n", "b:own\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
}

type streamFunc func(cell, name, text string)

func (f streamFunc) Stream(cell, name, text string) { f(cell, name, text) }

func (f streamFunc) ReadInput(string, string, bool) (string, error) { return "", nil }

// A server recovers the panics of its handlers; the cell is told and goes on.
func TestPanicOfAHandler(t *testing.T) {
	s, r := newSession(t)
	out, o := cell(t, s, r, "srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(\"handler\") }))\n"+
		"_, err := http.Get(srv.URL)\nsrv.Close()\nfmt.Println(err != nil)")
	if o.Err != nil || !strings.Contains(out, "panic: handler") || !strings.HasSuffix(out, "true\n") || strings.Contains(out, "goroutine ") {
		t.Errorf("%v, printed %q", o.Err, out)
	}
}

func TestMemoryLimit(t *testing.T) {
	s, r := newSession(t)
	if _, o := cell(t, s, r, "%limit mem=200MB\nvar kept = 1"); o.Err != nil {
		t.Fatal(o.Err)
	}
	defer cell(t, s, r, "%limit off")
	for name, code := range map[string]string{
		"growing":  "var all [][]byte; defer func() { all = nil }(); for { all = append(all, make([]byte, 1<<20)) }",
		"at once":  "b := make([]byte, 1<<30)",
		"doubling": `x := strings.Repeat("x", 1<<20); defer func() { x = "" }(); for { x += x }`,
		"in a map": "m := map[int][]int{}; defer func() { clear(m) }(); for i := 0; ; i++ { m[i] = make([]int, 1000) }",
	} {
		if _, o := cell(t, s, r, code); o.Err == nil || !strings.Contains(o.Err.Value, "limit") {
			t.Errorf("%s: %v", name, o.Err)
		}
	}
	if _, o := cell(t, s, r, "for range 100 { b := make([]byte, 20<<20); b[0] = 1 }\nkept"); o.Err != nil {
		t.Errorf("garbage counted: %v", o.Err)
	}
}

// What a session says of its limits gives the next one the same.
func TestLimitsFromTheStart(t *testing.T) {
	first, r := newSession(t)
	if first.Limits() != "" {
		t.Errorf("limits %q before any was set", first.Limits())
	}
	cell(t, first, r, "%limit mem=1.5G time=80ms")
	defer cell(t, first, r, "%limit off")
	second, err := New(Options{Sink: r, Limits: first.Limits()})
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := cell(t, second, r, "%limit"); out != "mem=1.5 GiB  time=80ms\n" {
		t.Errorf("limits %q", out)
	}
	if _, o := cell(t, second, r, "for {}"); o.Err == nil || !strings.Contains(o.Err.Value, "limit") {
		t.Errorf("a cell without end: %v", o.Err)
	}
	if _, err := New(Options{Sink: r, Limits: "mem=lots"}); err == nil || !strings.Contains(err.Error(), "lots") {
		t.Errorf("bad limits: %v", err)
	}
}

// Showing a value calls its methods, as part of the cell.
func TestMethodsThatPanicWhileAValueIsShown(t *testing.T) {
	s, r := newSession(t)
	cell(t, s, r, "type Bad struct{}\nfunc (Bad) String() string { panic(\"in String\") }\n"+
		"type Worse struct{}\nfunc (Worse) Error() string { panic(\"in Error\") }\n"+
		"type Page struct{}\nfunc (Page) MIME() map[string]any { var m map[string]any; m[\"x\"] = 1; return m }\n"+
		"type Slow struct{}\nfunc (Slow) String() string { for {} }")
	for _, c := range []struct{ code, want string }{
		{"Bad{}", "in String"},
		{"[]any{Bad{}, 1}", "in String"},
		{"panic(Worse{})", "Error"},
		{"panic(Bad{})", ""},
		{"Page{}", ""},
		{"go panic(Worse{}); select {}", "Error"},
	} {
		done := make(chan Outcome, 1)
		go func() { done <- s.Run(context.Background(), Cell{Code: c.code}) }()
		select {
		case o := <-done:
			got := fmt.Sprint(o.Err)
			if o.Value != nil {
				got = fmt.Sprint(o.Value.Data["text/plain"])
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("%s: %s", c.code, got)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s hangs", c.code)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if o := s.Run(ctx, Cell{Code: "Slow{}"}); o.Err == nil || o.Err.Name != "Interrupted" {
		t.Errorf("showing for ever: %v", o.Err)
	}
}
