// Command parity replays a fixture of PyTorch's results: random calls of every
// op, random graphs and training steps go through this library lazily, and
// values and gradients are compared. It prints what differs and a summary, and
// exits with 1 if anything does.
//
// The fixture is made by scripts/parity/generate.py.
package main

import (
	"flag"
	"fmt"
	"os"
)

// Summary counts what was replayed.
type Summary struct {
	Calls, Graphs, Failed, Skipped int
}

// String is the line that a run ends with.
func (s Summary) String() string {
	return fmt.Sprintf("parity: %d calls, %d graphs, %d failed, %d skipped", s.Calls, s.Graphs, s.Failed, s.Skipped)
}

// replayAll replays the cases that want selects, the rest counts as skipped.
func (s *Suite) replayAll(want func(c *Case) bool, report func(c *Case, failure string)) Summary {
	var sum Summary
	for _, c := range s.Cases {
		if !want(c) {
			sum.Skipped++
			continue
		}
		if c.Kind == "graph" {
			sum.Graphs++
		} else {
			sum.Calls++
		}
		failures := s.replay(c)
		if len(failures) > 0 {
			sum.Failed++
		}
		for _, f := range failures {
			report(c, f)
		}
	}
	return sum
}

// uses reports whether a case calls an op; "" is any.
func (c *Case) uses(op string) bool {
	for _, s := range c.Code {
		if s.Op == op {
			return true
		}
	}
	return op == ""
}

func main() {
	only := flag.Int("case", -1, "replay one case")
	op := flag.String("op", "", "replay the cases that use an op")
	path := flag.String("fixture", "", "read this file instead of the embedded one")
	flag.Parse()
	if *path != "" {
		b, err := os.ReadFile(*path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		packed = b
	}
	s, err := load(packed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
	sum := s.replayAll(func(c *Case) bool { return (*only < 0 || c.Number == *only) && c.uses(*op) },
		func(c *Case, failure string) { fmt.Printf("%v: %s\n", c, failure) })
	fmt.Println(sum)
	if sum.Failed > 0 || sum.Calls+sum.Graphs == 0 {
		os.Exit(1)
	}
}
