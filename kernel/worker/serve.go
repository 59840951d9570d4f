package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// File descriptors of the worker process: exec.Cmd.ExtraFiles begins at 3.
const (
	linkFD = 3 // socket pair to the front
	tailFD = 4 // memory shared with the front
)

// frontConn is the connection to the front that started this process.
type frontConn struct {
	net.Conn
	tail *tail
}

// Inherited returns the connection to the front that started this process.
func Inherited() (net.Conn, error) {
	f := os.NewFile(linkFD, "front")
	if f == nil {
		return nil, errNoFront
	}
	nc, err := net.FileConn(f) // a duplicate that programs started by cells do not inherit
	f.Close()
	if err != nil {
		return nil, errNoFront
	}
	c := &frontConn{Conn: nc}
	if f := os.NewFile(tailFD, "tail"); f != nil {
		if c.tail, err = openTail(f); err != nil {
			c.tail = nil // only a crash would need it
		}
		f.Close()
	}
	return c, nil
}

var errNoFront = errors.New("the worker is started by `loris kernel`, not by hand: file descriptor 3 is no connection to it")

// Serve is the main loop of the worker process: it makes the engine and lets it
// serve the front until the front closes the session or is gone. A cell may
// still be running when Serve returns; the caller then ends the process.
func Serve(ctx context.Context, conn net.Conn, newEngine func(Output) (Engine, error)) error {
	// Interrupts come as packets. A signal that reaches the worker as well must
	// not kill it; ignoring it would be inherited by programs that cells start.
	discard := make(chan os.Signal, 1)
	signal.Notify(discard, os.Interrupt)
	defer signal.Stop(discard)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gathered := localTail()
	if c, ok := conn.(*frontConn); ok {
		conn = c.Conn // unwrapped, its writes are vectored
		if c.tail != nil {
			gathered = c.tail
		}
	}
	l := newLink(conn)
	defer conn.Close()
	s := &service{link: l, out: newOutput(l, gathered), cells: make(chan cell, 64), help: make(chan packet, 1024), comms: make(chan packet, 4096),
		waiting: map[uint64]context.CancelFunc{}, early: map[uint64]bool{}}
	engine, err := newEngine(s.out)
	if err != nil {
		l.write(packet{kind: kindReady, body: encode(ready{PID: os.Getpid(), Error: err.Error()})})
		return err
	}
	s.engine = engine
	if err := l.write(packet{kind: kindReady, body: encode(ready{PID: os.Getpid()})}); err != nil {
		return err
	}
	go s.runCells(ctx)
	go s.runLane(s.help, s.answerHelp)
	go s.runLane(s.comms, s.takeComm)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	return s.receive(ctx)
}

// cell is a cell that waits for its turn or runs.
type cell struct {
	ctx    context.Context
	cancel context.CancelFunc
	id     uint64
	req    ExecuteRequest
}

// service answers the packets of the front. Cells run in one goroutine; help
// (completion, inspection) and comms each have one more beside it, and so has
// every cell that says so.
type service struct {
	link   *link
	out    *output
	engine Engine
	cells  chan cell
	help   chan packet
	comms  chan packet

	mu      sync.Mutex
	waiting map[uint64]context.CancelFunc // cells that wait or run
	early   map[uint64]bool               // interrupts that overtook their cells, or came late
}

func (s *service) receive(ctx context.Context) error {
	for {
		p, err := s.link.read()
		if err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil // the front is gone
			}
			return err
		}
		switch p.kind {
		case kindExecute:
			s.begin(ctx, p)
		case kindInterrupt:
			s.interrupt(p.id)
		case kindComplete, kindInspect, kindIsComplete:
			s.help <- p
		case kindComm:
			s.comms <- p
		case kindInputReply:
			var a inputReply
			if decode(p.body, &a) == nil {
				s.out.answer(p.id, a)
			}
		case kindPing:
			s.reply(p.id, nil)
		case kindClose:
			s.close()
			return nil
		}
	}
}

// begin lets a cell run when its turn has come, or at once.
func (s *service) begin(ctx context.Context, p packet) {
	c := cell{id: p.id}
	if err := decode(p.body, &c.req); err != nil {
		s.reply(p.id, encodeResult(ExecuteResult{Err: &CellError{Name: "ProtocolError", Value: err.Error()}}, ""))
		return
	}
	c.ctx, c.cancel = context.WithCancel(ctx)
	s.mu.Lock()
	s.waiting[c.id] = c.cancel
	if s.early[c.id] {
		delete(s.early, c.id)
		c.cancel()
	}
	s.mu.Unlock()
	if c.req.Beside {
		go s.runCell(c)
	} else {
		s.cells <- c
	}
}

// interrupt cancels one execution; one that has ended is left in peace, and so
// is the next.
func (s *service) interrupt(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.waiting[id]; cancel != nil {
		cancel()
	} else {
		s.early[id] = true
	}
}

func (s *service) runCells(ctx context.Context) {
	for {
		select {
		case c := <-s.cells:
			s.runCell(c)
		case <-ctx.Done():
			return
		}
	}
}

func (s *service) runCell(c cell) {
	s.out.begin(c.ctx, c.req)
	result := s.execute(c)
	s.mu.Lock()
	delete(s.waiting, c.id)
	s.mu.Unlock()
	c.cancel()
	s.reply(c.id, encodeResult(result, s.out.end(c.req.CellID)))
	s.link.write(packet{kind: kindHeld, body: encode(s.held())})
}

// execute turns a panic of the engine itself into a cell error.
func (s *service) execute(c cell) (result ExecuteResult) {
	defer func() {
		if r := recover(); r != nil {
			trace := strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")
			result = ExecuteResult{Err: &CellError{Name: "InternalError", Value: fmt.Sprint(r),
				Traceback: append([]string{fmt.Sprintf("Loris itself failed on this cell: %v. Variables are kept. Please report it with the cell.", r)}, trace...)}}
		}
	}()
	return s.engine.Execute(c.ctx, c.req)
}

// held is what the session holds.
func (s *service) held() (h held) {
	defer func() { _ = recover() }()
	h.Settings = s.engine.Settings()
	h.Variables = s.engine.Variables()
	return h
}

func (s *service) reply(id uint64, body []byte) {
	// An error means that the front is gone, which receive notices as well.
	_ = s.link.write(packet{kind: kindReply, id: id, body: body})
}

func (s *service) runLane(lane <-chan packet, answer func(packet) []byte) {
	for p := range lane {
		s.reply(p.id, recovered(p, answer))
	}
}

// recovered answers with an empty body if the engine panics.
func recovered(p packet, answer func(packet) []byte) (body []byte) {
	defer func() {
		if recover() != nil {
			body = []byte("{}")
		}
	}()
	return answer(p)
}

func (s *service) answerHelp(p packet) []byte {
	switch p.kind {
	case kindComplete:
		var r CompleteRequest
		if decode(p.body, &r) != nil {
			return []byte("{}")
		}
		return encode(s.engine.Complete(r))
	case kindInspect:
		var r InspectRequest
		if decode(p.body, &r) != nil {
			return []byte("{}")
		}
		a := s.engine.Inspect(r)
		return encode(inspectReply{Found: a.Found, Data: appendObject(nil, a.Data), Metadata: appendObject(nil, a.Metadata)})
	default:
		var code string
		if decode(p.body, &code) != nil {
			return []byte("{}")
		}
		return encode(s.engine.IsComplete(code))
	}
}

func (s *service) takeComm(p packet) []byte {
	var h commHead
	if decode(p.body, &h) != nil {
		return []byte("{}")
	}
	m := CommMessage{Type: h.Type, ID: h.ID, Target: h.Target, Data: h.Data, Metadata: h.Metadata, Buffers: p.buffers, CellID: p.cell}
	if err := s.engine.Comm(m); err != nil {
		if m.Type == "open" {
			s.out.Comm(p.cell, CommMessage{Type: "close", ID: m.ID})
		} else {
			s.out.Stream(p.cell, "stderr", err.Error()+"\n")
		}
	}
	s.out.sendGathered()
	return []byte("{}")
}

// close ends the engine. A cell that runs is cancelled and given a moment; what
// does not stop then dies with the process.
func (s *service) close() {
	s.mu.Lock()
	for _, cancel := range s.waiting {
		cancel()
	}
	s.mu.Unlock()
	deadline := time.Now().Add(300 * time.Millisecond)
	for time.Now().Before(deadline) {
		s.mu.Lock()
		idle := len(s.waiting) == 0
		s.mu.Unlock()
		if idle {
			s.engine.Close()
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}
