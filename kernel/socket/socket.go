// Package socket provides the server sockets of a Jupyter kernel, ROUTER, XPUB
// and an echo for the heartbeat, and the client sockets that talk to them, over
// tcp and ipc, plain or encrypted with CURVE. zmq4 does the ZMTP handshake on
// each connection; framing, queues and routing are here, so that no peer can
// stop, block or bloat the process.
package socket

import (
	"bufio"
	"container/list"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"
)

// Options are common to all server sockets.
type Options struct {
	Keys  *CurveKeys   // nil: NULL mechanism
	Log   *slog.Logger // nil: silent
	Queue int          // bytes that may wait for one peer; 0: 64 MiB
	// Settled, if set, puts off the first read of a new connection until it
	// reports true, maxSettleTime at most. It is told how many peers there are.
	Settled func(peers int) bool
}

// maxPending bounds handshakes in progress. The oldest gives way to the newest:
// an honest handshake takes milliseconds.
const maxPending = 256

// server accepts connections for one socket.
type server struct {
	Options
	typ      zmq4.SocketType
	listener net.Listener
	attach   func(*Conn) // called before the first message is read
	detach   func(*Conn)
	message  func(*Conn, [][]byte)
	control  func(c *Conn, topic string, on bool)
	settle   time.Duration // pause before the first read

	mu      sync.Mutex
	conns   map[*Conn]struct{}
	pending *list.List // of net.Conn, oldest first
	closed  bool
	wg      sync.WaitGroup
}

func (s *server) listen(endpoint string) error {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Queue == 0 {
		s.Queue = 64 << 20
	}
	s.conns, s.pending = map[*Conn]struct{}{}, list.New()
	l, err := listen(endpoint)
	if err != nil {
		return err
	}
	s.listener = l
	s.wg.Go(s.accept)
	return nil
}

// Addr is the address the socket listens on, with the port that was chosen.
func (s *server) Addr() net.Addr { return s.listener.Addr() }

func (s *server) accept() {
	for {
		nc, err := s.listener.Accept()
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		switch {
		case closed:
			if err == nil {
				nc.Close()
			}
			return
		case err != nil: // out of file descriptors, or the like: do not spin
			s.Log.Warn("accept failed", "socket", s.typ, "err", err)
			time.Sleep(20 * time.Millisecond)
		default:
			s.wg.Go(func() { s.serve(nc) })
		}
	}
}

func (s *server) serve(nc net.Conn) {
	defer nc.Close()
	c := s.handshake(nc)
	if c == nil || !s.add(c) {
		return
	}
	s.wg.Go(c.write)
	defer s.remove(c)
	s.awaitSettled()
	var subscribed func(string, bool)
	if s.control != nil {
		subscribed = func(topic string, on bool) { s.control(c, topic, on) }
	}
	for {
		frames, err := c.receive(subscribed)
		if err != nil {
			s.Log.Debug("connection ended", "socket", s.typ, "peer", nc.RemoteAddr(), "err", err)
			return
		}
		s.message(c, frames)
	}
}

// awaitSettled gives a new peer time to open its other channels.
func (s *server) awaitSettled() {
	if s.settle == 0 {
		return
	}
	time.Sleep(s.settle)
	if s.Settled == nil {
		return
	}
	for waited := s.settle; waited < maxSettleTime && !s.Settled(s.peers()); waited += s.settle {
		time.Sleep(s.settle)
	}
}

// handshake returns nil if the peer does not pass.
func (s *server) handshake(nc net.Conn) *Conn {
	s.mu.Lock()
	if s.pending.Len() >= maxPending {
		oldest := s.pending.Front()
		oldest.Value.(net.Conn).Close()
		s.pending.Remove(oldest)
	}
	place := s.pending.PushBack(nc)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.pending.Remove(place)
		s.mu.Unlock()
	}()

	br := bufio.NewReaderSize(nc, 64<<10)
	var curve *curveServer
	var security zmq4.Security = nullMechanism{}
	if s.Keys != nil {
		curve = &curveServer{keys: s.Keys}
		security = curve
	}
	nc.SetDeadline(time.Now().Add(handshakeTimeout))
	peer, err := open(nc, br, s.typ, "", security, true)
	if err != nil {
		s.Log.Warn("handshake refused", "socket", s.typ, "peer", nc.RemoteAddr(), "err", err)
		return nil
	}
	nc.SetDeadline(time.Time{})
	var session *curveSession
	if curve != nil {
		session = curve.session
	}
	return newConn(nc, br, peer["Identity"], session, s.Queue)
}

func (s *server) add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	if s.attach != nil {
		s.attach(c)
	}
	return true
}

func (s *server) remove(c *Conn) {
	c.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.detach != nil {
		s.detach(c)
	}
}

func (s *server) peers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *server) live() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// Close stops accepting, sends what is queued within linger, and closes all
// connections. It returns when every goroutine of the socket has ended.
func (s *server) Close(linger time.Duration) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	for e := s.pending.Front(); e != nil; e = e.Next() {
		e.Value.(net.Conn).Close()
	}
	s.mu.Unlock()
	s.listener.Close() // removes the file of an ipc socket
	deadline := time.Now().Add(linger)
	var finishing sync.WaitGroup
	for _, c := range s.live() {
		finishing.Go(func() { c.finish(deadline) })
	}
	finishing.Wait()
	s.wg.Wait()
}
