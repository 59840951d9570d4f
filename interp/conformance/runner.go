package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"loris/interp"
)

const timeout = 90 * time.Second

// result is what a worker reports on its standard output.
type result struct {
	Output  string
	Err     string
	Refused bool
	Exit    int
	Ended   bool // the program ended by its own: not by an error of ours
}

// sink collects what a program prints.
type sink struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (s *sink) Stream(_, _, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.WriteString(text)
}

func (s *sink) ReadInput(string, string, bool) (string, error) { return "", errors.New("no input") }

// runWorker runs one program as a cell.
func runWorker(path string) {
	src, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out := &sink{}
	session, err := interp.New(interp.Options{Sink: out})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	o := session.Run(context.Background(), interp.Cell{ID: "program", Count: 1, Code: string(src)})
	var r result
	if e := o.Err; e != nil {
		r.Err = e.Name + ": " + e.Value
		r.Refused = e.Refused
		if e.ExitCode != nil {
			r.Exit = *e.ExitCode
		}
		if os.Getenv("CONFORMANCE_TRACE") != "" {
			fmt.Fprintln(os.Stderr, strings.Join(e.Traceback, "\n"))
		}
	}
	out.mu.Lock()
	r.Output = out.out.String()
	out.mu.Unlock()
	json.NewEncoder(os.Stdout).Encode(r)
}

func runAll(cases []testCase, jobs int) []row {
	rows := make([]row, len(cases))
	next := make(chan int)
	var wg sync.WaitGroup
	for range jobs {
		wg.Go(func() {
			for i := range next {
				rows[i] = runCase(cases[i])
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	wg.Wait()
	return rows
}

func runCase(c testCase) row {
	r := row{Suite: c.suite, Program: c.name}
	exe, err := os.Executable()
	if err != nil {
		r.Outcome, r.Reason = "error", err.Error()
		return r
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-worker", c.path)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2", "GOMEMLIMIT=2GiB")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var res result
	switch {
	case ctx.Err() != nil:
		r.Outcome, r.Reason = "timeout", fmt.Sprintf("more than %v", timeout)
	case err != nil:
		r.Outcome, r.Reason = "error", "worker: "+firstLines(stderr.String())
	case json.Unmarshal(stdout.Bytes(), &res) != nil:
		r.Outcome, r.Reason = "error", "worker printed "+firstLines(stdout.String())
	default:
		r.Outcome, r.Reason = judge(res, c.want)
	}
	return r
}

func judge(res result, want string) (outcome, reason string) {
	switch {
	case res.Refused:
		return "refused", res.Err
	case strings.Contains(res.Err, "internal error"):
		return "error", res.Err
	case res.Err != "":
		return "wrong", res.Err + " | " + firstLines(res.Output)
	case res.Output != want:
		return "wrong", difference(res.Output, want)
	}
	return "pass", ""
}

func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := 0; i < len(g) || i < len(w); i++ {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("line %d: got %.120q, want %.120q", i+1, a, b)
		}
	}
	return "differs"
}

func firstLines(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 300 {
		s = s[:300]
	}
	return strings.ReplaceAll(s, "\n", " / ")
}
