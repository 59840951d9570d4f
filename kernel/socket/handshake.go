package socket

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/go-zeromq/zmq4"
)

const (
	handshakeTimeout = 10 * time.Second
	handshakeFrame   = 4 << 10 // no handshake command is longer
	greetingBytes    = 64
)

// guard is the connection that zmq4 sees during the handshake. zmq4 allocates
// any frame size a peer announces and collects frames without end, so the guard
// lets only command frames of a few kilobytes through.
type guard struct {
	net.Conn
	br   *bufio.Reader
	left int // bytes until the next frame header
}

func (g *guard) Read(p []byte) (int, error) {
	if g.left == 0 {
		if err := g.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := g.br.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

func (g *guard) nextFrame() error {
	h, err := g.br.Peek(2)
	if err != nil {
		return err
	}
	switch h[0] {
	case flagCommand:
		g.left = 2 + int(h[1])
	case flagCommand | flagLong:
		if h, err = g.br.Peek(9); err != nil {
			return err
		}
		for _, b := range h[1:7] {
			if b != 0 {
				return errTooBig
			}
		}
		g.left = 9 + int(h[7])<<8 + int(h[8])
	default:
		return errBadFrame
	}
	if g.left > handshakeFrame {
		return errTooBig
	}
	return nil
}

// Close does nothing: the connection belongs to the socket.
func (g *guard) Close() error { return nil }

// open lets zmq4 exchange greeting and security handshake and returns the
// peer's metadata. zmq4 panics on some malformed input, hence the recover.
func open(nc net.Conn, br *bufio.Reader, typ zmq4.SocketType, identity string, security zmq4.Security, server bool) (peer zmq4.Metadata, err error) {
	defer func() {
		if r := recover(); r != nil {
			peer, err = nil, fmt.Errorf("malformed handshake: %v", r)
		}
	}()
	c, err := zmq4.Open(&guard{Conn: nc, br: br, left: greetingBytes}, security, typ, zmq4.SocketIdentity(identity), server, nil)
	if err != nil {
		return nil, err
	}
	return c.Peer.Meta, nil
}

// nullMechanism is the NULL mechanism: READY against READY.
type nullMechanism struct{}

func (nullMechanism) Type() zmq4.SecurityType { return zmq4.NullSecurity }

func (nullMechanism) Handshake(c *zmq4.Conn, server bool) error {
	meta, err := c.Meta.MarshalZMTP()
	if err != nil {
		return err
	}
	if err := c.SendCmd(zmq4.CmdReady, meta); err != nil {
		return err
	}
	cmd, err := c.RecvCmd()
	if err != nil {
		return err
	}
	if cmd.Name != zmq4.CmdReady {
		return fmt.Errorf("expected READY, got %q", cmd.Name)
	}
	return setPeerMetadata(c, cmd.Body)
}

func (nullMechanism) Encrypt(w io.Writer, d []byte) (int, error) { return w.Write(d) }
func (nullMechanism) Decrypt(w io.Writer, d []byte) (int, error) { return w.Write(d) }

// setPeerMetadata keeps the two properties that matter. Names are
// case-insensitive in ZMTP.
func setPeerMetadata(c *zmq4.Conn, body []byte) error {
	props, err := parseProperties(body)
	if err != nil {
		return err
	}
	for name, value := range props {
		for _, known := range []string{"Socket-Type", "Identity"} {
			if strings.EqualFold(name, known) {
				c.Peer.Meta[known] = value
			}
		}
	}
	return nil
}
