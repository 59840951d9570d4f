package interp

import (
	"fmt"
	"log"
	"os"
	"reflect"
	"sync"

	"loris/interp/lower"
	"loris/interp/run"
)

// stdlog is where the log package writes, and log/slog through it: to the cell
// whose goroutine logs.
type stdlog struct{}

func (stdlog) Write(p []byte) (int, error) {
	t := run.Foreground()
	if th := run.Current(); th != nil {
		t = th.Task
	}
	if t == nil {
		return os.Stderr.Write(p)
	}
	t.Print("stderr", string(p))
	return len(p), nil
}

var catchLog = sync.OnceFunc(func() { log.SetOutput(stdlog{}) })

// loggers are the functions of package log and the methods of its loggers. They
// name the line of the cell where compiled code would find one of ours, and
// Fatal ends the cell.
func (s *Session) loggers() map[string]lower.SpecialCall {
	texts := map[string]func([]reflect.Value) string{
		"":   func(a []reflect.Value) string { return fmt.Sprint(a[0].Interface().([]any)...) },
		"ln": func(a []reflect.Value) string { return fmt.Sprintln(a[0].Interface().([]any)...) },
		"f":  func(a []reflect.Value) string { return fmt.Sprintf(a[0].String(), a[1].Interface().([]any)...) },
	}
	ends := map[string]func(text string){
		"Print": func(string) {},
		"Fatal": func(string) { panic(run.Exit{Code: 1}) },
		"Panic": func(text string) { panic(text) },
	}
	calls := map[string]lower.SpecialCall{}
	for suffix, text := range texts {
		for verb, end := range ends {
			calls["log."+verb+suffix] = func(th *run.Thread, args []reflect.Value) []reflect.Value {
				t := text(args)
				s.log(th, log.Default(), t)
				end(t)
				return nil
			}
			calls["(*log.Logger)."+verb+suffix] = func(th *run.Thread, args []reflect.Value) []reflect.Value {
				t := text(args[1:])
				s.log(th, args[0].Interface().(*log.Logger), t)
				end(t)
				return nil
			}
		}
	}
	return calls
}

// log is l.Output with the place of the running statement for that of the
// caller.
func (s *Session) log(th *run.Thread, l *log.Logger, text string) {
	flags, prefix := l.Flags(), l.Prefix()
	if flags&(log.Lshortfile|log.Llongfile) != 0 {
		if flags&log.Lmsgprefix != 0 {
			text, prefix = prefix+text, ""
		}
		text = s.placeOf(th) + ": " + text
		l = log.New(l.Writer(), prefix, flags&^(log.Lshortfile|log.Llongfile|log.Lmsgprefix))
	}
	_ = l.Output(2, text)
}
