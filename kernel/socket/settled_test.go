package socket

import (
	"net"
	"testing"
	"time"
)

func TestNewPeersAreWaitedForUntilTheySubscribe(t *testing.T) {
	x, err := ListenXPub("tcp://127.0.0.1:0", Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close(0)
	if !x.Settled(0) {
		t.Fatal("unsettled without a peer")
	}
	if x.Settled(1) {
		t.Fatal("settled before a peer has come here")
	}
	nc, err := net.Dial("tcp", x.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a peer in its handshake does not count", func() bool { return !x.Settled(0) })
	nc.Close()
	eventually(t, "a peer that left still counts", func() bool { return x.Settled(0) })
	subscriber := subscribe(t, x, "")
	eventually(t, "a subscriber does not count", func() bool { return x.Settled(1) })
	subscriber.Close()
	eventually(t, "a subscriber that left still counts", func() bool { return !x.Settled(1) })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal(what)
}
