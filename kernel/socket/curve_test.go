package socket

import (
	"bytes"
	"container/list"
	"crypto/rand"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/nacl/secretbox"
)

func newKeys(t testing.TB) *CurveKeys {
	t.Helper()
	k := new(CurveKeys)
	rand.Read(k.secret[:])
	k.public = publicKey(&k.secret)
	return k
}

// curveClient is the client side of the handshake, with hooks to do it wrongly.
type curveClient struct {
	*rawPeer
	server    key32 // the public key it believes in
	transient *CurveKeys
	long      *CurveKeys
	session   *curveSession

	hello    func([]byte)       // changes the HELLO body
	initiate func([]byte)       // changes the INITIATE body
	vouch    func(plain []byte) // changes the vouch before it is sealed
	metadata []byte
}

func newCurveClient(t testing.TB, addr net.Addr, server key32) *curveClient {
	return &curveClient{rawPeer: dialRaw(t, addr), server: server, transient: newKeys(t), long: newKeys(t),
		metadata: append(property("Socket-Type", "DEALER"), property("Identity", "secret")...)}
}

// refusedAt names the step at which the server closed, "" if it did not.
func (c *curveClient) handshake() (refusedAt string) {
	c.write(greeting("CURVE"))
	c.nc.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c.br, make([]byte, 64)); err != nil {
		return "greeting"
	}
	helloKey, err := boxKey(&c.transient.secret, &c.server)
	if err != nil {
		c.t.Fatal(err)
	}
	hello := append([]byte{1, 0}, make([]byte, 72)...)
	hello = append(hello, c.transient.public[:]...)
	hello = binary.BigEndian.AppendUint64(hello, 1)
	hello = secretbox.Seal(hello, make([]byte, 64), shortNonce("CurveZMQHELLO---", 1), helloKey)
	if c.hello != nil {
		c.hello(hello)
	}
	c.write(command("HELLO", hello))
	welcome := c.reply("WELCOME")
	if len(welcome) != 160 {
		return "HELLO"
	}
	plain, ok := secretbox.Open(nil, welcome[16:], longNonce("WELCOME-", welcome[:16]), helloKey)
	if !ok {
		c.t.Fatal("WELCOME cannot be opened")
	}
	serverTransient := key32(plain[:32])
	connKey, _ := boxKey(&c.transient.secret, &serverTransient)
	vouchKey, _ := boxKey(&c.long.secret, &serverTransient)
	vouch := append(append([]byte{}, c.transient.public[:]...), c.server[:]...)
	if c.vouch != nil {
		c.vouch(vouch)
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	inner := append(append([]byte{}, c.long.public[:]...), nonce...)
	inner = secretbox.Seal(inner, vouch, longNonce("VOUCH---", nonce), vouchKey)
	inner = append(inner, c.metadata...)
	initiate := binary.BigEndian.AppendUint64(append([]byte{}, plain[32:]...), 2)
	initiate = secretbox.Seal(initiate, inner, shortNonce("CurveZMQINITIATE", 2), connKey)
	if c.initiate != nil {
		c.initiate(initiate)
	}
	c.write(command("INITIATE", initiate))
	ready := c.reply("READY")
	if len(ready) < 24 {
		return "INITIATE"
	}
	if _, ok := secretbox.Open(nil, ready[8:], shortNonce("CurveZMQREADY---", binary.BigEndian.Uint64(ready)), connKey); !ok {
		c.t.Fatal("READY cannot be opened")
	}
	c.session = &curveSession{key: connKey, sent: 2, received: 1, sendPrefix: "CurveZMQMESSAGEC", receivePrefix: "CurveZMQMESSAGES"}
	return ""
}

// reply returns the body of a command, nil if the server has closed.
func (c *curveClient) reply(name string) []byte {
	c.nc.SetReadDeadline(time.Now().Add(patience))
	budget := int64(maxMessage)
	_, body, err := readFrame(c.br, &budget)
	if err != nil {
		return nil
	}
	got, rest, err := parseCommand(body)
	if err != nil || got != name {
		c.t.Fatalf("got %q instead of %s", body, name)
	}
	return rest
}

func curveRouter(t *testing.T) (*Router, *CurveKeys) {
	keys := newKeys(t)
	return echoRouter(t, loopback(t), Options{Keys: keys}), keys
}

func TestCurveCarriesMessages(t *testing.T) {
	r, keys := curveRouter(t)
	c := newCurveClient(t, r.Addr(), keys.public)
	if at := c.handshake(); at != "" {
		t.Fatal("refused at", at)
	}
	for _, m := range [][]string{{"hello"}, {"", "two", strings.Repeat("big", 100_000)}} {
		var wire []byte
		for i, f := range m {
			flags := byte(flagMore)
			if i == len(m)-1 {
				flags = 0
			}
			wire = c.session.seal(wire, flags, []byte(f))
		}
		if bytes.Contains(wire, []byte("hello")) {
			t.Error("the wire shows the text")
		}
		c.write(wire)
		for i, f := range m {
			_, body := c.frame()
			flags, plain, err := c.session.open(body)
			if err != nil || string(plain) != f || (flags&flagMore != 0) != (i < len(m)-1) {
				t.Fatalf("frame %d: %d bytes, flags %d, %v", i, len(plain), flags, err)
			}
		}
	}
	if r.Find("secret") == nil {
		t.Error("the identity within the handshake is not known")
	}
	c.write(c.session.seal(nil, flagCommand, []byte("\x04PING\x00\x10ctx")))
	_, body := c.frame()
	if flags, plain, err := c.session.open(body); err != nil || flags != flagCommand || string(plain) != "\x04PONGctx" {
		t.Errorf("PING: %d %q %v", flags, plain, err)
	}
}

func TestCurveHandshakesThatMustFail(t *testing.T) {
	r, keys := curveRouter(t)
	flip := func(at int) func([]byte) { return func(b []byte) { b[at] ^= 1 } }
	for name, c := range map[string]struct {
		change func(*curveClient)
		want   string
	}{
		"wrong server key":     {func(c *curveClient) { c.server = newKeys(t).public }, "HELLO"},
		"wrong version":        {func(c *curveClient) { c.hello = flip(0) }, "HELLO"},
		"changed HELLO box":    {func(c *curveClient) { c.hello = flip(120) }, "HELLO"},
		"low-order client key": {func(c *curveClient) { c.hello = func(b []byte) { clear(b[74:106]) } }, "HELLO"},
		"foreign cookie":       {func(c *curveClient) { c.initiate = flip(5) }, "INITIATE"},
		"old counter":          {func(c *curveClient) { c.initiate = func(b []byte) { b[103] = 1 } }, "INITIATE"},
		"changed INITIATE box": {func(c *curveClient) { c.initiate = flip(150) }, "INITIATE"},
		"vouch for another":    {func(c *curveClient) { c.vouch = flip(3) }, "INITIATE"},
		"vouch to another":     {func(c *curveClient) { c.vouch = flip(40) }, "INITIATE"},
		"bad metadata":         {func(c *curveClient) { c.metadata = []byte{200, 1} }, "INITIATE"},
	} {
		client := newCurveClient(t, r.Addr(), keys.public)
		c.change(client)
		if at := client.handshake(); at != c.want {
			t.Errorf("%s: refused at %q, want %q", name, at, c.want)
		}
	}
	p := dialRaw(t, r.Addr()) // a client that does not encrypt
	p.write(append(greeting("NULL"), ready("DEALER", "")...))
	if !p.closed(patience) {
		t.Error("NULL was accepted by a CURVE socket")
	}
	c := newCurveClient(t, r.Addr(), keys.public)
	if at := c.handshake(); at != "" {
		t.Errorf("after all that a good client is refused at %s", at)
	}
}

func TestCurveTrafficThatMustEndTheConnection(t *testing.T) {
	for name, send := range map[string]func(s *curveSession) []byte{
		"plain text":    func(*curveSession) []byte { return encodeFrames("hello") },
		"a flipped bit": func(s *curveSession) []byte { b := s.seal(nil, 0, []byte("hello")); b[len(b)-1] ^= 1; return b },
		"a replay": func(s *curveSession) []byte {
			b := s.seal(nil, 0, []byte("hello"))
			return append(b, b...)
		},
		"an old counter": func(s *curveSession) []byte { s.sent = 0; return s.seal(nil, 0, []byte("hello")) },
		"a short frame":  func(*curveSession) []byte { return encodeFrames("\x07MESSAGE") },
	} {
		r, keys := curveRouter(t)
		c := newCurveClient(t, r.Addr(), keys.public)
		if at := c.handshake(); at != "" {
			t.Fatal("refused at", at)
		}
		c.write(send(c.session))
		if !c.closed(patience) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
}

// The pair is the example of ZeroMQ RFC 32.
func TestZ85(t *testing.T) {
	bytesOf := []byte{0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B}
	text, err := EncodeZ85(bytesOf)
	if err != nil || text != "HelloWorld" {
		t.Errorf("%q %v", text, err)
	}
	back, err := DecodeZ85("HelloWorld")
	if err != nil || !bytes.Equal(back, bytesOf) {
		t.Errorf("%x %v", back, err)
	}
	for _, bad := range []string{"Hell", "Hell~", "#####", "Hell\xff"} {
		if _, err := DecodeZ85(bad); err == nil {
			t.Errorf("%q was decoded", bad)
		}
	}
	if _, err := EncodeZ85([]byte{1}); err == nil {
		t.Error("one byte was encoded")
	}
}

func FuzzServerConnection(f *testing.F) {
	f.Add(append(greeting("NULL"), ready("DEALER", "x")...), false)
	f.Add(append(append(greeting("NULL"), ready("SUB", "")...), encodeFrames("\x01")...), false)
	f.Add(append(greeting("CURVE"), command("HELLO", make([]byte, 194))...), true)
	keys := newKeys(f)
	f.Fuzz(func(t *testing.T, b []byte, encrypted bool) {
		ours, theirs := net.Pipe()
		s := &server{typ: "ROUTER", message: func(c *Conn, m [][]byte) { c.Send(m) }}
		s.conns, s.pending = map[*Conn]struct{}{}, list.New()
		s.Options = Options{Queue: 1 << 20, Log: slog.New(slog.DiscardHandler)}
		if encrypted {
			s.Keys = keys
		}
		done := make(chan struct{})
		go func() { s.serve(ours); close(done) }()
		go io.Copy(io.Discard, theirs)
		theirs.SetWriteDeadline(time.Now().Add(time.Second))
		theirs.Write(b)
		theirs.Close()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("the connection is not let go")
		}
	})
}
