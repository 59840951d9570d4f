package tensorlib_test

import (
	"strings"
	"testing"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// cellHost runs one cell; the test moves its line.
type cellHost struct {
	line    int
	globals map[string]any
}

func (h *cellHost) Pos() ir.Pos           { return ir.Pos{Cell: "cell 7", Line: h.line} }
func (h *cellHost) Done() <-chan struct{} { return nil }
func (h *cellHost) Unwrap(v any) any      { return v }
func (h *cellHost) Globals(yield func(string, any)) {
	for name, v := range h.globals {
		yield(name, v)
	}
}

// What variables of cells wait for is told by the line that called it.
func TestStatsTellWhatWaits(t *testing.T) {
	h := &cellHost{line: 1}
	lt.SetHost(h)
	defer lt.SetHost(nil)
	x := lt.Of(1, 2).Add(1) // nobody holds the sum
	h.line = 2
	y := x.Mul(0.5).Exp()
	h.line = 3
	z := y.Sum()
	h.globals = map[string]any{"y": y, "z": []*lt.Tensor{z, nil}, "n": 5}
	waiting := func() (total int, lines map[string]int) {
		s := lt.GetStats()
		lines = map[string]int{}
		for _, l := range s.Lines {
			if l.Waiting > 0 {
				lines[l.Place] = l.Waiting
			}
		}
		return s.Waiting, lines
	}
	total, lines := waiting()
	if total != 4 || lines["cell 7, line 1"] != 1 || lines["cell 7, line 2"] != 2 || lines["cell 7, line 3"] != 1 {
		t.Errorf("%d: %v", total, lines)
	}
	before := lt.GetStats()
	lt.Eval(y, z)
	if total, lines := waiting(); total != 0 {
		t.Errorf("after the evaluation %d: %v", total, lines)
	}
	after := lt.GetStats()
	if after.Kernels <= before.Kernels || after.Evals != before.Evals+1 {
		t.Errorf("%d steps, %d evaluations more", after.Kernels-before.Kernels, after.Evals-before.Evals)
	}
	lt.SetLimit(1 << 40)
	defer lt.SetLimit(0)
	if s := lt.GetStats(); s.Limit != 1<<40 || !strings.HasPrefix(s.Random, "key 00000000") || !strings.Contains(s.String(), "1 TiB") {
		t.Errorf("%v", s)
	}
}

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
