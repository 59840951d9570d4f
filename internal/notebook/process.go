package notebook

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"loris/kernel/wire"
)

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

// Process is a kernel started for a run, and the client that drives it.
type Process struct {
	*Client
	cmd    *exec.Cmd
	dir    string
	stderr *tail
	ended  chan struct{}
	err    error // after ended
}

// Launch starts a kernel in a process of its own and connects to it. argv is
// its command line, in which "{connection_file}" stands for the file that it is
// to read; ports in that file are 0 and must be chosen and written back. dir is
// its working folder.
func Launch(ctx context.Context, argv []string, dir string) (_ *Process, err error) {
	if len(argv) == 0 {
		return nil, errors.New("no command to start the kernel with")
	}
	p := &Process{stderr: &tail{limit: 8 << 10}, ended: make(chan struct{})}
	if p.dir, err = os.MkdirTemp("", "loris-run-"); err != nil {
		return nil, fmt.Errorf("start kernel: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(p.dir)
		}
	}()
	file := filepath.Join(p.dir, "connection.json")
	if err := writeConnection(file); err != nil {
		return nil, fmt.Errorf("start kernel: %w", err)
	}
	args := make([]string, len(argv))
	for i, a := range argv {
		args[i] = strings.ReplaceAll(a, "{connection_file}", file)
	}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p.stderr, p.stderr
	p.cmd.WaitDelay = 2 * time.Second
	ownGroup(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start kernel: %w", err)
	}
	starting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
		cancel(fmt.Errorf("%w while starting%s", ErrKernelGone, p.lastWords()))
	}()
	if err := p.connect(starting, file); err != nil {
		p.kill()
		<-p.ended
		return nil, err
	}
	go func() {
		<-p.ended
		p.Lost()
	}()
	return p, nil
}

func writeConnection(file string) error {
	key := make([]byte, 16)
	rand.Read(key) // never fails
	b, err := wire.JSON.Marshal(map[string]any{"transport": "tcp", "ip": "127.0.0.1", "key": hex.EncodeToString(key), "signature_scheme": "hmac-sha256",
		"shell_port": 0, "iopub_port": 0, "stdin_port": 0, "control_port": 0, "hb_port": 0, "kernel_name": "loris"})
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

// connect waits for the kernel to write its ports, then for its answer.
func (p *Process) connect(ctx context.Context, file string) error {
	for {
		conn, err := wire.ReadConnection(file)
		if err == nil && !conn.HasOpenPorts() {
			p.Client, err = Dial(ctx, conn)
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kernel did not start: %w", context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// lastWords is what the kernel wrote last, for error messages.
func (p *Process) lastWords() string {
	said := strings.TrimSpace(p.stderr.String())
	switch {
	case p.err != nil && said != "":
		return fmt.Sprintf(" (%v); it wrote:\n%s", p.err, said)
	case p.err != nil:
		return fmt.Sprintf(" (%v)", p.err)
	case said != "":
		return "; it wrote:\n" + said
	}
	return ""
}

// Execute implements [Kernel]; when the kernel has died, the error says what it
// wrote last.
func (p *Process) Execute(ctx context.Context, id string, r ExecuteRequest) (ExecuteReply, error) {
	reply, err := p.Client.Execute(ctx, id, r)
	if errors.Is(err, ErrKernelGone) {
		select {
		case <-p.ended:
			err = fmt.Errorf("%w%s", ErrKernelGone, p.lastWords())
		case <-time.After(time.Second):
		}
	}
	return reply, err
}

// Close shuts the kernel down, kills it if it does not end by itself within
// five seconds, and removes what Launch made.
func (p *Process) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.Shutdown(ctx) // what counts is that the process ends
	p.Client.Close()
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.kill()
		<-p.ended
	}
	return os.RemoveAll(p.dir)
}

func (p *Process) kill() { killGroup(p.cmd) }

// tail keeps the last bytes written to it.
type tail struct {
	limit int
	mu    sync.Mutex
	b     []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if extra := len(t.b) - t.limit; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.ToValidUTF8(t.b, []byte("\uFFFD")))
}
