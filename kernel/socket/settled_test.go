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
	if !x.Settled() {
		t.Fatal("unsettled without a peer")
	}
	nc, err := net.Dial("tcp", x.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a peer in its handshake does not count", func() bool { return !x.Settled() })
	nc.Close()
	eventually(t, "a peer that left still counts", x.Settled)
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
