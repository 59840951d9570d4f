package socket

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-zeromq/zmq4"
)

// Client is a connected DEALER, SUB or REQ socket with a single peer, for
// programs that drive a kernel. It does not encrypt and does not reconnect.
type Client struct{ conn *Conn }

// DialDealer connects a DEALER socket with the given identity.
func DialDealer(ctx context.Context, endpoint, identity string) (*Client, error) {
	return dial(ctx, endpoint, zmq4.Dealer, identity)
}

// DialSub connects a SUB socket and subscribes to a topic; "" means everything.
func DialSub(ctx context.Context, endpoint, topic string) (*Client, error) {
	c, err := dial(ctx, endpoint, zmq4.Sub, "")
	if err != nil {
		return nil, err
	}
	return c, c.Send([][]byte{append([]byte{1}, topic...)})
}

// DialReq connects a REQ socket. The caller sends and receives the empty
// delimiter frame of the REQ envelope itself.
func DialReq(ctx context.Context, endpoint string) (*Client, error) {
	return dial(ctx, endpoint, zmq4.Req, "")
}

func dial(ctx context.Context, endpoint string, typ zmq4.SocketType, identity string) (*Client, error) {
	scheme, address, _ := strings.Cut(endpoint, "://")
	network := map[string]string{"tcp": "tcp", "ipc": "unix"}[scheme]
	if network == "" {
		return nil, fmt.Errorf("cannot connect to %q: use tcp://host:port or ipc://path", endpoint)
	}
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(handshakeTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	nc.SetDeadline(deadline)
	br := bufio.NewReaderSize(nc, 64<<10)
	if _, err := open(nc, br, typ, identity, nullMechanism{}, false); err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: %w", endpoint, err)
	}
	nc.SetDeadline(time.Time{})
	c := newConn(nc, br, identity, nil, 1<<30)
	go c.write()
	return &Client{c}, nil
}

// Send queues one message.
func (c *Client) Send(frames [][]byte) error { return c.conn.Send(frames) }

// Receive waits for the next message. Only one goroutine may receive.
func (c *Client) Receive() ([][]byte, error) { return c.conn.receive(nil) }

// SetReadDeadline bounds the waiting of Receive. After a timeout in the middle
// of a message the connection is of no use any more.
func (c *Client) SetReadDeadline(t time.Time) error { return c.conn.nc.SetReadDeadline(t) }

// Close sends what is queued, within a second, and closes the connection.
func (c *Client) Close() error {
	c.conn.finish(time.Now().Add(time.Second))
	return nil
}
