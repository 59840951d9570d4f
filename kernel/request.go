package kernel

import (
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"loris/kernel/socket"
	"loris/kernel/wire"
)

// lane is a goroutine that serves requests one after the other. Requests of
// different lanes run side by side, so that completion, comms and control are
// answered while a cell runs.
type lane int

const (
	laneCells   lane = iota // execute_request, but those of subshells
	laneHelp                // completion, inspection, history
	laneComms               // comm_open, comm_msg, comm_close
	laneInfo                // what the front knows by itself
	laneControl             // everything on the control channel but cells
	laneCount
)

// handler is one row of the table of requests.
type handler struct {
	lane    lane
	handle  func(k *Kernel, r *request) (content []byte)
	reply   bool // there is a <type>_reply
	control bool // taken on the control channel only
}

// requests has one row for every message type that the kernel takes on shell
// and control.
var requests map[string]handler

func init() { // a variable initialiser would be a cycle: handlers look at the table
	requests = map[string]handler{
		"execute_request":     {lane: laneCells, reply: true, handle: (*Kernel).execute},
		"complete_request":    {lane: laneHelp, reply: true, handle: (*Kernel).complete},
		"inspect_request":     {lane: laneHelp, reply: true, handle: (*Kernel).inspect},
		"is_complete_request": {lane: laneHelp, reply: true, handle: (*Kernel).isComplete},
		"history_request":     {lane: laneHelp, reply: true, handle: (*Kernel).historyRequest},
		"comm_open":           {lane: laneComms, handle: (*Kernel).commOpen},
		"comm_msg":            {lane: laneComms, handle: (*Kernel).commMsg},
		"comm_close":          {lane: laneComms, handle: (*Kernel).commClose},
		"comm_info_request":   {lane: laneInfo, reply: true, handle: (*Kernel).commInfo},
		"kernel_info_request": {lane: laneInfo, reply: true, handle: (*Kernel).kernelInfo},
		"connect_request":     {lane: laneInfo, reply: true, handle: (*Kernel).connect},
		"interrupt_request":   {lane: laneControl, reply: true, handle: (*Kernel).interrupt},
		"shutdown_request":    {lane: laneControl, reply: true, handle: (*Kernel).shutdown},
		"usage_request":       {lane: laneControl, reply: true, control: true, handle: (*Kernel).usage},
		"debug_request":       {lane: laneControl, reply: true, control: true, handle: (*Kernel).debug},

		"create_subshell_request": {lane: laneControl, reply: true, control: true, handle: (*Kernel).createSubshell},
		"delete_subshell_request": {lane: laneControl, reply: true, control: true, handle: (*Kernel).deleteSubshell},
		"list_subshell_request":   {lane: laneControl, reply: true, control: true, handle: (*Kernel).listSubshells},
	}
}

// request is a message and where its answer goes.
type request struct {
	*wire.Message
	channel wire.Channel
	conn    *socket.Conn
	queue   *requestQueue     // in which it has waited
	aborted bool              // a cell before it failed
	orphan  bool              // a cell whose subshell is unknown
	meta    map[string]string // metadata of the reply
}

// receive checks a message and puts it in its lane. Bad messages are logged and
// dropped: they may come from anyone.
func (k *Kernel) receive(ch wire.Channel, c *socket.Conn, frames [][]byte) {
	m, err := k.session.Decode(frames)
	if err != nil {
		k.log.Warn("message dropped", "channel", ch, "err", err)
		return
	}
	r := &request{Message: m, channel: ch, conn: c}
	for !k.queueFor(r).add(r) { // its subshell was deleted just now, or the kernel ends
		if k.stopping() {
			return
		}
	}
}

// queueFor is where a request waits for its turn.
func (k *Kernel) queueFor(r *request) *requestQueue {
	h, known := requests[r.Header.MsgType]
	cell := known && h.lane == laneCells
	switch {
	case r.channel == wire.Control && !cell:
		return k.lanes[laneControl]
	case !known || h.control: // serve refuses it
		return k.lanes[laneInfo]
	case !cell || r.Header.SubshellID == "":
		return k.lanes[h.lane]
	}
	if q := k.subshells.find(r.Header.SubshellID); q != nil {
		return q
	}
	r.orphan = true
	return k.lanes[laneInfo]
}

func (k *Kernel) serveAll(q *requestQueue) {
	for {
		r := q.next()
		if r == nil {
			return
		}
		k.serve(r)
	}
}

// serve answers one request, with busy before and idle after everything.
func (k *Kernel) serve(r *request) {
	h, known := requests[r.Header.MsgType]
	known = known && (!h.control || r.channel == wire.Control)
	k.status(r, "busy")
	defer k.status(r, "idle")
	if !known {
		k.log.Warn("message type is not known", "channel", r.channel, "type", r.Header.MsgType)
		return
	}
	content := k.handle(h, r)
	if h.reply {
		k.reply(r, content)
	}
	if r.Header.MsgType == "shutdown_request" {
		k.publish("shutdown_reply", r.RawHeader, nil, content, nil) // other clients want to know
		defer k.Stop()
	}
}

// handle turns a panic in a handler into an error reply.
func (k *Kernel) handle(h handler, r *request) (content []byte) {
	defer func() {
		if p := recover(); p != nil {
			k.log.Error("handler failed", "type", r.Header.MsgType, "panic", p, "stack", string(debug.Stack()))
			content = errorContent("InternalError", fmt.Sprint(p), nil)
		}
	}()
	return h.handle(k, r)
}

func (k *Kernel) reply(r *request, content []byte) {
	msgType := strings.TrimSuffix(r.Header.MsgType, "_request") + "_reply"
	var metadata []byte
	if r.meta != nil {
		metadata = encode(r.meta)
	}
	frames, err := k.session.Encode(r.Identities, k.session.NewHeader(msgType), r.RawHeader, metadata, content, nil)
	if err != nil {
		k.log.Error("reply not sent", "type", msgType, "err", err)
		return
	}
	if err := r.conn.Send(frames); err != nil {
		k.log.Warn("reply not sent", "type", msgType, "err", err)
	}
}

// errorContent is the content of a reply with status error.
func errorContent(name, value string, traceback []string) []byte {
	if traceback == nil {
		traceback = []string{name + ": " + value}
	}
	return encode(map[string]any{"status": "error", "ename": name, "evalue": value, "traceback": traceback})
}

func encode(v any) []byte {
	b, err := wire.AppendValue(nil, v)
	if err != nil {
		return []byte(`{"status":"error","ename":"EncodeError","evalue":"","traceback":[]}`)
	}
	return b
}

// requestQueue is the queue before a lane.
type requestQueue struct {
	mu     sync.Mutex
	cond   *sync.Cond
	list   []*request
	ending bool // close when the list is empty; nothing in it is to run
	closed bool
}

// maxQueued is where a queue stops reading from its clients.
const maxQueued = 10_000

func newRequestQueue() *requestQueue {
	q := &requestQueue{}
	q.cond = sync.NewCond(&q.mu)
	return q
}

// add waits while the queue is full. It returns false if the queue is closed.
func (q *requestQueue) add(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) >= maxQueued && !q.closed {
		q.cond.Wait()
	}
	if q.closed {
		return false
	}
	r.queue, r.aborted = q, q.ending
	q.list = append(q.list, r)
	q.cond.Broadcast()
	return true
}

// next returns nil when the queue is closed.
func (q *requestQueue) next() *request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && !q.closed && !q.ending {
		q.cond.Wait()
	}
	if q.closed || len(q.list) == 0 {
		q.closed = true
		return nil
	}
	r := q.list[0]
	q.list[0] = nil
	q.list = q.list[1:]
	q.cond.Broadcast()
	return r
}

// end closes the queue when what it holds has been answered as aborted.
func (q *requestQueue) end() {
	q.abort()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	q.cond.Broadcast()
}

// abort marks every queued request.
func (q *requestQueue) abort() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.list {
		r.aborted = true
	}
}

func (q *requestQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.cond.Broadcast()
}
