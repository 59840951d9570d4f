package socket

import (
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"
)

// Router is a bound ROUTER socket.
type Router struct {
	server
	idMu sync.RWMutex
	byID map[string][]*Conn // newest last
}

// settleTime is the pause before the first message of a new connection is read.
// A client opens all its channels at once; without the pause a fast kernel
// answers on shell before the client's IOPub subscription has arrived.
const settleTime = 2 * time.Millisecond

// maxSettleTime bounds the wait for subscriptions on a machine so busy that the
// pause is not enough.
const maxSettleTime = 300 * time.Millisecond

// ListenRouter binds a ROUTER socket. receive is called for every message, from
// the goroutine of its connection; while it waits, that peer's input waits.
// The frames do not include the peer's identity.
func ListenRouter(endpoint string, o Options, receive func(*Conn, [][]byte)) (*Router, error) {
	r := &Router{server: server{Options: o, typ: zmq4.Router, message: receive, settle: settleTime}, byID: map[string][]*Conn{}}
	r.attach, r.detach = r.remember, r.forget
	if err := r.listen(endpoint); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Router) remember(c *Conn) {
	r.idMu.Lock()
	defer r.idMu.Unlock()
	r.byID[c.identity] = append(r.byID[c.identity], c)
}

func (r *Router) forget(c *Conn) {
	r.idMu.Lock()
	defer r.idMu.Unlock()
	var rest []*Conn
	for _, other := range r.byID[c.identity] {
		if other != c {
			rest = append(rest, other)
		}
	}
	if rest == nil {
		delete(r.byID, c.identity)
	} else {
		r.byID[c.identity] = rest
	}
}

// Find returns the newest live connection of an identity, or nil. It is for
// messages that no request on this socket has asked for, such as input_request.
func (r *Router) Find(identity string) *Conn {
	r.idMu.RLock()
	defer r.idMu.RUnlock()
	conns := r.byID[identity]
	if len(conns) == 0 {
		return nil
	}
	return conns[len(conns)-1]
}
