package interp

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The programs of testdata print what they print when compiled. The command
// conformance runs them too, each in a process of its own.
func TestPrograms(t *testing.T) {
	files, err := filepath.Glob("testdata/programs/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no programs", err)
	}
	more, err := filepath.Glob("testdata/ordinary/*/main.go")
	if err != nil || len(more) == 0 {
		t.Fatal("no ordinary programs", err)
	}
	for _, file := range append(files, more...) {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".go"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".go") + ".out")
			if err != nil {
				t.Fatal(err)
			}
			s, r := newSession(t)
			o := s.Run(context.Background(), Cell{Code: string(src)})
			if o.Err != nil {
				t.Error(strings.Join(o.Err.Traceback, "\n"))
			}
			if got := r.take(); got != string(want) {
				t.Errorf("printed %q, want %q", got, want)
			}
		})
	}
}
