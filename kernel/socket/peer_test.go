package socket

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long tests wait for what must come: long, since a machine may
// be busy with much else.
const patience = time.Minute

// rawPeer speaks ZMTP by hand, so that it can speak it wrongly.
type rawPeer struct {
	t  testing.TB
	nc net.Conn
	br *bufio.Reader
}

func dialRaw(t testing.TB, addr net.Addr) *rawPeer {
	t.Helper()
	nc, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &rawPeer{t, nc, bufio.NewReader(nc)}
}

func greeting(mechanism string) []byte {
	g := make([]byte, 64)
	g[0], g[8], g[9], g[10] = 0xff, 1, 0x7f, 3
	copy(g[12:32], mechanism)
	return g
}

func property(name, value string) []byte {
	b := append([]byte{byte(len(name))}, name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

func command(name string, body []byte) []byte {
	content := append(append([]byte{byte(len(name))}, name...), body...)
	return append(appendFrameHeader(nil, len(content), flagCommand), content...)
}

func ready(socketType, identity string) []byte {
	return command("READY", append(property("Socket-Type", socketType), property("Identity", identity)...))
}

func (p *rawPeer) write(b []byte) {
	p.nc.SetWriteDeadline(time.Now().Add(patience))
	p.nc.Write(b) // the other side may have closed
}

// shake does the whole NULL handshake.
func (p *rawPeer) shake(socketType, identity string) *rawPeer {
	p.t.Helper()
	p.write(append(greeting("NULL"), ready(socketType, identity)...))
	g := make([]byte, 64)
	p.nc.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(p.br, g); err != nil {
		p.t.Fatal("greeting:", err)
	}
	if flags, body := p.frame(); flags != flagCommand || string(body[:6]) != "\x05READY" {
		p.t.Fatalf("got %d %q instead of READY", flags, body)
	}
	return p
}

func (p *rawPeer) frame() (byte, []byte) {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(patience))
	budget := int64(maxMessage)
	flags, body, err := readFrame(p.br, &budget)
	if err != nil {
		p.t.Fatal("frame:", err)
	}
	return flags &^ flagLong, body
}

// closed waits until the server has closed the connection.
func (p *rawPeer) closed(within time.Duration) bool {
	p.nc.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, p.br)
	ne, ok := err.(net.Error)
	return !(ok && ne.Timeout())
}

func encodeFrames(frames ...string) (b []byte) {
	for i, f := range frames {
		flags := byte(flagMore)
		if i == len(frames)-1 {
			flags = 0
		}
		b = append(appendFrameHeader(b, len(f), flags), f...)
	}
	return b
}

// echoRouter answers every message with itself.
func echoRouter(t testing.TB, endpoint string, o Options) *Router {
	t.Helper()
	r, err := ListenRouter(endpoint, o, func(c *Conn, f [][]byte) { c.Send(f) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(0) })
	return r
}

func loopback(t testing.TB) string { return "tcp://127.0.0.1:0" }

func endpointOf(a net.Addr) string {
	if a.Network() == "unix" {
		return "ipc://" + a.String()
	}
	return "tcp://" + a.String()
}

func ipcPath(t testing.TB) string { return filepath.Join(t.TempDir(), "s") }

// mustEcho checks that the socket serves a new, well-behaved client.
func mustEcho(t testing.TB, addr net.Addr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := DialDealer(ctx, endpointOf(addr), "good")
	if err != nil {
		t.Fatal("a good client cannot connect:", err)
	}
	defer c.Close()
	roundTrip(t, c, "hello", "world")
}

func roundTrip(t testing.TB, c *Client, frames ...string) {
	t.Helper()
	var m [][]byte
	for _, f := range frames {
		m = append(m, []byte(f))
	}
	if err := c.Send(m); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	back, err := c.Receive()
	if err != nil || len(back) != len(frames) {
		t.Fatalf("%d frames came back as %d: %v", len(frames), len(back), err)
	}
	for i := range back {
		if string(back[i]) != frames[i] {
			t.Fatalf("frame %d differs", i)
		}
	}
}
