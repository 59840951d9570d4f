package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMessagesOfEveryShapeComeBackAsTheyWere(t *testing.T) {
	for _, endpoint := range []string{loopback(t), "tcp://*:0", "tcp://[::1]:0", "ipc://" + ipcPath(t)} {
		r, err := ListenRouter(endpoint, Options{}, func(c *Conn, f [][]byte) { c.Send(f) })
		if err != nil {
			if strings.Contains(endpoint, "::1") {
				t.Log("no IPv6 here:", err)
				continue
			}
			t.Fatal(err)
		}
		addr := endpointOf(r.Addr())
		if strings.Contains(endpoint, "*") {
			addr = fmt.Sprintf("tcp://127.0.0.1:%d", r.Addr().(*net.TCPAddr).Port)
			if strings.Contains(r.Addr().String(), "::") {
				t.Errorf("%s listens on %s", endpoint, r.Addr())
			}
		}
		c, err := DialDealer(context.Background(), addr, "binary\x00\xff")
		if err != nil {
			t.Fatal(err)
		}
		for _, frames := range [][]string{
			{""}, {"a"}, {"", "", ""}, {"x", strings.Repeat("y", 255), strings.Repeat("z", 256)},
			{strings.Repeat("big", 20_000), "small", strings.Repeat("big", bigFrame)}, {strings.Repeat("q", 50<<20)},
			strings.Split(strings.Repeat("f,", 1000), ","),
		} {
			roundTrip(t, c, frames...)
		}
		c.Close()
		r.Close(time.Second)
	}
}

func TestRepliesGoToTheConnectionThatAsked(t *testing.T) {
	r := echoRouter(t, loopback(t), Options{})
	var clients []*Client
	for range 3 { // the same identity, as jupyter_client does
		c, err := DialDealer(context.Background(), endpointOf(r.Addr()), "same")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	for round := range 3 {
		for i, c := range clients {
			roundTrip(t, c, fmt.Sprint(round, i))
		}
	}
	clients[2].Close()
	for r.Find("same") == nil || len(r.live()) > 2 {
		time.Sleep(time.Millisecond)
	}
	for i, c := range clients[:2] {
		roundTrip(t, c, fmt.Sprint("after", i))
	}
	if r.Find("nobody") != nil {
		t.Error("an unknown identity is found")
	}
}

func TestConcurrentSendersDoNotTearMessages(t *testing.T) {
	r := echoRouter(t, loopback(t), Options{})
	c, err := DialDealer(context.Background(), endpointOf(r.Addr()), "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const senders, each = 8, 500
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				c.Send([][]byte{fmt.Append(nil, s), make([]byte, (i*37)%40_000), fmt.Append(nil, i)})
			}
		})
	}
	next := map[string]int{}
	for range senders * each {
		m, err := c.Receive()
		if err != nil || len(m) != 3 {
			t.Fatalf("%d frames, %v", len(m), err)
		}
		if string(m[2]) != fmt.Sprint(next[string(m[0])]) {
			t.Fatalf("sender %s: message %s out of order", m[0], m[2])
		}
		next[string(m[0])]++
	}
	wg.Wait()
}

func TestStaleSocketFileIsReplacedAndALiveOneIsNot(t *testing.T) {
	path := ipcPath(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if _, err := ListenEcho("ipc://"+path, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a live socket: %v", err)
	}
	l.Close()
	e, err := ListenEcho("ipc://"+path, Options{})
	if err != nil {
		t.Fatal("a stale socket:", err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", st.Mode(), err)
	}
	e.Close(0)
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket file is left behind")
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenEcho("ipc://"+path, Options{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("an ordinary file: %v", err)
	}
}

func TestEndpointsThatCannotBeListenedOn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for endpoint, want := range map[string]string{
		"tcp://" + l.Addr().String():           "in use",
		"udp://127.0.0.1:0":                    "use tcp",
		"":                                     "use tcp",
		"ipc://" + strings.Repeat("/long", 40): "shorter directory",
		"ipc:///nonexistent-directory/s":       "no such file",
	} {
		if _, err := ListenEcho(endpoint, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", endpoint, err, want)
		}
	}
}

func BenchmarkRouterRoundTrip(b *testing.B) {
	for _, size := range []int{100, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := echoRouter(b, "tcp://127.0.0.1:0", Options{})
			c, err := DialDealer(context.Background(), endpointOf(r.Addr()), "")
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			m := [][]byte{[]byte("<IDS|MSG>"), make([]byte, 64), make([]byte, 200), []byte("{}"), []byte("{}"), make([]byte, size)}
			b.SetBytes(int64(2 * size))
			for b.Loop() {
				c.Send(m)
				if _, err := c.Receive(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
