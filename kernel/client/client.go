// Package client drives a kernel through its sockets: requests go in, replies
// and IOPub messages come out. It serves the headless notebook runner and tests.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"loris/kernel/socket"
	"loris/kernel/wire"
)

// Client is connected to the shell, control, stdin and IOPub channels of one
// kernel. It is safe for concurrent use.
type Client struct {
	session  *wire.Session
	channels map[wire.Channel]*socket.Client

	mu      sync.Mutex
	replies map[string]chan *wire.Message // by request id
	outputs map[string]*mailbox           // IOPub, by parent id
	other   func(wire.Channel, *wire.Message)
	input   func(prompt string, password bool) (string, bool)
	err     error // first failure
	endOnce sync.Once
	closed  chan struct{}
}

// Connect opens the channels of the kernel that a connection describes, and
// returns when its IOPub subscription is in force.
func Connect(ctx context.Context, conn *wire.Connection) (*Client, error) {
	if conn.CurvePublicKey != "" {
		return nil, errors.New("this client does not encrypt: start the kernel without curve keys")
	}
	signer, err := wire.NewSigner(conn.SignatureScheme, conn.Key)
	if err != nil {
		return nil, err
	}
	c := &Client{session: wire.NewSession(signer, "loris"), channels: map[wire.Channel]*socket.Client{},
		replies: map[string]chan *wire.Message{}, outputs: map[string]*mailbox{}, closed: make(chan struct{})}
	identity := uuid.NewString() // stdin answers are routed by it
	for _, ch := range []wire.Channel{wire.IOPub, wire.Shell, wire.Control, wire.Stdin} {
		var s *socket.Client
		if ch == wire.IOPub {
			s, err = socket.DialSub(ctx, conn.Endpoint(ch), "")
		} else {
			s, err = socket.DialDealer(ctx, conn.Endpoint(ch), identity)
		}
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("connect to the kernel's %s channel: %w", ch, err)
		}
		c.channels[ch] = s
	}
	welcome := make(chan struct{})
	var once sync.Once
	c.other = func(_ wire.Channel, m *wire.Message) {
		if m.Header.MsgType == "iopub_welcome" {
			once.Do(func() { close(welcome) })
		}
	}
	for ch, s := range c.channels {
		go c.receive(ch, s)
	}
	select {
	case <-welcome:
		return c, nil
	case <-ctx.Done():
		c.Close()
		return nil, fmt.Errorf("kernel sends no iopub_welcome: %w", ctx.Err())
	case <-c.closed:
		return nil, c.Err()
	}
}

// OnOther sets what is called with messages that answer no pending request.
func (c *Client) OnOther(f func(wire.Channel, *wire.Message)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.other = f
}

// OnInput sets what answers input requests; ok false means end of input.
func (c *Client) OnInput(f func(prompt string, password bool) (line string, ok bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.input = f
}

func (c *Client) receive(ch wire.Channel, s *socket.Client) {
	for {
		frames, err := s.Receive()
		if err != nil {
			c.fail(fmt.Errorf("%s channel: %w", ch, err))
			return
		}
		m, err := c.session.Decode(frames)
		if err != nil {
			c.fail(fmt.Errorf("%s channel: bad message from the kernel: %w", ch, err))
			return
		}
		c.deliver(ch, m)
	}
}

func (c *Client) deliver(ch wire.Channel, m *wire.Message) {
	id := ParentID(m)
	c.mu.Lock()
	reply, box, other, input := c.replies[id], c.outputs[id], c.other, c.input
	if ch == wire.Shell || ch == wire.Control {
		delete(c.replies, id)
	}
	c.mu.Unlock()
	switch {
	case ch == wire.Stdin && m.Header.MsgType == "input_request":
		go c.answer(m, input)
	case ch == wire.IOPub && box != nil:
		box.put(m)
	case (ch == wire.Shell || ch == wire.Control) && reply != nil:
		reply <- m
	case other != nil:
		other(ch, m)
	}
}

func (c *Client) answer(m *wire.Message, input func(string, bool) (string, bool)) {
	var q struct {
		Prompt   string `json:"prompt"`
		Password bool   `json:"password"`
	}
	_ = wire.JSON.Unmarshal(m.Content, &q)
	line, ok := "", false
	if input != nil {
		line, ok = input(q.Prompt, q.Password)
	}
	if !ok {
		line = "\x04"
	}
	_, _ = c.send(wire.Stdin, "input_reply", m.RawHeader, map[string]any{"value": line})
}

// ParentID is the msg_id of the request that a message belongs to.
func ParentID(m *wire.Message) string {
	var p struct {
		MsgID string `json:"msg_id"`
	}
	_ = wire.JSON.Unmarshal(m.Parent, &p)
	return p.MsgID
}

func (c *Client) send(ch wire.Channel, msgType string, parent json.RawMessage, content any) (string, error) {
	return c.sendWith(ch, c.session.NewHeader(msgType), parent, content, nil, nil)
}

func (c *Client) sendWith(ch wire.Channel, h wire.Header, parent json.RawMessage, content any, metadata map[string]any, buffers [][]byte) (string, error) {
	body, err := wire.AppendValue(nil, content)
	if err != nil {
		return "", err
	}
	var meta []byte
	if metadata != nil {
		if meta, err = wire.AppendValue(nil, metadata); err != nil {
			return "", err
		}
	}
	frames, err := c.session.Encode(nil, h, parent, meta, body, buffers)
	if err != nil {
		return "", err
	}
	return h.MsgID, c.channels[ch].Send(frames)
}

// Send sends a message that expects no reply, such as comm_msg, and returns its id.
func (c *Client) Send(ch wire.Channel, msgType string, content any, buffers ...[]byte) (string, error) {
	return c.sendWith(ch, c.session.NewHeader(msgType), nil, content, nil, buffers)
}

// Request sends a request and waits for its reply.
func (c *Client) Request(ctx context.Context, ch wire.Channel, msgType string, content any) (*wire.Message, error) {
	h := c.session.NewHeader(msgType)
	reply := c.expect(h.MsgID)
	defer c.forget(h.MsgID)
	if _, err := c.sendWith(ch, h, nil, content, nil, nil); err != nil {
		return nil, err
	}
	return c.wait(ctx, reply)
}

func (c *Client) expect(id string) chan *wire.Message {
	reply := make(chan *wire.Message, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replies[id] = reply
	return reply
}

func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.replies, id)
	delete(c.outputs, id)
}

func (c *Client) wait(ctx context.Context, reply <-chan *wire.Message) (*wire.Message, error) {
	select {
	case m := <-reply:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.closed:
	}
	select {
	case m := <-reply: // it came before the end
		return m, nil
	default:
		return nil, c.Err()
	}
}

// Execution is one cell on its way through the kernel.
type Execution struct {
	ID    string
	c     *Client
	reply chan *wire.Message
	box   *mailbox
}

// Options of a cell are what its execute_request says beside its content.
type Options struct {
	ID       string // of the request; "": a new one
	Subshell string
	Metadata map[string]any
}

// Start sends an execute_request; content has its fields ("code", …).
func (c *Client) Start(content map[string]any, o Options) (*Execution, error) {
	h := c.session.NewHeader("execute_request")
	h.SubshellID = o.Subshell
	if o.ID != "" {
		h.MsgID = o.ID
	}
	e := &Execution{ID: h.MsgID, c: c, reply: c.expect(h.MsgID), box: newMailbox()}
	c.mu.Lock()
	c.outputs[h.MsgID] = e.box
	c.mu.Unlock()
	if _, err := c.sendWith(wire.Shell, h, nil, content, o.Metadata, nil); err != nil {
		c.forget(h.MsgID)
		return nil, err
	}
	return e, nil
}

// Next waits for the next IOPub message of the cell; nil after its idle.
func (e *Execution) Next(ctx context.Context) (*wire.Message, error) {
	m, err := e.box.get(ctx, e.c)
	if err != nil || m == nil {
		return nil, err
	}
	if m.Header.MsgType == "status" {
		var s struct {
			State string `json:"execution_state"`
		}
		if wire.JSON.Unmarshal(m.Content, &s) == nil && s.State == "idle" {
			e.c.mu.Lock()
			delete(e.c.outputs, e.ID)
			e.c.mu.Unlock()
			return nil, nil
		}
	}
	return m, nil
}

// Reply waits for the execute_reply.
func (e *Execution) Reply(ctx context.Context) (*wire.Message, error) {
	defer e.c.forget(e.ID)
	return e.c.wait(ctx, e.reply)
}

// Execute runs a cell to its end. Its IOPub messages between busy and idle go to
// each, which may be nil, in order.
func (c *Client) Execute(ctx context.Context, content map[string]any, o Options, each func(*wire.Message)) (*wire.Message, error) {
	e, err := c.Start(content, o)
	if err != nil {
		return nil, err
	}
	for {
		m, err := e.Next(ctx)
		if err != nil {
			c.forget(e.ID)
			return nil, err
		}
		if m == nil {
			return e.Reply(ctx)
		}
		if each != nil {
			each(m)
		}
	}
}

// Err is why the client has stopped, nil while it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the client a moment after the first channel has ended: a kernel that
// shuts down closes them one by one, with last replies on some.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		time.AfterFunc(lastMoment, c.end)
	}
}

const lastMoment = 300 * time.Millisecond

func (c *Client) end() { c.endOnce.Do(func() { close(c.closed) }) }

// Close closes all channels.
func (c *Client) Close() {
	c.fail(errors.New("the client was closed"))
	c.end()
	for _, s := range c.channels {
		s.Close()
	}
}

// mailbox is an unbounded queue of messages: a reader that is slow must not hold
// up other replies.
type mailbox struct {
	mu    sync.Mutex
	list  []*wire.Message
	ready chan struct{} // capacity 1
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

func (b *mailbox) put(m *wire.Message) {
	b.mu.Lock()
	b.list = append(b.list, m)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *mailbox) get(ctx context.Context, c *Client) (*wire.Message, error) {
	for {
		b.mu.Lock()
		if len(b.list) > 0 {
			m := b.list[0]
			b.list = b.list[1:]
			b.mu.Unlock()
			return m, nil
		}
		b.mu.Unlock()
		select {
		case <-b.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.closed:
			return nil, c.Err()
		}
	}
}
