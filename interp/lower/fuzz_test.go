package lower_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"loris/interp"
)

type silent struct{}

func (silent) Stream(string, string, string) {}

func (silent) ReadInput(string, string, bool) (string, error) { return "", nil }

// Any input becomes an outcome: nothing panics through, nothing hangs.
func FuzzCell(f *testing.F) {
	programs, _ := filepath.Glob("../testdata/programs/*.go")
	for i, p := range programs {
		if i%8 == 0 {
			src, err := os.ReadFile(p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(src))
		}
	}
	for _, src := range []string{
		"x := 1\nfunc f() int { return x }\nf()", "type T[P any] struct{ next *T[P] }\nvar t T[T[int]]", "defer func() { recover() }(); panic(1)",
		"for i := range 3 { go func() { println(i) }() }", "select { default: }", "var a [3]int; a[:], len(a)", "switch x := any(1).(type) { case int: x }",
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		s, err := interp.New(interp.Options{Sink: silent{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		s.Run(ctx, interp.Cell{ID: "a", Code: src})
		s.Run(ctx, interp.Cell{ID: "b", Code: "1"})
	})
}
