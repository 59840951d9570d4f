// Conformance runs Go programs as cells and compares what they print with
// compiled Go: our own set of small programs and the Go project's own tests.
// Each runs in a process of its own. It writes build/conformance.json and
// prints a line per failure and a summary.
//
// Outcomes: pass; refused (stopped before it ran, with a message); error (a
// failure that says so); timeout; wrong (it ran and its output differs, or its
// own check failed).
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// row is one program's outcome.
type row struct {
	Suite   string `json:"suite"`
	Program string `json:"program"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
}

func main() {
	worker := flag.String("worker", "", "run one program and print its result (used by the command itself)")
	programs := flag.String("programs", "interp/testdata/programs", "folder of the small programs")
	out := flag.String("o", "build/conformance.json", "where to write the outcomes")
	only := flag.String("only", "", "run only programs whose name contains this")
	suite := flag.String("suite", "", "run only this suite: programs or go")
	jobs := flag.Int("j", 2, "programs run at once")
	flag.Parse()
	if *worker != "" {
		runWorker(*worker)
		return
	}
	if err := run(*programs, *out, *only, *suite, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(programs, out, only, suite string, jobs int) error {
	var cases []testCase
	if suite != "go" {
		list, err := smallPrograms(programs)
		if err != nil {
			return err
		}
		cases = append(cases, list...)
	}
	if suite != "programs" {
		list, err := goTests()
		if err != nil {
			return err
		}
		cases = append(cases, list...)
	}
	if only != "" {
		var some []testCase
		for _, c := range cases {
			if strings.Contains(c.name, only) {
				some = append(some, c)
			}
		}
		cases = some
	}
	rows := runAll(cases, jobs)
	for _, r := range rows {
		if r.Outcome != "pass" {
			fmt.Printf("%-8s %-8s %s: %s\n", r.Outcome, r.Suite, r.Program, r.Reason)
		}
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(map[string]any{"rows": rows}, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, append(data, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Println(summary(rows))
	return nil
}

func summary(rows []row) string {
	count := map[string]int{}
	total := map[string]int{}
	for _, r := range rows {
		count[r.Suite+" "+r.Outcome]++
		total[r.Suite]++
	}
	return fmt.Sprintf("programs: %d/%d\ngo tests: %d/%d (%d refused, %d error, %d timeout, %d wrong)",
		count["programs pass"], total["programs"], count["go pass"], total["go"],
		count["go refused"], count["go error"], count["go timeout"], count["go wrong"])
}
