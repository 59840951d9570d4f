// Package scripted is an engine for tests: every line of a cell is a command.
// It does what cells of real programs do to a kernel, well-behaved or not,
// without an interpreter.
package scripted

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"loris/kernel/worker"
)

// New makes an engine; it fits worker.Serve.
func New(out worker.Output) (worker.Engine, error) {
	if text := os.Getenv("SCRIPTED_FAIL"); text != "" {
		return nil, errors.New(text)
	}
	debug.SetMaxStack(32 << 20) // "overflow" ends soon
	e := &engine{out: out, vars: map[string]string{}}
	if v := os.Getenv("SCRIPTED_SETTING"); v != "" {
		e.vars["setting"] = v
	}
	return e, nil
}

type engine struct {
	out  worker.Output
	mu   sync.Mutex
	vars map[string]string
	late []func() // what cells have put off until a comm with the target "now" opens
}

func (e *engine) putOff(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.late = append(e.late, f)
}

var errStopped = errors.New("interrupted")

type step struct {
	e      *engine
	ctx    context.Context
	r      worker.ExecuteRequest
	result *worker.ExecuteResult
	arg    string
}

func (s step) number() int {
	n, _ := strconv.Atoi(s.arg)
	return n
}

// commands has one row for each word that a line may begin with.
var commands = map[string]func(s step) error{
	"print":  func(s step) error { s.e.out.Stream(s.r.CellID, "stdout", s.arg+"\n"); return nil },
	"eprint": func(s step) error { s.e.out.Stream(s.r.CellID, "stderr", s.arg+"\n"); return nil },
	"lines": func(s step) error {
		for i := range s.number() {
			s.e.out.Stream(s.r.CellID, "stdout", strconv.Itoa(i)+"\n")
		}
		return nil
	},
	"bytewise": func(s step) error {
		for i := range len(s.arg) {
			s.e.out.Stream(s.r.CellID, "stdout", s.arg[i:i+1])
			time.Sleep(25 * time.Millisecond) // longer than the gathering of output
		}
		return nil
	},
	"raw":    func(s step) error { _, err := os.Stdout.WriteString(s.arg + "\n"); return err },
	"rawerr": func(s step) error { _, err := os.Stderr.WriteString(s.arg + "\n"); return err },
	"value":  func(s step) error { s.e.out.Result(s.r.CellID, map[string]any{"text/plain": s.arg}, nil); return nil },
	"html": func(s step) error {
		s.e.out.Display(s.r.CellID, worker.Display{Data: map[string]any{"text/html": s.arg, "text/plain": s.arg}})
		return nil
	},
	"named": func(s step) error {
		s.e.out.Display(s.r.CellID, worker.Display{ID: s.arg, Data: map[string]any{"text/plain": "first"}})
		s.e.out.Update(s.r.CellID, worker.Display{ID: s.arg, Data: map[string]any{"text/plain": "second"}})
		return nil
	},
	"big": func(s step) error {
		s.e.out.Display(s.r.CellID, worker.Display{Data: map[string]any{"text/plain": strings.Repeat("x", s.number())}})
		return nil
	},
	"clear": func(s step) error { s.e.out.Clear(s.r.CellID, s.arg == "wait"); return nil },
	"page": func(s step) error {
		s.result.Payload = append(s.result.Payload, map[string]any{"source": "page", "start": 0, "data": map[string]any{"text/plain": s.arg}})
		return nil
	},
	"next": func(s step) error {
		s.result.Payload = append(s.result.Payload, map[string]any{"source": "set_next_input", "text": s.arg, "replace": false})
		return nil
	},
	"set": func(s step) error {
		name, value, _ := strings.Cut(s.arg, " ")
		s.e.mu.Lock()
		defer s.e.mu.Unlock()
		s.e.vars[name] = value
		return nil
	},
	"get": func(s step) error {
		s.e.mu.Lock()
		value, ok := s.e.vars[s.arg]
		s.e.mu.Unlock()
		if !ok {
			return fmt.Errorf("undefined: %s", s.arg)
		}
		s.e.out.Result(s.r.CellID, map[string]any{"text/plain": value}, nil)
		return nil
	},
	"input": func(s step) error {
		line, err := s.e.out.Input(s.r.CellID, s.arg, strings.HasPrefix(s.arg, "password"))
		if err == nil {
			s.e.out.Stream(s.r.CellID, "stdout", "<"+line+">\n")
		}
		return err
	},
	"sleep": func(s step) error {
		select {
		case <-time.After(time.Duration(s.number()) * time.Millisecond):
			return nil
		case <-s.ctx.Done():
			return errStopped
		}
	},
	"loop": func(s step) error { // endless, but stops when asked
		for s.ctx.Err() == nil {
			time.Sleep(100 * time.Microsecond)
		}
		return errStopped
	},
	"hang": func(s step) error { // endless, deaf
		select {}
	},
	"flood": func(s step) error { // prints until it is stopped
		for i := 0; s.ctx.Err() == nil; i++ {
			s.e.out.Stream(s.r.CellID, "stdout", strconv.Itoa(i)+"\n")
		}
		return errStopped
	},
	"later": func(s step) error { // output of a background goroutine, after the cell
		out, cell, text := s.e.out, s.r.CellID, s.arg
		s.e.putOff(func() { out.Stream(cell, "stdout", text+"\n") })
		return nil
	},
	"fail":  func(s step) error { return errors.New(s.arg) },
	"panic": func(s step) error { panic(s.arg) },
	"gopanic": func(s step) error {
		go panic(s.arg)
		select {}
	},
	"latepanic": func(s step) error { // between two cells
		text := s.arg
		s.e.putOff(func() { panic(text) })
		return nil
	},
	"overflow": func(s step) error { fmt.Fprint(os.Stderr, recurse(1)); return nil },
	"mapwrites": func(s step) error {
		m := map[int]int{}
		for range 8 {
			go func() {
				for i := 0; ; i++ {
					m[i%64] = i
				}
			}()
		}
		select {}
	},
	"exit":  func(s step) error { os.Exit(s.number()); return nil },
	"kill9": func(s step) error { syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} },
	"scribble": func(s step) error { // writes into the connection to the front
		for fd := range 64 {
			if _, err := syscall.Getpeername(fd); err == nil {
				syscall.Write(fd, []byte("HTTP/1.1 400 Bad Request\r\n\r\n and so on"))
			}
		}
		select {}
	},
	"comm": func(s step) error {
		s.e.out.Comm(s.r.CellID, worker.CommMessage{Type: "open", ID: s.arg, Target: "scripted", Data: map[string]any{"a": 1},
			Metadata: map[string]any{"version": "2.1.0"}, Buffers: [][]byte{{1, 2, 3}}})
		return nil
	},
}

//lint:ignore SA5007 endless recursion is its purpose
func recurse(n int) int { return n + recurse(n+1) }

func (e *engine) Execute(ctx context.Context, r worker.ExecuteRequest) (result worker.ExecuteResult) {
	for i, line := range strings.Split(r.Code, "\n") {
		word, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		err := fmt.Errorf("unknown command %q", word)
		if run := commands[word]; run != nil {
			err = run(step{e, ctx, r, &result, arg})
		}
		if err != nil {
			name := "ScriptError"
			if errors.Is(err, errStopped) || errors.Is(err, worker.ErrInterrupted) {
				name = "Interrupted"
			}
			result.Err = &worker.CellError{Name: name, Value: err.Error(), Traceback: []string{fmt.Sprintf("line %d: %v", i+1, err)}}
			return result
		}
	}
	result.UserExpressions = map[string]any{}
	for key, expression := range r.UserExpressions {
		e.mu.Lock()
		value, ok := e.vars[expression]
		e.mu.Unlock()
		if ok {
			result.UserExpressions[key] = map[string]any{"status": "ok", "data": map[string]any{"text/plain": value}, "metadata": map[string]any{}}
		} else {
			result.UserExpressions[key] = map[string]any{"status": "error", "ename": "ScriptError", "evalue": "undefined: " + expression, "traceback": []string{}}
		}
	}
	return result
}

func (e *engine) Complete(r worker.CompleteRequest) worker.CompleteReply {
	runes := []rune(r.Code)
	start := r.Cursor
	for start > 0 && runes[start-1] != '\n' && runes[start-1] != ' ' {
		start--
	}
	reply := worker.CompleteReply{Start: start, End: r.Cursor}
	for _, word := range slices.Sorted(maps.Keys(commands)) {
		if strings.HasPrefix(word, string(runes[start:r.Cursor])) {
			reply.Items = append(reply.Items, worker.CompletionItem{Text: word, Type: "function"})
		}
	}
	return reply
}

func (e *engine) Inspect(r worker.InspectRequest) worker.InspectReply {
	word, _, _ := strings.Cut(string([]rune(r.Code)[:r.Cursor]), " ")
	if commands[word] == nil {
		return worker.InspectReply{}
	}
	return worker.InspectReply{Found: true, Data: map[string]any{"text/plain": "command " + word}}
}

func (e *engine) IsComplete(code string) worker.IsCompleteReply {
	switch {
	case strings.HasSuffix(code, "\\"):
		return worker.IsCompleteReply{Status: "incomplete", Indent: "  "}
	case !utf8.ValidString(code) || strings.HasPrefix(code, "!"):
		return worker.IsCompleteReply{Status: "invalid"}
	}
	return worker.IsCompleteReply{Status: "complete"}
}

// Settings keeps the variable "setting".
func (e *engine) Settings() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v, ok := e.vars["setting"]; ok {
		return []string{"SCRIPTED_SETTING=" + v}
	}
	return nil
}

func (e *engine) Variables() []worker.Variable {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := []worker.Variable{}
	for _, name := range slices.Sorted(maps.Keys(e.vars)) {
		list = append(list, worker.Variable{Name: name, Type: "string", Summary: e.vars[name]})
	}
	return list
}

// Comm knows the targets "echo", which sends every message back, and "now",
// which does what cells have put off.
func (e *engine) Comm(m worker.CommMessage) error {
	switch m.Type {
	case "open":
		if m.Target == "now" {
			e.mu.Lock()
			late := e.late
			e.late = nil
			e.mu.Unlock()
			for _, f := range late {
				go f()
			}
			return nil
		}
		if m.Target != "echo" {
			return fmt.Errorf("no comm target %q", m.Target)
		}
	case "msg":
		e.out.Comm(m.CellID, worker.CommMessage{Type: "msg", ID: m.ID, Data: m.Data, Buffers: m.Buffers})
	}
	return nil
}

func (e *engine) Close() {}
