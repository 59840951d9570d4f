package interp

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"
	"unsafe"

	"loris/interp/lower"
	"loris/interp/run"
)

// cellArguments is os.Args of cells: they have no command line.
var cellArguments = []string{"cell"}

// cellInput is os.Stdin of cells. Nothing can be read from it as a file; the
// functions below notice it and ask the user.
var cellInput = func() *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return nil
	}
	return f
}()

// asker reads what the user types, a line at a time.
type asker struct {
	s       *Session
	pending string
}

func (a *asker) Read(p []byte) (int, error) {
	if a.pending == "" {
		line, err := a.s.options.Sink.ReadInput(CurrentCell(), "", false)
		if err != nil { // io.EOF, or why nobody can be asked
			return 0, err
		}
		a.pending = line + "\n"
	}
	n := copy(p, a.pending)
	a.pending = a.pending[n:]
	return n, nil
}

// lockedReader is read by one goroutine at a time.
type lockedReader struct {
	mu sync.Mutex
	r  *bufio.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

// replaceInput makes reading from the standard input ask the user.
func (s *Session) replaceInput() {
	s.program.Variables["os.Args"] = unsafe.Pointer(&cellArguments)
	s.program.Variables["os.Stdin"] = unsafe.Pointer(&cellInput)
	typed := &lockedReader{r: bufio.NewReader(&asker{s: s})}
	input := func(r any) io.Reader {
		if f, ok := r.(*os.File); ok && f == cellInput {
			return typed
		}
		reader, _ := r.(io.Reader)
		return reader
	}
	scan := func(read func(r io.Reader, args []reflect.Value) (int, error)) lower.SpecialCall {
		return func(_ *run.Thread, args []reflect.Value) []reflect.Value {
			typed.mu.Lock()
			defer typed.mu.Unlock()
			n, err := read(typed.r, args)
			return []reflect.Value{reflect.ValueOf(n), errorValue(err)}
		}
	}
	one := func(make func(r io.Reader) any) lower.SpecialCall {
		return func(_ *run.Thread, args []reflect.Value) []reflect.Value {
			return []reflect.Value{reflect.ValueOf(make(input(args[0].Interface())))}
		}
	}
	for name, call := range map[string]lower.SpecialCall{
		"fmt.Scan":   scan(func(r io.Reader, a []reflect.Value) (int, error) { return fmt.Fscan(r, a[0].Interface().([]any)...) }),
		"fmt.Scanln": scan(func(r io.Reader, a []reflect.Value) (int, error) { return fmt.Fscanln(r, a[0].Interface().([]any)...) }),
		"fmt.Scanf": scan(func(r io.Reader, a []reflect.Value) (int, error) {
			return fmt.Fscanf(r, a[0].String(), a[1].Interface().([]any)...)
		}),
		"bufio.NewScanner": one(func(r io.Reader) any { return bufio.NewScanner(r) }),
		"bufio.NewReader":  one(func(r io.Reader) any { return bufio.NewReader(r) }),
	} {
		s.program.Special[name] = call
	}
}

func errorValue(err error) reflect.Value {
	if err == nil {
		return noError
	}
	return reflect.ValueOf(&err).Elem()
}
