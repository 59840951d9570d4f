package interp

import (
	"context"
	"strings"
	"testing"
)

func BenchmarkTrivialCell(b *testing.B) {
	s, _ := newSession(b)
	for b.Loop() {
		if o := s.Run(context.Background(), Cell{Code: "1 + 1"}); o.Err != nil {
			b.Fatal(o.Err)
		}
	}
}

// A cell of a hundred lines: statements and functions half and half.
func BenchmarkHundredLines(b *testing.B) {
	var src strings.Builder
	for i := range 25 {
		n := string(rune('a' + i))
		src.WriteString("func f" + n + "(x int) int {\n\treturn x*2 + 1\n}\n")
		src.WriteString("v" + n + " := f" + n + "(3)\n")
	}
	s, _ := newSession(b)
	for b.Loop() {
		if o := s.Run(context.Background(), Cell{Code: src.String()}); o.Err != nil {
			b.Fatal(o.Err)
		}
	}
}

func BenchmarkSessionStart(b *testing.B) {
	for b.Loop() {
		s, _ := newSession(b)
		if o := s.Run(context.Background(), Cell{Code: `fmt.Sprint("ready")`}); o.Err != nil {
			b.Fatal(o.Err)
		}
	}
}
