package interp

import (
	"context"
	"strings"
	"testing"
	"time"

	"loris/internal/ir"
)

// The library calls a kernel's CPU function on goroutines of its own.
func TestKernelsOfCells(t *testing.T) {
	s, r := newSession(t)
	_, o := cell(t, s, r, `bad := &lt.Kernel{Name: "bad", Metal: "float v = 1;\nno", CPU: func(in, out [][]float32, lo, hi int) {
	for i := lo; i < hi; i++ {
		out[0][i] = in[0][i+1]
	}
}}
lt.Eval(bad.Run(lt.KernelCall{Shapes: [][]int{{4}}}, lt.Of(1, 2, 3, 4))[0])`)
	if o.Err == nil || !strings.Contains(strings.Join(o.Err.Traceback, "\n"), "cell 1, line 3") || !strings.Contains(o.Err.Value, "index out of range [4]") {
		t.Errorf("a panic in a kernel: %+v", o.Err)
	}
	if out, o := cell(t, s, r, `fmt.Println(lt.Of(1, 2).Sum().Item())`); out != "3\n" {
		t.Errorf("the next cell printed %q, %v", out, o.Err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	done := make(chan Outcome, 1)
	go func() {
		done <- s.Run(ctx, Cell{Code: `forever := &lt.Kernel{CPU: func(in, out [][]float32, lo, hi int) { for {} }}
lt.Eval(forever.Run(lt.KernelCall{Shapes: [][]int{{4}}})[0])`})
	}()
	select {
	case o := <-done:
		if o.Err == nil || !strings.Contains(strings.ToLower(o.Err.Value), "interrupted") {
			t.Errorf("an interrupted kernel: %v", o.Err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a kernel cannot be interrupted")
	}
	if out, o := cell(t, s, r, `fmt.Println(lt.Of(1, 2).Exp().Sum().Item() > 10)`); out != "true\n" {
		t.Errorf("the cell after that printed %q, %v", out, o.Err)
	}
}

func TestTextIsFoundInTheNewestCell(t *testing.T) {
	s, r := newSession(t)
	source := "a();\n\tb();"
	for range 2 {
		cell(t, s, r, "x := `"+source+"`")
	}
	cell(t, s, r, "y := 1\nz := `"+source+"`")
	if at, ok := ir.Find(source); !ok || at != (ir.Pos{Cell: "cell 3", Line: 2, Col: 7}) {
		t.Errorf("found at %+v, %v", at, ok)
	}
	if at, ok := ir.Find("nowhere()"); ok {
		t.Errorf("found at %+v what no cell has", at)
	}
}
