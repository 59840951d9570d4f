package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"loris/kernel/wire"
)

// Process is a kernel that this program has started.
type Process struct {
	*Client
	Connection *wire.Connection
	cmd        *exec.Cmd
	dir        string
	exited     chan struct{}
	exitErr    error
}

// Launch starts a kernel and connects to it. command gets the path of a
// connection file in place of the argument "{connection_file}", as in
// kernel.json. The kernel speaks through socket files in a private directory, so
// no other user can reach it. ctx bounds the start only.
func Launch(ctx context.Context, command *exec.Cmd) (*Process, error) {
	dir, err := privateDir()
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: command, dir: dir, exited: make(chan struct{})}
	p.Connection = wire.NewConnection("ipc", filepath.Join(dir, "s"), uuid.NewString())
	for i, ch := range wire.Channels {
		p.Connection.Ports[ch] = i + 1
	}
	file := filepath.Join(dir, "connection.json")
	if err := p.Connection.WritePorts(file); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	for i, a := range command.Args {
		if a == "{connection_file}" {
			command.Args[i] = file
		}
	}
	if command.Env == nil {
		command.Env = os.Environ()
	}
	command.Env = append(command.Env, fmt.Sprintf("JPY_PARENT_PID=%d", os.Getpid())) // it ends when we do
	// Ctrl-C is for whoever started the kernel.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("start kernel: %w", err)
	}
	go func() {
		p.exitErr = command.Wait()
		close(p.exited)
	}()
	if err := p.connect(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// privateDir makes a folder, mode 0700, whose path leaves room for the names of
// sockets: systems allow about 100 bytes.
func privateDir() (string, error) {
	parent := os.TempDir()
	if len(parent) > 70 {
		parent = "/tmp"
	}
	return os.MkdirTemp(parent, "loris-")
}

// connect tries until the kernel listens.
func (p *Process) connect(ctx context.Context) error {
	last := p.Connection.Endpoint(wire.Channels[len(wire.Channels)-1])[len("ipc://"):]
	for {
		if _, err := os.Stat(last); err == nil { // bound last: all others are there
			if c, err := Connect(ctx, p.Connection); err == nil {
				p.Client = c
				return nil
			}
		}
		select {
		case <-p.exited:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("the kernel does not answer: %w", ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Shutdown asks the kernel to end and waits for it; when ctx ends it is killed.
func (p *Process) Shutdown(ctx context.Context) error {
	// Without a reply the kernel may still end, and otherwise ctx does.
	_, _ = p.Request(ctx, wire.Control, "shutdown_request", map[string]any{"restart": false})
	var err error
	select {
	case <-p.exited:
		err = p.exitErr
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.Kill()
	return err
}

// ErrEnded is the error of a kernel whose process has ended.
var ErrEnded = errors.New("the kernel has ended")

func (p *Process) ended() error {
	if p.exitErr != nil {
		return fmt.Errorf("%w (%v)", ErrEnded, p.exitErr)
	}
	return ErrEnded
}

// Explain turns the error of a request into ErrEnded if the process has ended:
// its channels may be lost a moment before it.
func (p *Process) Explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	select {
	case <-p.exited:
		return p.ended()
	case <-time.After(time.Second):
		return err
	}
}

// Kill ends the kernel at once and removes its files.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.exited
	if p.Client != nil {
		p.Close()
	}
	os.RemoveAll(p.dir)
}
