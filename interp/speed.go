package interp

import (
	"context"
	"errors"
	"fmt"
	"io"

	yaegi "github.com/traefik/yaegi/interp"
)

// SpeedCase is a program for comparing the session with raw yaegi: both run
// Setup once and then Run, which takes some milliseconds in yaegi. A case
// without Run compares nothing and times Session alone.
type SpeedCase struct {
	Name  string
	Setup string // functions, as both understand them
	Run   string // one statement
}

// SpeedCases are what the bench suite of the interpreter runs: tight loops
// without calls, and calls.
func SpeedCases() []SpeedCase {
	return []SpeedCase{
		{"loop_int", "func loopInt() int { s := 0; for i := 0; i < 100000; i++ { s = s + i*3 - s/7 }; return s }", "loopInt()"},
		{"loop_float", "func loopFloat() float64 { x := 1.0; for i := 0; i < 100000; i++ { x = x*1.0000001 + 0.5 }; return x }", "loopFloat()"},
		{"loop_slice", "func loopSlice() int { a := make([]int, 1000); s := 0; for k := 0; k < 50; k++ { for i := 0; i < len(a); i++ { a[i] = a[i] + i; s = s + a[i] } }; return s }", "loopSlice()"},
		{"loop_range", "func loopRange() int { a := make([]int, 1000); s := 0; for k := 0; k < 100; k++ { for i, v := range a { s = s + v + i } }; return s }", "loopRange()"},
		{"calls_fib", "func fib(n int) int { if n < 2 { return n }; return fib(n-1) + fib(n-2) }", "fib(18)"},
		{"calls_closure", "func closures() int { n := 0; f := func(d int) { n = n + d }; for i := 0; i < 10000; i++ { f(i) }; return n }", "closures()"},
		{"calls_method", "type counter struct{ n int }\nfunc (c *counter) add(d int) { c.n = c.n + d }\nfunc methods() int { c := &counter{}; for i := 0; i < 10000; i++ { c.add(i) }; return c.n }", "methods()"},
		{"calls_interface", "type shape interface{ area() int }\ntype square struct{ side int }\nfunc (s square) area() int { return s.side * s.side }\nfunc interfaces() int { var s shape = square{3}; n := 0; for i := 0; i < 10000; i++ { n = n + s.area() }; return n }", "interfaces()"},
		{"map_insert", "func maps() int { m := map[int]int{}; for i := 0; i < 10000; i++ { m[i%1000] = i }; return len(m) }", "maps()"},
	}
}

// Prepare returns functions that run the case once, in a session and in yaegi.
func (c SpeedCase) Prepare() (ours, raw func() error, err error) {
	s, err := New(Options{Sink: silent{}})
	if err != nil {
		return nil, nil, err
	}
	if e := s.Run(context.Background(), Cell{Code: c.Setup}).Err; e != nil {
		return nil, nil, e
	}
	run, err := s.Repeat(c.Run)
	if err != nil {
		return nil, nil, err
	}
	y := yaegi.New(yaegi.Options{Stdout: io.Discard, Stderr: io.Discard})
	if _, err := y.Eval("package main\n" + c.Setup + "\nfunc measured() { " + c.Run + " }"); err != nil {
		return nil, nil, fmt.Errorf("yaegi: %w", err)
	}
	v, err := y.Eval("main.measured")
	if err != nil {
		return nil, nil, fmt.Errorf("yaegi: %w", err)
	}
	measured := v.Interface().(func())
	return func() error { return run(context.Background(), 1) }, func() error { measured(); return nil }, nil
}

// Repeat compiles code once and returns a function that runs it n times as one
// cell, displaying nothing.
func (s *Session) Repeat(code string) (run func(ctx context.Context, n int) error, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	h := &cellHost{s: s, cell: Cell{Silent: true}, name: s.cellName(Cell{})}
	return h.Repeat(code)
}

type silent struct{}

func (silent) Stream(string, string, string) {}

func (silent) ReadInput(string, string, bool) (string, error) {
	return "", errors.New("there is no input")
}
