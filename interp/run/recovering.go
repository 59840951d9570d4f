package run

import (
	"net/http"
	"runtime"
	"strings"
)

// recovering are the functions of the standard library that start goroutines
// and recover the panics of what they call there.
var recovering = []struct {
	function string
	served   bool // it logs the panic and goes on; else it raises it elsewhere
}{
	{"iter.Pull[", false},
	{"iter.Pull2[", false},
	{"net/http.(*timeoutHandler).ServeHTTP", false},
	{"net/http.(*conn).serve", true},
	{"net/http.(*http2serverConn).runHandler", true},
}

// passOn raises a panic again if compiled code that called into a goroutine of
// its own will recover it.
func (th *Thread) passOn(p *Panicking) {
	switch p.Value.(type) {
	case Interrupted, Exit:
		return
	}
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		for _, r := range recovering {
			switch {
			case !strings.HasPrefix(f.Function, r.function):
			case r.served:
				// Said in our words: the log of the server would print the stack of
				// the interpreter.
				if th.Task.Recovered != nil {
					th.Task.Recovered(p)
				}
				panic(http.ErrAbortHandler)
			default:
				th.Task.passed.Store(p)
				panic(p.Value)
			}
		}
	}
}
