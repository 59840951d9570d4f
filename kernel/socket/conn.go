package socket

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"time"
)

// Conn is one live connection to a peer. Answers go to the connection a request
// came from, never through a map of identities: several clients may use the same.
type Conn struct {
	identity string
	nc       net.Conn
	br       *bufio.Reader
	queue    *queue
	curve    *curveSession // nil: not encrypted
	since    time.Time     // end of the handshake

	subMu    sync.RWMutex
	topics   map[string]int
	topicLen int
}

func newConn(nc net.Conn, br *bufio.Reader, identity string, curve *curveSession, limit int) *Conn {
	return &Conn{identity: identity, nc: nc, br: br, curve: curve, since: time.Now(), queue: newQueue(limit), topics: map[string]int{}}
}

// Identity is the routing id that the peer announced, possibly empty.
func (c *Conn) Identity() string { return c.identity }

// Send queues one message; it never waits for the network. The frames must not
// be changed afterwards. A peer that lets its queue overflow is dropped.
func (c *Conn) Send(frames [][]byte) error {
	err := c.queue.push(0, frames)
	if err == errFull {
		c.drop()
	}
	return err
}

// sendWait is Send that waits for room until the deadline.
func (c *Conn) sendWait(frames [][]byte, deadline time.Time) error {
	err := c.queue.pushWait(0, frames, deadline)
	if err == errFull {
		c.drop()
	}
	return err
}

func (c *Conn) drop() {
	c.queue.kill()
	c.nc.Close()
}

// write runs the writer; call it once, in its own goroutine.
func (c *Conn) write() {
	if err := c.queue.run(c.nc, c.curve); err != nil {
		c.nc.Close()
	}
}

// finish sends what is queued, at most until the deadline, and closes.
func (c *Conn) finish(deadline time.Time) {
	c.queue.finish()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-c.queue.done:
		if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	case <-timer.C:
	}
	c.drop()
}

// receive reads the next message and deals with ZMTP commands on the way.
// subscribed, which may be nil, gets SUBSCRIBE and CANCEL commands.
func (c *Conn) receive(subscribed func(topic string, on bool)) ([][]byte, error) {
	var frames [][]byte
	budget := int64(maxMessage)
	for {
		flags, body, err := readFrame(c.br, &budget)
		if err != nil {
			return nil, err
		}
		if c.curve != nil { // flags outside the box are not authenticated
			if flags, body, err = c.curve.open(body); err != nil {
				return nil, err
			}
		}
		if flags&flagCommand != 0 {
			if frames != nil || flags&flagMore != 0 {
				return nil, errBadFrame
			}
			if err := c.command(body, subscribed); err != nil {
				return nil, err
			}
			budget = maxMessage
			continue
		}
		if frames = append(frames, body); len(frames) > maxFrames {
			return nil, errTooBig
		}
		if flags&flagMore == 0 {
			return frames, nil
		}
	}
}

func (c *Conn) command(body []byte, subscribed func(string, bool)) error {
	name, arg, err := parseCommand(body)
	if err != nil {
		return err
	}
	switch name {
	case "PING": // time to live (2), context (up to 16) to be sent back
		pong := []byte("\x04PONG")
		if len(arg) > 2 {
			pong = append(pong, arg[2:min(len(arg), 18)]...)
		}
		if err := c.queue.push(flagCommand, [][]byte{pong}); err != nil {
			return err
		}
	case "SUBSCRIBE", "CANCEL":
		if subscribed != nil {
			subscribed(string(arg), name == "SUBSCRIBE")
		}
	}
	return nil
}

// Bounds on the subscriptions of one peer.
const (
	maxTopics     = 1000
	maxTopicBytes = 64 << 10
)

// subscribe counts a subscription in or out. It reports whether it was taken.
func (c *Conn) subscribe(topic string, on bool) bool {
	c.subMu.Lock()
	defer c.subMu.Unlock()
	n := c.topics[topic]
	switch {
	case on && n == 0 && (len(c.topics) >= maxTopics || c.topicLen+len(topic) > maxTopicBytes):
		return false
	case on:
		c.topics[topic] = n + 1
		if n == 0 {
			c.topicLen += len(topic)
		}
		return true
	case n == 1:
		delete(c.topics, topic)
		c.topicLen -= len(topic)
	case n > 1:
		c.topics[topic] = n - 1
	}
	return false
}

// subscribes reports whether the peer has any subscription.
func (c *Conn) subscribes() bool {
	c.subMu.RLock()
	defer c.subMu.RUnlock()
	return len(c.topics) > 0
}

func (c *Conn) wants(topic string) bool {
	c.subMu.RLock()
	defer c.subMu.RUnlock()
	for t := range c.topics {
		if strings.HasPrefix(topic, t) {
			return true
		}
	}
	return false
}
