package notebook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func launch(t *testing.T, mode string) *Process {
	t.Helper()
	t.Setenv("NOTEBOOK_TEST_KERNEL", mode)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	p, err := Launch(ctx, []string{os.Args[0], "{connection_file}"}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func cells(sources ...string) *Notebook {
	nb := &Notebook{}
	for i, s := range sources {
		c := &Cell{ID: fmt.Sprintf("c%d", i), Type: Code, Source: s, Metadata: map[string]any{}}
		if tag, rest, ok := strings.Cut(s, "|"); ok {
			c.Source, c.Metadata = rest, map[string]any{"tags": []any{tag}}
		}
		nb.Cells = append(nb.Cells, c)
	}
	return nb
}

// outline writes outputs in one line.
func outline(c *Cell) string {
	var parts []string
	for _, o := range c.Outputs {
		switch o.Type {
		case Stream:
			parts = append(parts, fmt.Sprintf("%s=%q", o.Name, o.Text))
		case Error:
			parts = append(parts, "error="+o.EName+" "+o.EValue)
		default:
			parts = append(parts, fmt.Sprintf("%s=%v", o.Type, o.Data["text/plain"]))
		}
	}
	return strings.Join(parts, "; ")
}

func TestRunCollectsOutputs(t *testing.T) {
	p := launch(t, "serve")
	nb := cells(
		"out a\nout b\\n\nerr e\nout c",
		"show x one\nshow - two\nvalue 42",
		"update x changed\nshow x again\nupdate y nobody",
		"out old\nclear\nout new",
		"out old\nclearwait\nout new",
		"out old\nclearwait",
		"out  1%\\r\nout  50%\\r\nout 100%\\n",
		"skip-execution|fail Must not run",
		"raises-exception|fail Expected error",
		"   ",
	)
	nb.Cells[9].Outputs = []*Output{{Type: Stream, Text: "stale"}}
	var seen []int
	err := Run(t.Context(), nb, p, RunOptions{Timeout: time.Minute, OnCell: func(i int, _ *Cell, done bool, _ error) {
		if done {
			seen = append(seen, i)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`stdout="ab\n"; stderr="e"; stdout="c"`,
		`display_data=again; display_data=two; execute_result=42`,
		`display_data=again`,
		`stdout="new"`, `stdout="new"`, `stdout="old"`, `stdout="100%\n"`, ``, `error=Expected error`, ``,
	} {
		if got := outline(nb.Cells[i]); got != want {
			t.Errorf("cell %d: got %s, want %s", i, got, want)
		}
	}
	if fmt.Sprint(seen) != "[0 1 2 3 4 5 6 8]" || nb.Cells[1].ExecutionCount != 2 || nb.Cells[1].Outputs[2].ExecutionCount != 2 || nb.Language() != "script" {
		t.Errorf("seen %v, counts %d %d, language %s", seen, nb.Cells[1].ExecutionCount, nb.Cells[1].Outputs[2].ExecutionCount, nb.Language())
	}
}

func TestRunStopsAtTheFirstErrorUnlessAllowed(t *testing.T) {
	p := launch(t, "serve")
	nb := cells("out a", "fail Oops it broke", "out b")
	err := Run(t.Context(), nb, p, RunOptions{})
	var ce *CellError
	if !errors.As(err, &ce) || err.Error() != "cell 2 (id c1): Oops: it broke" || ce.Index != 1 || len(ce.Traceback) != 1 || outline(nb.Cells[2]) != "" {
		t.Errorf("%v; third cell: %s", err, outline(nb.Cells[2]))
	}
	if err := Run(t.Context(), nb, p, RunOptions{AllowErrors: true}); err != nil || outline(nb.Cells[2]) != `stdout="b"` {
		t.Errorf("%v; third cell: %s", err, outline(nb.Cells[2]))
	}
}

func TestCellThatRunsTooLongIsInterrupted(t *testing.T) {
	p := launch(t, "serve")
	nb := cells("sleep", "out after")
	err := Run(t.Context(), nb, p, RunOptions{Timeout: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "cell 1 (id c0): Timeout: the cell ran too long (limit 50ms) and was interrupted") {
		t.Error(err)
	}
	if got := outline(nb.Cells[0]); got != "error=Interrupted by request" {
		t.Error(got)
	}
	if err := Run(t.Context(), cells("out still alive"), p, RunOptions{}); err != nil {
		t.Error(err)
	}
}

func TestCancellingARunInterruptsTheCell(t *testing.T) {
	p := launch(t, "serve")
	ctx, cancel := context.WithCancel(t.Context())
	nb := cells("sleep")
	err := Run(ctx, nb, p, RunOptions{OnCell: func(int, *Cell, bool, error) { cancel() }})
	if !errors.Is(err, context.Canceled) || outline(nb.Cells[0]) != "error=Interrupted by request" {
		t.Errorf("%v, %s", err, outline(nb.Cells[0]))
	}
}

func TestDeadKernelIsReportedWithItsLastWords(t *testing.T) {
	p := launch(t, "serve")
	nb := cells("out before", "die", "out never")
	err := Run(t.Context(), nb, p, RunOptions{AllowErrors: true})
	if !errors.Is(err, ErrKernelGone) || !strings.Contains(err.Error(), "cell 2 (id c1)") || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "last words") {
		t.Error(err)
	}
	if outline(nb.Cells[0]) != `stdout="before"` {
		t.Error("what ran before is lost")
	}
}

func TestKernelThatCannotStartIsExplained(t *testing.T) {
	t.Setenv("NOTEBOOK_TEST_KERNEL", "crash")
	_, err := Launch(t.Context(), []string{os.Args[0], "{connection_file}"}, "")
	if !errors.Is(err, ErrKernelGone) || !strings.Contains(err.Error(), "cannot start: no such thing") {
		t.Error(err)
	}
	t.Setenv("NOTEBOOK_TEST_KERNEL", "silent")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Launch(ctx, []string{os.Args[0], "{connection_file}"}, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := Launch(t.Context(), []string{"/no/such/program"}, ""); err == nil {
		t.Error("started what is not there")
	}
}

func TestOverwriting(t *testing.T) {
	for in, want := range map[string]string{"a\rb": "b", "abc\rx": "xbc", "a\r\n": "a\n", "é\b\bx": "x", "1\n22\r3": "1\n32", "a\r": "a\r"} {
		if got := overwrite(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestCheckFindsAPlantedWrongValue(t *testing.T) {
	p := launch(t, "serve")
	stored := cells("out loss 0.25\nvalue 42", "loris:measured|out took 17 ms", "raises-exception|fail Expected error")
	if err := Run(t.Context(), stored, p, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	stored.Cells[1].Outputs[0].Text = "took 12 ms" // a measurement is free to change
	delete(stored.Metadata, "language_info")
	if _, c, err := Check(t.Context(), stored, p, RunOptions{}); err != nil || !c.OK() || c.Compared != 2 || c.Measured != 1 {
		t.Fatalf("%v\n%v", err, c)
	}
	if stored.Metadata["language_info"] != nil || outline(stored.Cells[1]) != `stdout="took 12 ms"` {
		t.Error("checking changed the stored notebook")
	}
	for plant, c := range map[string]func(){
		"stdout":        func() { stored.Cells[0].Outputs[0].Text = "loss 0.26" },
		"output 1":      func() { stored.Cells[0].Outputs[1].Data = map[string]any{"text/plain": "43"} },
		"error":         func() { stored.Cells[2].Outputs[0].EValue = "another" },
		"not in the st": func() { stored.Cells[0].Outputs = nil },
	} {
		keep := stored.Clone()
		c()
		_, comparison, err := Check(t.Context(), stored, p, RunOptions{})
		if err != nil || comparison.OK() || !strings.Contains(comparison.String(), plant) {
			t.Errorf("%s: %v\n%v", plant, err, comparison)
		}
		stored = keep
	}
}

func BenchmarkCollectManySmallWrites(b *testing.B) {
	for b.Loop() {
		c := newCollector()
		c.start("id", &Cell{})
		for range 100000 {
			c.take(Message{Type: "stream", Parent: "id", Content: map[string]any{"name": "stdout", "text": "a line of output\n"}})
		}
		c.cells["id"].settle()
	}
}
