package kernel

import (
	"errors"
	"io"
	"sync"
	"time"

	"loris/kernel/socket"
	"loris/kernel/wire"
	"loris/kernel/worker"
)

// inputs holds the questions to the user; one is open, the others wait.
type inputs struct {
	mu    sync.Mutex
	queue []*question
}

type question struct {
	cell     string
	msgID    string // of the input_request that was sent, "" before
	prompt   string
	password bool
	answer   func(value string, err error)
}

// endOfInput is how front ends say that there is no more input.
const endOfInput = "\x04"

var errNoStdin = errors.New("the client that runs this cell has no stdin channel")

// Input asks the client that sent the cell.
func (s sink) Input(cellID, prompt string, password bool, answer func(string, error)) {
	if !s.k.parents.find(cellID).allowStdin {
		answer("", worker.ErrNoInput)
		return
	}
	q := &question{cell: cellID, prompt: prompt, password: password, answer: answer}
	s.k.inputs.mu.Lock()
	s.k.inputs.queue = append(s.k.inputs.queue, q)
	first := len(s.k.inputs.queue) == 1
	s.k.inputs.mu.Unlock()
	if first {
		go s.k.ask(q)
	}
}

// ask sends input_request to the connection with the same identity as the one
// the cell came from, waiting a moment for a channel that is still opening.
func (k *Kernel) ask(q *question) {
	p := k.parents.find(q.cell)
	h := k.session.NewHeader("input_request")
	k.inputs.mu.Lock()
	q.msgID = h.MsgID
	k.inputs.mu.Unlock()
	content := encode(map[string]any{"prompt": q.prompt, "password": q.password})
	frames, err := k.session.Encode(p.identities, h, p.header, nil, content, nil)
	if err == nil {
		err = k.sendStdin(p, frames)
	}
	if err != nil {
		k.settle(q, "", err)
	}
}

func (k *Kernel) sendStdin(p *parent, frames [][]byte) error {
	for range 100 {
		if c := k.stdin.Find(p.routing); c != nil {
			return c.Send(frames)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-k.stop:
			return worker.ErrClosed
		}
	}
	return errNoStdin
}

// receiveInput takes input_reply. One that answers no open question is stale.
func (k *Kernel) receiveInput(_ *socket.Conn, frames [][]byte) {
	m, err := k.session.Decode(frames)
	if err != nil {
		k.log.Warn("message dropped", "channel", wire.Stdin, "err", err)
		return
	}
	var parent struct {
		MsgID string `json:"msg_id"`
	}
	var content struct {
		Value string `json:"value"`
	}
	_ = wire.JSON.Unmarshal(m.Parent, &parent) // jupyter_client sends none
	if m.Header.MsgType != "input_reply" || wire.JSON.Unmarshal(m.Content, &content) != nil {
		k.log.Warn("message dropped", "channel", wire.Stdin, "type", m.Header.MsgType)
		return
	}
	k.inputs.mu.Lock()
	var open *question
	if len(k.inputs.queue) > 0 {
		open = k.inputs.queue[0]
	}
	if open != nil && (open.msgID == "" || parent.MsgID != "" && parent.MsgID != open.msgID) {
		open = nil
	}
	k.inputs.mu.Unlock()
	switch {
	case open == nil:
		k.log.Warn("stale input_reply dropped")
	case content.Value == endOfInput:
		k.settle(open, "", io.EOF)
	default:
		k.settle(open, content.Value, nil)
	}
}

// settle answers a question, if it is still open, and asks the next.
func (k *Kernel) settle(q *question, value string, err error) {
	k.inputs.mu.Lock()
	if len(k.inputs.queue) == 0 || k.inputs.queue[0] != q {
		k.inputs.mu.Unlock()
		return
	}
	k.inputs.queue = k.inputs.queue[1:]
	var next *question
	if len(k.inputs.queue) > 0 {
		next = k.inputs.queue[0]
	}
	k.inputs.mu.Unlock()
	q.answer(value, err)
	if next != nil {
		go k.ask(next)
	}
}

// dropInputs forgets the questions of a cell that has ended.
func (k *Kernel) dropInputs(cell string) {
	k.inputs.mu.Lock()
	var rest []*question
	for _, q := range k.inputs.queue {
		if q.cell != cell {
			rest = append(rest, q)
		}
	}
	changed := len(rest) > 0 && rest[0] != k.inputs.queue[0]
	k.inputs.queue = rest
	k.inputs.mu.Unlock()
	if changed {
		go k.ask(rest[0])
	}
}

// failAll ends all questions.
func (in *inputs) failAll(err error) {
	in.mu.Lock()
	queue := in.queue
	in.queue = nil
	in.mu.Unlock()
	for _, q := range queue {
		q.answer("", err)
	}
}
