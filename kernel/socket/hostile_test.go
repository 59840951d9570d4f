package socket

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each test below holds one way in which a peer can harm the sockets of zmq4
// itself; the server must go on serving others.

func TestSilentConnectionsStopNobody(t *testing.T) {
	r := echoRouter(t, loopback(t), Options{})
	for range 300 { // more than may be pending
		dialRaw(t, r.Addr())
	}
	for _, beginning := range []string{"GET / HTTP/1.0\r\n\r\n", "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f", "\x00"} {
		dialRaw(t, r.Addr()).write([]byte(beginning))
	}
	mustEcho(t, r.Addr())
}

func TestMalformedHandshakesAreRefused(t *testing.T) {
	r := echoRouter(t, loopback(t), Options{})
	long := func(size uint64, flags byte) []byte {
		return binary.BigEndian.AppendUint64([]byte{flags | flagLong}, size)
	}
	null := greeting("NULL")
	for name, b := range map[string][]byte{
		"incompatible socket type":  append(null, ready("STREAM", "")...),
		"PUB to a ROUTER":           append(greeting("NULL"), ready("PUB", "")...),
		"no socket type":            append(greeting("NULL"), command("READY", nil)...),
		"one byte of properties":    append(greeting("NULL"), command("READY", []byte{5})...),
		"property without a value":  append(greeting("NULL"), command("READY", []byte("\x0bSocket-Type"))...),
		"property value too long":   append(greeting("NULL"), command("READY", append([]byte("\x0bSocket-Type"), 0xff, 0xff, 0xff, 0xff))...),
		"empty command":             append(greeting("NULL"), 4, 0),
		"command name too long":     append(greeting("NULL"), 4, 1, 200),
		"message instead of READY":  append(greeting("NULL"), encodeFrames("hello")...),
		"endless frames with MORE":  append(greeting("NULL"), bytes.Repeat([]byte{flagCommand | flagMore, 1, 'x'}, 1000)...),
		"frame of 2^62 bytes":       append(greeting("NULL"), long(1<<62, flagCommand)...),
		"frame of 2^40 bytes":       append(greeting("NULL"), long(1<<40, flagCommand)...),
		"frame of 2^33 bytes":       append(greeting("NULL"), long(1<<33, flagCommand)...),
		"frame of 5000 bytes":       append(greeting("NULL"), long(5000, flagCommand)...),
		"PLAIN mechanism":           greeting("PLAIN"),
		"CURVE where there is none": greeting("CURVE"),
		"ERROR":                     append(greeting("NULL"), command("ERROR", []byte("\x03bad"))...),
		"random":                    bytes.Repeat([]byte{0xa5, 0x5a, 0x0f}, 100),
	} {
		p := dialRaw(t, r.Addr())
		p.write(b)
		if !p.closed(patience) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	mustEcho(t, r.Addr())
	eventually(t, "connections are left", func() bool { return len(r.live()) <= 1 })
}

func TestAnnouncedSizesAreNotAllocated(t *testing.T) {
	r := echoRouter(t, loopback(t), Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, size := range []uint64{1 << 62, 1 << 40, 1 << 33, maxMessage, maxMessage - 1} {
		p := dialRaw(t, r.Addr()).shake("DEALER", "")
		p.write(binary.BigEndian.AppendUint64([]byte{flagLong}, size))
		p.write([]byte("and a few bytes"))
		if size > maxMessage && !p.closed(patience) {
			t.Errorf("size %d: the connection stays open", size)
		}
	}
	time.Sleep(50 * time.Millisecond)
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("heap grew by %d MB", grown>>20)
	}
	mustEcho(t, r.Addr())
}

func TestBadFramesEndOnlyTheirConnection(t *testing.T) {
	r := echoRouter(t, loopback(t), Options{})
	for name, b := range map[string][]byte{
		"reserved flags":           {0xf0, 1, 'x'},
		"command within a message": append([]byte{flagMore, 1, 'a'}, command("PING", []byte{0, 0})...),
		"command with MORE":        {flagCommand | flagMore, 5, 4, 'P', 'I', 'N', 'G'},
		"command without its name": {flagCommand, 1, 9},
		"too many frames":          bytes.Repeat([]byte{flagMore, 0}, maxFrames+2),
	} {
		p := dialRaw(t, r.Addr()).shake("DEALER", "")
		p.write(b)
		if !p.closed(patience) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	mustEcho(t, r.Addr())
}

func TestPeerThatDoesNotReadBlocksNobody(t *testing.T) {
	r := echoRouter(t, loopback(t), Options{Queue: 4 << 20})
	ctx := context.Background()
	stalled, err := DialDealer(ctx, endpointOf(r.Addr()), "stalled")
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.conn.drop()
	go func() { // floods and never reads
		for i := 0; i < 100 && stalled.Send([][]byte{make([]byte, 1<<20)}) == nil; i++ {
			time.Sleep(time.Millisecond)
		}
	}()
	deadline := time.Now().Add(patience)
	for r.Find("stalled") != nil {
		mustEcho(t, r.Addr())
		if time.Now().After(deadline) {
			t.Fatal("the stalled peer is not dropped")
		}
	}
	r.Close(time.Second) // returns, although a peer does not read
}

func subscribe(t *testing.T, x *XPub, topic string) *Client {
	t.Helper()
	c, err := DialSub(context.Background(), endpointOf(x.Addr()), topic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.drop() })
	return c
}

// listenXPub reports subscriptions on a channel.
func listenXPub(t *testing.T, o Options) (*XPub, chan string) {
	t.Helper()
	topics := make(chan string, 2*maxTopics)
	x, err := ListenXPub(loopback(t), o, func(c *Conn, topic string) { topics <- topic })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(0) })
	return x, topics
}

func TestStalledSubscriberStarvesNobodyAndIsDropped(t *testing.T) {
	x, topics := listenXPub(t, Options{Queue: 8 << 20})
	x.wait = 5 * time.Second // for the reader, on a busy machine
	stalled := subscribe(t, x, "")
	good := subscribe(t, x, "")
	<-topics
	<-topics
	got := make(chan int, 1)
	const n = 100
	go func() {
		count := 0
		for count < n {
			if _, err := good.Receive(); err != nil {
				break
			}
			count++
		}
		got <- count
	}()
	payload := make([]byte, 1<<20)
	for range n {
		x.Publish([][]byte{[]byte("t"), payload})
	}
	if count := <-got; count != n {
		t.Errorf("the reading subscriber got %d of %d", count, n)
	}
	if n := len(x.live()); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	_ = stalled
}

func TestBurstToAReadingSubscriberIsComplete(t *testing.T) {
	x, topics := listenXPub(t, Options{})
	sub := subscribe(t, x, "")
	<-topics
	const n = 100_000
	go func() {
		var b [8]byte
		for i := range n {
			x.Publish([][]byte{[]byte("t"), binary.BigEndian.AppendUint64(nil, uint64(i)), b[:]})
		}
	}()
	for i := range n {
		m, err := sub.Receive()
		if err != nil || binary.BigEndian.Uint64(m[1]) != uint64(i) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func TestCloseDeliversWhatIsQueued(t *testing.T) {
	x, topics := listenXPub(t, Options{})
	sub := subscribe(t, x, "")
	<-topics
	const n = 20_000
	for i := range n {
		x.Publish([][]byte{[]byte("t"), binary.BigEndian.AppendUint64(nil, uint64(i))})
	}
	go x.Close(10 * time.Second)
	for i := range n {
		if _, err := sub.Receive(); err != nil {
			t.Fatalf("lost after %d messages: %v", i, err)
		}
	}
	if _, err := sub.Receive(); err != io.EOF {
		t.Errorf("the connection ends with %v", err)
	}
}

func TestNothingLeaks(t *testing.T) {
	count := func() (goroutines, files int) {
		list, _ := os.ReadDir("/dev/fd")
		return runtime.NumGoroutine(), len(list)
	}
	g0, f0 := count()
	for range 20 {
		r, err := ListenRouter("tcp://127.0.0.1:0", Options{}, func(c *Conn, f [][]byte) { c.Send(f) })
		if err != nil {
			t.Fatal(err)
		}
		x, err := ListenXPub("tcp://127.0.0.1:0", Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range []net.Addr{r.Addr(), x.Addr()} {
			for _, b := range [][]byte{nil, greeting("NULL"), append(greeting("NULL"), ready("STREAM", "")...), append(greeting("NULL"), ready("DEALER", "x")...)} {
				nc, err := net.Dial("tcp", addr.String())
				if err != nil {
					t.Fatal(err)
				}
				nc.Write(b)
				nc.Write([]byte{flagMore, 200, 'h', 'a', 'l', 'f'}) // ends in the middle of a message
				nc.Close()
			}
		}
		mustEcho(t, r.Addr())
		r.Close(time.Second)
		x.Close(time.Second)
	}
	eventually(t, "goroutines or files are left", func() bool { // once what ends has ended
		g1, f1 := count()
		return g1 <= g0+2 && f1 <= f0+2
	})
}

func TestFullFileTableIsSurvived(t *testing.T) {
	r := echoRouter(t, loopback(t), Options{})
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Skip(err)
	}
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	small := limit
	small.Cur = uint64(len(list) + 8)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &small); err != nil {
		t.Skip(err)
	}
	var conns []net.Conn
	for range 32 {
		if c, err := net.Dial("tcp", r.Addr().String()); err == nil {
			conns = append(conns, c)
		}
	}
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	time.Sleep(300 * time.Millisecond)
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	for _, c := range conns {
		c.Close()
	}
	if used := time.Duration(after.Utime.Nano() - before.Utime.Nano()); used > 150*time.Millisecond {
		t.Errorf("accept spins: %v of CPU in 300ms", used)
	}
	mustEcho(t, r.Addr())
}

func TestPingIsAnsweredAndNotDelivered(t *testing.T) {
	r := echoRouter(t, loopback(t), Options{})
	p := dialRaw(t, r.Addr()).shake("DEALER", "")
	p.write(command("PING", []byte("\x00\x10context")))
	if flags, body := p.frame(); flags != flagCommand || string(body) != "\x04PONGcontext" {
		t.Errorf("got %d %q", flags, body)
	}
	p.write(command("PING", []byte("\x00\x10")))
	p.frame()
	p.write(encodeFrames("a", ""))
	if _, body := p.frame(); string(body) != "a" {
		t.Errorf("got %q", body)
	}
}

func TestSubscriptionsByMessageAndByCommand(t *testing.T) {
	x, topics := listenXPub(t, Options{})
	p := dialRaw(t, x.Addr()).shake("SUB", "")
	for _, how := range []struct{ on, off []byte }{
		{encodeFrames("\x01abc"), encodeFrames("\x00abc")},
		{command("SUBSCRIBE", []byte("abc")), command("CANCEL", []byte("abc"))},
	} {
		p.write(how.on)
		if topic := <-topics; topic != "abc" {
			t.Fatalf("subscribed to %q", topic)
		}
		x.Publish([][]byte{[]byte("abd")})
		x.Publish([][]byte{[]byte("abcd"), []byte("yes")})
		if _, body := p.frame(); string(body) != "abcd" {
			t.Errorf("got %q", body)
		}
		p.frame()
		p.write(how.off)
		p.write(command("PING", []byte("\x00\x10"))) // a fence
		p.frame()
		x.Publish([][]byte{[]byte("abcd"), []byte("no")})
		p.write(command("PING", []byte("\x00\x10mark")))
		if _, body := p.frame(); string(body) != "\x04PONGmark" {
			t.Errorf("after the end of the subscription came %q", body)
		}
	}
	for i := range maxTopics + 100 {
		p.write(encodeFrames("\x01" + strings.Repeat("x", i%200) + string(rune('a'+i%26)) + string(rune(i))))
	}
	p.write(command("PING", []byte("\x00\x10")))
	p.frame()
	for _, c := range x.live() {
		c.subMu.RLock()
		if len(c.topics) > maxTopics || c.topicLen > maxTopicBytes {
			t.Errorf("%d topics of %d bytes are kept", len(c.topics), c.topicLen)
		}
		c.subMu.RUnlock()
	}
}
