package notebook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"loris/kernel/client"
	"loris/kernel/wire"
)

// Message is one message that a kernel published about a request.
type Message struct {
	Type     string
	Parent   string // id of the request
	Content  map[string]any
	Metadata map[string]any
}

// ExecuteRequest is a cell to run.
type ExecuteRequest struct {
	Code   string
	CellID string
}

// ExecuteReply is how a cell ended.
type ExecuteReply struct {
	Status         string // ok, error or aborted
	ExecutionCount int
	EName, EValue  string
	Traceback      []string
}

// Kernel is what the runner needs from a kernel.
type Kernel interface {
	// Execute runs a cell under the given request id and returns when the
	// kernel has answered and is idle again. A cancelled ctx only ends the
	// waiting.
	Execute(ctx context.Context, id string, r ExecuteRequest) (ExecuteReply, error)
	// OnMessage sets the function that gets everything the kernel publishes
	// about cells. Messages about one cell come in order.
	OnMessage(func(Message))
	// LanguageInfo is what the kernel says of its language.
	LanguageInfo() map[string]any
	Interrupt(ctx context.Context) error
}

// ErrKernelGone is the error of a request whose kernel went away.
var ErrKernelGone = client.ErrEnded

// Process is a kernel started for a run.
type Process struct {
	kernel *client.Process
	said   *tail // on stdout and stderr
	info   map[string]any

	mu        sync.Mutex
	onMessage func(Message)
}

// Launch starts a kernel in a process of its own and connects to it. argv is
// its command line, in which "{connection_file}" stands for the file that it is
// to read. dir is its working folder.
func Launch(ctx context.Context, argv []string, dir string) (*Process, error) {
	if len(argv) == 0 {
		return nil, errors.New("no command to start the kernel with")
	}
	p := &Process{said: &tail{limit: 8 << 10}}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = p.said, p.said
	cmd.WaitDelay = 2 * time.Second
	var err error
	if p.kernel, err = client.Launch(ctx, cmd); err != nil {
		return nil, p.explain(err)
	}
	p.kernel.OnOther(func(ch wire.Channel, m *wire.Message) {
		if ch == wire.IOPub {
			p.take(m)
		}
	})
	reply, err := p.kernel.Request(ctx, wire.Shell, "kernel_info_request", map[string]any{})
	if err != nil {
		err = p.explain(err)
		p.kernel.Kill()
		return nil, err
	}
	var content struct {
		LanguageInfo map[string]any `json:"language_info"`
	}
	if err := decodeNumbers(reply.Content, &content); err != nil {
		p.kernel.Kill()
		return nil, fmt.Errorf("kernel_info_reply: %w", err)
	}
	p.info = content.LanguageInfo
	return p, nil
}

// explain adds to the error of a kernel that has ended what it wrote last.
func (p *Process) explain(err error) error {
	if p.kernel != nil {
		err = p.kernel.Explain(err)
	}
	if !errors.Is(err, ErrKernelGone) {
		return err
	}
	if said := strings.TrimSpace(p.said.String()); said != "" {
		return fmt.Errorf("%w; it wrote:\n%s", err, said)
	}
	return err
}

func decodeNumbers(b []byte, to any) error {
	dec := wire.JSON.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	return dec.Decode(to)
}

// take passes a message on.
func (p *Process) take(m *wire.Message) {
	out := Message{Type: m.Header.MsgType, Parent: client.ParentID(m)}
	if out.Type == "status" || decodeNumbers(m.Content, &out.Content) != nil || decodeNumbers(m.Metadata, &out.Metadata) != nil {
		return
	}
	p.mu.Lock()
	f := p.onMessage
	p.mu.Unlock()
	if f != nil {
		f(out)
	}
}

// LanguageInfo implements [Kernel].
func (p *Process) LanguageInfo() map[string]any { return p.info }

// OnMessage implements [Kernel].
func (p *Process) OnMessage(f func(Message)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onMessage = f
}

// Execute implements [Kernel]. Requests for input are refused. When the kernel
// has died, the error says what it wrote last.
func (p *Process) Execute(ctx context.Context, id string, r ExecuteRequest) (ExecuteReply, error) {
	content := map[string]any{"code": r.Code, "silent": false, "store_history": true,
		"user_expressions": map[string]any{}, "allow_stdin": false, "stop_on_error": true}
	reply, err := p.kernel.Execute(ctx, content, client.Options{ID: id, Metadata: map[string]any{"cellId": r.CellID}}, p.take)
	if err != nil {
		return ExecuteReply{}, p.explain(err)
	}
	var out struct {
		Status         string   `json:"status"`
		ExecutionCount int      `json:"execution_count"`
		EName          string   `json:"ename"`
		EValue         string   `json:"evalue"`
		Traceback      []string `json:"traceback"`
	}
	if err := wire.JSON.Unmarshal(reply.Content, &out); err != nil {
		return ExecuteReply{}, fmt.Errorf("execute_reply: %w", err)
	}
	return ExecuteReply(out), nil
}

// Interrupt implements [Kernel].
func (p *Process) Interrupt(ctx context.Context) error {
	_, err := p.kernel.Request(ctx, wire.Control, "interrupt_request", map[string]any{})
	return err
}

// Close shuts the kernel down, and kills it if it does not end by itself within
// five seconds.
func (p *Process) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return p.kernel.Shutdown(ctx)
}

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
