package kernel

import (
	"sync"

	"loris/kernel/socket"
	"loris/kernel/worker"
)

// publish broadcasts a message on IOPub.
func (k *Kernel) publish(msgType string, parent, metadata, content []byte, buffers [][]byte) {
	topic := []byte("kernel." + k.session.ID + "." + msgType)
	frames, err := k.session.Encode([][]byte{topic}, k.session.NewHeader(msgType), parent, metadata, content, buffers)
	if err != nil {
		k.log.Error("message not published", "type", msgType, "err", err)
		return
	}
	k.publishing.Lock()
	defer k.publishing.Unlock()
	k.iopub.Publish(frames)
}

func (k *Kernel) status(r *request, state string) {
	k.publish("status", r.RawHeader, nil, []byte(`{"execution_state":"`+state+`"}`), nil)
}

// welcome tells a new subscriber, and nobody else, that its subscription is in
// force: what is published from now on reaches it.
func (k *Kernel) welcome(c *socket.Conn, topic string) {
	var identities [][]byte
	if topic != "" {
		identities = [][]byte{[]byte(topic)}
	}
	content := encode(map[string]any{"subscription": topic})
	frames, err := k.session.Encode(identities, k.session.NewHeader("iopub_welcome"), nil, nil, content, nil)
	if err == nil {
		err = c.Send(frames)
	}
	if err != nil {
		k.log.Warn("iopub_welcome not sent", "err", err)
	}
}

// sink receives what the worker emits.
type sink struct{ k *Kernel }

// Output publishes a message under the request that its cell came with, also
// long after that cell has ended.
func (s sink) Output(m worker.Message) {
	p := s.k.parents.find(m.CellID)
	switch m.Type {
	case "comm_open", "comm_close":
		s.k.comms.note(m.Type, m.Content)
	case "comm_msg":
	default:
		if p.silent {
			return
		}
	}
	s.k.publish(m.Type, p.header, m.Metadata, m.Content, m.Buffers)
}

// Died shows the report of a death between two cells under the latest cell.
func (s sink) Died(d *worker.Death) {
	p := s.k.parents.find("")
	report := s.k.report(d)
	text := ""
	for _, line := range report.Traceback {
		text += line + "\n"
	}
	s.k.publish("stream", p.header, nil, encode(map[string]any{"name": "stderr", "text": text}), nil)
}

// parent is what outputs need to know of the request they belong to.
type parent struct {
	header     []byte
	identities [][]byte // envelope frames of the request
	routing    string   // identity of the connection it came on
	silent     bool
	allowStdin bool
}

// parents remembers requests by message id, the newest ones only.
type parents struct {
	mu     sync.Mutex
	byID   map[string]*parent
	ring   []string
	next   int
	latest *parent // of the newest cell
}

const maxParents = 8192

func newParents() *parents {
	return &parents{byID: map[string]*parent{}, ring: make([]string, maxParents), latest: &parent{}}
}

func (ps *parents) add(id string, p *parent, isCell bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.byID, ps.ring[ps.next])
	ps.ring[ps.next] = id
	ps.next = (ps.next + 1) % len(ps.ring)
	ps.byID[id] = p
	if isCell {
		ps.latest = p
	}
}

// find returns the latest cell for an id that is unknown or "".
func (ps *parents) find(id string) *parent {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.byID[id]; p != nil {
		return p
	}
	return ps.latest
}

var _ worker.Sink = sink{}
