package magic

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

func shellCommand(ctx context.Context, h Host, c Call) error {
	err := execute(ctx, h, shell(), []string{"-c", c.Args}, "")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 127 {
		return &Error{Msg: err.Error(), Hint: "a line that starts with ! is a shell command; to negate a Go value write (!x)"}
	}
	return err
}

// shell prefers bash, as people who type commands do.
func shell() string {
	if path, err := exec.LookPath("bash"); err == nil {
		return path
	}
	return "sh"
}

func script(program string) func(context.Context, Host, Call) error {
	return func(ctx context.Context, h Host, c Call) error {
		return execute(ctx, h, program, strings.Fields(c.Args), c.Body)
	}
}

func scriptAny(ctx context.Context, h Host, c Call) error {
	words := strings.Fields(c.Args)
	if len(words) == 0 {
		return fail("%%%%script needs a program: %%%%script python3")
	}
	return execute(ctx, h, words[0], words[1:], c.Body)
}

// quietTerminal keeps programs from paging and lets them use colours.
var quietTerminal = []string{"PAGER=cat", "GIT_PAGER=cat", "TERM=xterm-color", "CLICOLOR=1", "FORCE_COLOR=1"}

// patience is how long an interrupted command may clean up.
const patience = time.Second

// execute runs a program in a process group of its own, streams what it writes
// and ends all of the group when ctx does.
func execute(ctx context.Context, h Host, program string, args []string, input string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), quietTerminal...)
	cmd.Stdin = strings.NewReader(input)
	stdout, stderr := &streamWriter{h: h, name: "stdout"}, &streamWriter{h: h, name: "stderr"}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var kill *time.Timer
	cmd.Cancel = func() error {
		group := -cmd.Process.Pid
		kill = time.AfterFunc(patience, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
		return syscall.Kill(group, syscall.SIGINT)
	}
	// A process left in the background may hold the pipes open for ever.
	cmd.WaitDelay = patience + patience/2
	err := cmd.Run()
	if kill != nil && kill.Stop() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // stragglers of the group
	}
	stdout.flush()
	stderr.flush()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // the command itself has ended well
	case err != nil:
		return shellError{program: program, err: err}
	}
	return nil
}

type shellError struct {
	program string
	err     error
}

func (e shellError) Error() string {
	var exit *exec.ExitError
	if !errors.As(e.err, &exit) {
		return e.err.Error()
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return "the command was ended by signal: " + s.Signal().String()
	}
	return "the command failed: " + exit.Error()
}

func (e shellError) Unwrap() error { return e.err }

// streamWriter passes output on in whole characters.
type streamWriter struct {
	h    Host
	name string
	mu   sync.Mutex
	left []byte // an incomplete character
}

func (w *streamWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.left, p...)
	whole := len(text)
	for i := 1; i <= min(utf8.UTFMax-1, len(text)); i++ {
		if b := text[len(text)-i]; utf8.RuneStart(b) {
			if !utf8.FullRune(text[len(text)-i:]) {
				whole = len(text) - i
			}
			break
		}
	}
	w.left = bytes.Clone(text[whole:])
	if whole > 0 {
		w.h.Write(w.name, strings.ToValidUTF8(string(text[:whole]), "\uFFFD"))
	}
	return len(p), nil
}

func (w *streamWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.left) > 0 {
		w.h.Write(w.name, "\uFFFD")
		w.left = nil
	}
}
