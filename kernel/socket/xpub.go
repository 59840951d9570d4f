package socket

import (
	"time"

	"github.com/go-zeromq/zmq4"
)

// XPub is a bound XPUB socket.
type XPub struct {
	server
	wait time.Duration
}

// ListenXPub binds an XPUB socket. subscribed, which may be nil, is called for
// every new subscription, from the goroutine of its connection.
func ListenXPub(endpoint string, o Options, subscribed func(c *Conn, topic string)) (*XPub, error) {
	if o.Queue == 0 {
		o.Queue = 256 << 20 // frames are shared between peers, so this is an upper bound for all of them
	}
	x := &XPub{server: server{Options: o, typ: zmq4.XPub}, wait: 2 * time.Second}
	x.control = func(c *Conn, topic string, on bool) {
		if c.subscribe(topic, on) && subscribed != nil {
			subscribed(c, topic)
		}
	}
	// Peers of ZMTP 3.0 subscribe by messages, 1 or 0 before the topic.
	x.message = func(c *Conn, frames [][]byte) {
		if f := frames[0]; len(frames) == 1 && len(f) > 0 && f[0] <= 1 {
			x.control(c, string(f[1:]), f[0] == 1)
		}
	}
	if err := x.listen(endpoint); err != nil {
		return nil, err
	}
	return x, nil
}

// Publish sends a message, topic first, to every subscriber of the topic. For a
// subscriber whose queue is full it waits up to two seconds and then drops the
// connection: a client reconnects, but it never sees a gap it cannot notice.
// The frames must not be changed afterwards.
func (x *XPub) Publish(frames [][]byte) {
	topic := string(frames[0])
	deadline := time.Now().Add(x.wait)
	for _, c := range x.live() {
		if !c.wants(topic) {
			continue
		}
		if err := c.sendWait(frames, deadline); err == errFull {
			x.Log.Warn("IOPub subscriber dropped: it does not read", "peer", c.nc.RemoteAddr())
		}
	}
}

// freshness is how long a new peer may take to subscribe and still be waited
// for; one that never subscribes holds nobody up for longer.
const freshness = time.Second

// Settled reports whether the peers of another socket may expect to hear what is
// published: there are as many subscribers as peers, none is in its handshake,
// and none is newly connected without a subscription.
func (x *XPub) Settled(peers int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pending.Len() > 0 {
		return false
	}
	subscribers := 0
	for c := range x.conns {
		switch {
		case c.subscribes():
			subscribers++
		case time.Since(c.since) < freshness:
			return false
		}
	}
	return subscribers >= peers
}
