package worker

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
)

// Death says why a worker process ended. It is an error whose parts read like a
// cell error's.
type Death struct {
	Name  string     // short class, such as "StackOverflow"
	Value string     // one sentence
	Trace []string   // Go's own trace, shortened
	Lost  []Variable // what the worker held after its last complete cell
}

func (d *Death) Error() string { return d.Name + ": " + d.Value }

// cause is what last words of the Go runtime mean.
type cause struct {
	pattern *regexp.Regexp
	name    string
	value   string // "" = the matched text
}

// causes are looked through from the first on. Most kernels never need them.
var causes = sync.OnceValue(func() []cause {
	return []cause{
		{regexp.MustCompile(`goroutine stack exceeds|fatal error: stack overflow`), "StackOverflow", "stack overflow: a function calls itself without end"},
		{regexp.MustCompile(`fatal error: (runtime: )?(cannot allocate memory|out of memory)|runtime: out of memory`), "OutOfMemory", "out of memory: the system, or %limit mem, gives no more"},
		{regexp.MustCompile(`fatal error: all goroutines are asleep - deadlock!`), "Deadlock", ""},
		{regexp.MustCompile(`fatal error: [^\n]*`), "FatalError", ""},
		{regexp.MustCompile(`(SIG[A-Z]+): [^\n]*`), "Crash", ""},
		{regexp.MustCompile(`panic: [^\n]*`), "Panic", ""},
	}
})

// explain makes a Death from what is known about the end of a process.
func explain(state *os.ProcessState, trace, killed string, oom bool, lost []Variable) *Death {
	d := &Death{Lost: lost, Trace: shorten(trace)}
	if killed != "" {
		d.Name, d.Value = "WorkerKilled", "the worker process was ended: "+killed
		return d
	}
	for _, c := range causes() {
		if m := c.pattern.FindString(trace); m != "" {
			d.Name, d.Value = c.name, c.value
			if d.Value == "" {
				d.Value = m
			}
			return d
		}
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGKILL && oom:
		d.Name, d.Value = "OutOfMemory", "the system killed the worker because memory ran out"
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		d.Name, d.Value = "WorkerKilled", "the worker was killed from outside (signal 9), most often because memory ran out"
	case status.Signaled():
		d.Name, d.Value = "WorkerKilled", fmt.Sprintf("the worker was ended by signal %d (%s)", status.Signal(), status.Signal())
	default:
		d.Name, d.Value = "WorkerExit", fmt.Sprintf("the worker process exited with code %d", state.ExitCode())
	}
	return d
}

// machinery matches the functions in a trace that say how the worker runs cells
// and nothing of what the cell did.
var machinery = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(created by )?(loris/(interp|kernel/worker|cmd)[/.]|main\.|reflect\.|runtime\.|internal/)`)
})

// visible leaves out the machinery's frames: a line for the function and one,
// indented, for its place.
func visible(lines []string) []string {
	var kept []string
	hidden := false
	for _, l := range lines {
		if place := strings.HasPrefix(l, "\t"); !place {
			hidden = machinery().MatchString(l) || l == "runtime stack:"
		}
		if !hidden && (l != "" || len(kept) > 0 && kept[len(kept)-1] != "") {
			kept = append(kept, l)
		}
	}
	// A goroutine of which nothing is left says nothing.
	for n := len(kept); n > 0 && (kept[n-1] == "" || strings.HasPrefix(kept[n-1], "goroutine ")); n-- {
		kept = kept[:n-1]
	}
	return kept
}

// shorten keeps the message and the first goroutine of a trace, of which an
// endless recursion has thousands of equal frames.
func shorten(trace string) []string {
	const head, tail = 24, 12
	trace = strings.TrimRight(trace, "\n")
	if trace == "" {
		return nil
	}
	if at := strings.Index(trace, "\n\ngoroutine "); at >= 0 {
		if second := strings.Index(trace[at+2:], "\n\n"); second >= 0 {
			trace = trace[:at+2+second]
		}
	}
	lines := visible(strings.Split(trace, "\n"))
	if len(lines) <= head+tail {
		return lines
	}
	short := append([]string{}, lines[:head]...)
	short = append(short, fmt.Sprintf("… %d lines left out …", len(lines)-head-tail))
	return append(short, lines[len(lines)-tail:]...)
}
