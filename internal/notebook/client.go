package notebook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"loris/kernel/socket"
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
	// about cells, in order.
	OnMessage(func(Message))
	// LanguageInfo is what the kernel says of its language.
	LanguageInfo() map[string]any
	Interrupt(ctx context.Context) error
	Shutdown(ctx context.Context) error
}

// ErrKernelGone is the error of a request whose kernel went away.
var ErrKernelGone = errors.New("the kernel has ended")

// Client drives a kernel through its sockets.
type Client struct {
	session               *wire.Session
	shell, control, iopub *socket.Client
	info                  map[string]any

	gone     chan struct{} // closed when a socket or the kernel is lost
	goneOnce sync.Once

	mu       sync.Mutex
	replies  map[string]chan *wire.Message
	idle     map[string]chan struct{}
	onOutput func(Message)
	heard    chan struct{} // closed at the first message on iopub
	heardOne sync.Once
}

// Dial connects to the kernel of a connection file and waits until it answers,
// as long as ctx lasts.
func Dial(ctx context.Context, conn *wire.Connection) (*Client, error) {
	if conn.CurvePublicKey != "" {
		return nil, errors.New("the connection file asks for encryption, which this client does not speak: use one without curve_publickey")
	}
	signer, err := wire.NewSigner(conn.SignatureScheme, conn.Key)
	if err != nil {
		return nil, err
	}
	c := &Client{session: wire.NewSession(signer, "loris"), gone: make(chan struct{}), heard: make(chan struct{}),
		replies: map[string]chan *wire.Message{}, idle: map[string]chan struct{}{}}
	for _, s := range []struct {
		channel wire.Channel
		client  **socket.Client
	}{{wire.IOPub, &c.iopub}, {wire.Shell, &c.shell}, {wire.Control, &c.control}} {
		if *s.client, err = dialSocket(ctx, conn.Endpoint(s.channel), s.channel, c.session.ID); err != nil {
			c.Close()
			return nil, fmt.Errorf("kernel's %s socket: %w", s.channel, err)
		}
	}
	go c.readReplies(c.shell)
	go c.readReplies(c.control)
	go c.readOutputs()
	if err := c.waitReady(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// dialSocket tries until the kernel listens.
func dialSocket(ctx context.Context, endpoint string, ch wire.Channel, identity string) (*socket.Client, error) {
	for {
		var s *socket.Client
		var err error
		if ch == wire.IOPub {
			s, err = socket.DialSub(ctx, endpoint, "")
		} else {
			s, err = socket.DialDealer(ctx, endpoint, identity)
		}
		if err == nil {
			return s, nil
		}
		var ne net.Error
		var oe *net.OpError
		if !errors.As(err, &ne) && !errors.As(err, &oe) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (last try: %v)", context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// waitReady asks for kernel_info until the answer and a first broadcast have
// come: only then is the subscription known to work.
func (c *Client) waitReady(ctx context.Context) error {
	for {
		try, cancel := context.WithTimeout(ctx, time.Second)
		reply, err := c.request(try, c.shell, c.session.NewHeader("kernel_info_request"), map[string]any{})
		cancel()
		if err == nil {
			var content struct {
				LanguageInfo map[string]any `json:"language_info"`
			}
			if err := decodeNumbers(reply.Content, &content); err != nil {
				return fmt.Errorf("kernel_info_reply: %w", err)
			}
			c.info = content.LanguageInfo
			select {
			case <-c.heard:
				return nil
			case <-time.After(300 * time.Millisecond):
				continue
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the kernel does not answer: %w", context.Cause(ctx))
		}
		if errors.Is(err, ErrKernelGone) {
			return err
		}
	}
}

func decodeNumbers(b []byte, to any) error {
	dec := wire.JSON.NewDecoder(bytesReader(b))
	dec.UseNumber()
	return dec.Decode(to)
}

// LanguageInfo implements [Kernel].
func (c *Client) LanguageInfo() map[string]any { return c.info }

// OnMessage implements [Kernel].
func (c *Client) OnMessage(f func(Message)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onOutput = f
}

// Lost tells the client that the kernel's process has ended; all waiting ends.
func (c *Client) Lost() { c.goneOnce.Do(func() { close(c.gone) }) }

// Close closes the sockets.
func (c *Client) Close() {
	c.Lost()
	for _, s := range []*socket.Client{c.shell, c.control, c.iopub} {
		if s != nil {
			s.Close()
		}
	}
}

func (c *Client) readReplies(s *socket.Client) {
	defer c.Lost()
	for {
		frames, err := s.Receive()
		if err != nil {
			return
		}
		m, err := c.session.Decode(frames)
		if err != nil {
			continue // damaged or not signed with our key: not for us
		}
		c.mu.Lock()
		ch := c.replies[parentID(m)]
		c.mu.Unlock()
		if ch != nil {
			select {
			case ch <- m:
			default: // a second reply to one request
			}
		}
	}
}

func parentID(m *wire.Message) string {
	var parent wire.Header
	if wire.JSON.Unmarshal(m.Parent, &parent) != nil {
		return ""
	}
	return parent.MsgID
}

func (c *Client) readOutputs() {
	defer c.Lost()
	for {
		frames, err := c.iopub.Receive()
		if err != nil {
			return
		}
		m, err := c.session.Decode(frames)
		if err != nil {
			continue
		}
		c.heardOne.Do(func() { close(c.heard) })
		out := Message{Type: m.Header.MsgType, Parent: parentID(m)}
		if decodeNumbers(m.Content, &out.Content) != nil || decodeNumbers(m.Metadata, &out.Metadata) != nil {
			continue
		}
		c.mu.Lock()
		idle, f := c.idle[out.Parent], c.onOutput
		c.mu.Unlock()
		if out.Type == "status" {
			if idle != nil && out.Content["execution_state"] == "idle" {
				close(idle)
				c.mu.Lock()
				delete(c.idle, out.Parent)
				c.mu.Unlock()
			}
			continue
		}
		if f != nil {
			f(out)
		}
	}
}

// request sends a message and waits for its reply.
func (c *Client) request(ctx context.Context, s *socket.Client, h wire.Header, content any) (*wire.Message, error) {
	reply := make(chan *wire.Message, 1)
	c.mu.Lock()
	c.replies[h.MsgID] = reply
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.replies, h.MsgID)
		c.mu.Unlock()
	}()
	b, err := wire.JSON.Marshal(content)
	if err != nil {
		return nil, err
	}
	return c.send(ctx, s, h, nil, b, reply)
}

func (c *Client) send(ctx context.Context, s *socket.Client, h wire.Header, metadata, content []byte, reply chan *wire.Message) (*wire.Message, error) {
	frames, err := c.session.Encode(nil, h, nil, metadata, content, nil)
	if err != nil {
		return nil, err
	}
	if err := s.Send(frames); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKernelGone, err)
	}
	select {
	case m := <-reply:
		return m, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.gone:
		return nil, ErrKernelGone
	}
}

// Execute implements [Kernel]. Requests for input are refused.
func (c *Client) Execute(ctx context.Context, id string, r ExecuteRequest) (ExecuteReply, error) {
	h := c.session.NewHeader("execute_request")
	h.MsgID = id
	reply, idle := make(chan *wire.Message, 1), make(chan struct{})
	c.mu.Lock()
	c.replies[id], c.idle[id] = reply, idle
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.replies, id)
		delete(c.idle, id)
		c.mu.Unlock()
	}()
	content, err := wire.JSON.Marshal(map[string]any{"code": r.Code, "silent": false, "store_history": true,
		"user_expressions": map[string]any{}, "allow_stdin": false, "stop_on_error": true})
	if err != nil {
		return ExecuteReply{}, err
	}
	metadata, err := wire.JSON.Marshal(map[string]any{"cellId": r.CellID})
	if err != nil {
		return ExecuteReply{}, err
	}
	m, err := c.send(ctx, c.shell, h, metadata, content, reply)
	if err != nil {
		return ExecuteReply{}, err
	}
	select {
	case <-idle:
	case <-ctx.Done():
		return ExecuteReply{}, context.Cause(ctx)
	case <-c.gone:
		return ExecuteReply{}, ErrKernelGone
	}
	var out struct {
		Status         string   `json:"status"`
		ExecutionCount int      `json:"execution_count"`
		EName          string   `json:"ename"`
		EValue         string   `json:"evalue"`
		Traceback      []string `json:"traceback"`
	}
	if err := json.Unmarshal(m.Content, &out); err != nil {
		return ExecuteReply{}, fmt.Errorf("execute_reply: %w", err)
	}
	return ExecuteReply(out), nil
}

// Interrupt implements [Kernel].
func (c *Client) Interrupt(ctx context.Context) error {
	_, err := c.request(ctx, c.control, c.session.NewHeader("interrupt_request"), map[string]any{})
	return err
}

// Shutdown implements [Kernel]; it does not wait for the process to end.
func (c *Client) Shutdown(ctx context.Context) error {
	_, err := c.request(ctx, c.control, c.session.NewHeader("shutdown_request"), map[string]any{"restart": false})
	return err
}
