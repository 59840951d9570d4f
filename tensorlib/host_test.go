package tensorlib_test

import (
	"strings"
	"testing"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// cellHost runs one cell; the test moves its line.
type cellHost struct{ line int }

func (h *cellHost) Pos() ir.Pos                     { return ir.Pos{Cell: "cell 7", Line: h.line} }
func (h *cellHost) Done() <-chan struct{}           { return nil }
func (h *cellHost) Unwrap(v any) any                { return v }
func (h *cellHost) Globals(yield func(string, any)) {}

func TestErrorsInCellsPointToTheirLines(t *testing.T) {
	h := &cellHost{line: 1}
	lt.SetHost(h)
	defer lt.SetHost(nil)
	w := lt.Zeros(64, 32)
	h.line = 2
	err := lt.Try(func() { lt.Zeros(8, 32).MatMul(w) })
	want := `MatMul: inner dimensions differ: [8 32] @ [64 32]
  cell 7, line 2
  x  f32[8 32]  lt.Zeros  cell 7, line 2
  w  f32[64 32]  lt.Zeros  cell 7, line 1
  hint: did you mean x.MatMul(w.T())?`
	if got := err.(*lt.Error).Detail(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// A failure while computing names the line that built the op.
	bad := lt.Ones(3).Take(lt.Ints(9), 0)
	h.line = 5
	err = lt.Try(func() { bad.Eval() })
	if err == nil || !strings.Contains(err.(*lt.Error).Detail(), "line 2") {
		t.Errorf("%v", err.(*lt.Error).Detail())
	}
	html := err.(*lt.Error).MIME()["text/html"]
	if html == nil || !strings.Contains(html.(string), "line 2") {
		t.Error("the error does not show its place")
	}
}
