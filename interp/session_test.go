package interp

import (
	"context"
	"strings"
	"sync"
	"testing"
)

// recorder keeps what cells print.
type recorder struct {
	mu  sync.Mutex
	out strings.Builder
}

func (r *recorder) Stream(cell, name, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.WriteString(text)
}

func (r *recorder) ReadInput(cell, prompt string, password bool) (string, error) { return "", nil }

func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.out.String()
	r.out.Reset()
	return s
}

func newSession(t testing.TB) (*Session, *recorder) {
	r := &recorder{}
	s, err := New(Options{Sink: r})
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func cell(t testing.TB, s *Session, r *recorder, code string) (out string, o Outcome) {
	t.Helper()
	o = s.Run(context.Background(), Cell{Code: code})
	return r.take(), o
}

func TestCells(t *testing.T) {
	s, r := newSession(t)
	for _, c := range []struct{ code, out, value, err string }{
		{`x := 1`, "", "", ""},
		{`x + 1`, "", "2", ""},
		{`fmt.Println(x, "hi")`, "1 hi\n", "", ""},
		{"x := x * 10\nfunc f(n int) int { return n + x }\nf(5)", "", "15", ""},
		{"x = 3; f(5)", "", "8", ""},
		{"type T struct{ a int; B string }\nfunc (t T) String() string { return fmt.Sprint(\"T:\", t.a) }\nt := T{1, \"b\"}\nt", "", "T:1", ""},
		{"var e error; e == nil", "", "true", ""},
		{"s := []int{3,1,2}\nslices.Sort(s)\ns", "", "[1 2 3]", ""},
		{"for i := range 3 { defer fmt.Print(i) }", "210", "", ""},
		{"type Disc struct{ R int }\ntype P struct{}\nfunc (P) Disc() int { return 1 }\nDisc{2}.R", "", "2", ""},
		{"y := undefinedName", "", "", "undefined: undefinedName"},
		{"var p *T; p.a", "", "", "nil pointer dereference"},
		{"s[7]", "", "", "index out of range [7] with length 3"},
	} {
		out, o := cell(t, s, r, c.code)
		if o.Err != nil {
			if c.err == "" || !strings.Contains(o.Err.Value, c.err) {
				t.Errorf("%s: %v\n%s", c.code, o.Err, strings.Join(o.Err.Traceback, "\n"))
			}
			continue
		}
		if c.err != "" {
			t.Errorf("%s: no error, want %q", c.code, c.err)
		}
		if out != c.out && !(o.Value != nil && strings.HasPrefix(c.code, "fmt.Println")) {
			t.Errorf("%s: printed %q, want %q", c.code, out, c.out)
		}
		if c.value != "" && (o.Value == nil || o.Value.Data["text/plain"] != c.value) {
			t.Errorf("%s: value %v, want %s", c.code, o.Value, c.value)
		}
	}
}

// The error that a call returns is shown only if there is one.
func TestNilErrorOfACallIsNotShown(t *testing.T) {
	s, r := newSession(t)
	for _, c := range []struct{ code, value string }{
		{`bufio.NewWriter(io.Discard).Flush()`, ""},
		{`strconv.Atoi("12")`, "12"},
		{`strconv.Atoi("x")`, "0\nstrconv.Atoi: parsing \"x\": invalid syntax"},
		{"func two() (int, string, error) { return 1, \"b\", nil }\ntwo()", "1\nb"},
		{"_, err := two2()\nfunc two2() (int, error) { return 1, nil }\nerr", "<nil>"},
	} {
		_, o := cell(t, s, r, c.code)
		got := ""
		if o.Err != nil {
			t.Error(o.Err)
		}
		if o.Value != nil {
			got = o.Value.Data["text/plain"].(string)
		}
		if got != c.value {
			t.Errorf("%s shows %q, want %q", c.code, got, c.value)
		}
	}
}
