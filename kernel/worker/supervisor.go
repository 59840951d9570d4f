package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Command is the program that a worker process runs.
type Command struct {
	Path string
	Args []string
	Env  []string // nil: that of this process
}

// Message is something a cell shows, ready to be published: its Jupyter message
// type, content and metadata in JSON, and binary buffers.
type Message struct {
	CellID   string
	Type     string
	Metadata json.RawMessage
	Content  json.RawMessage
	Buffers  [][]byte
}

// Sink receives what workers emit. Calls come in the order of emission; a Sink
// that waits makes the worker wait.
type Sink interface {
	Output(m Message)
	// Input asks the user; answer may be called later, once, from anywhere.
	Input(cellID, prompt string, password bool, answer func(value string, err error))
	// Died reports a death between two cells. One during a cell is the error
	// of Execute instead.
	Died(d *Death)
}

// Options of a supervisor.
type Options struct {
	Command Command
	Log     *slog.Logger // nil: silent
	// Patience is how long an interrupted cell may take to stop before its
	// worker is killed. 0: 4 s.
	Patience time.Duration
}

// Reply is the outcome of a cell as the worker has encoded it.
type Reply struct {
	Err             *CellError
	UserExpressions json.RawMessage
	Payload         json.RawMessage
	Output          string // text of the result, for the history
}

// ErrClosed is returned by a supervisor that has been closed.
var ErrClosed = errors.New("the kernel is shutting down")

// Supervisor keeps one worker process alive. All methods are safe for
// concurrent use.
type Supervisor struct {
	opt    Options
	sink   Sink
	nextID atomic.Uint64
	latest atomic.Value // string: cell that runs or ran last, for output without one

	mu       sync.Mutex
	proc     *process
	changed  chan struct{} // closed when proc changes
	settings []string      // of the worker before
	failures int           // deaths in a row before the worker was ready
	broken   *Death        // no worker can be started
	closed   bool
	running  map[uint64]*process // by call id: the cells that run, and where
}

// Start launches the first worker and returns without waiting for it.
func Start(opt Options, sink Sink) *Supervisor {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Patience == 0 {
		opt.Patience = 4 * time.Second
	}
	s := &Supervisor{opt: opt, sink: sink, changed: make(chan struct{}), running: map[uint64]*process{}}
	s.latest.Store("")
	s.launch()
	return s
}

// launch starts a process in place of the present one, with its settings. Should they
// be what keeps a worker from starting, the next one does without.
func (s *Supervisor) launch() {
	s.mu.Lock()
	if s.failures > 0 {
		s.settings = nil
	} else if s.proc != nil {
		s.settings = s.proc.lastHeld().Settings
	}
	settings := s.settings
	s.mu.Unlock()
	p, err := startProcess(s.opt.Command, settings, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.opt.Log.Error("worker does not start", "err", err)
		s.broken = &Death{Name: "WorkerStartError", Value: "the worker process does not start: " + err.Error()}
	} else if s.closed {
		p.kill("")
	}
	s.proc = p
	close(s.changed)
	s.changed = make(chan struct{})
}

// current waits for a live worker.
func (s *Supervisor) current(ctx context.Context) (*process, error) {
	for {
		s.mu.Lock()
		p, changed, broken, closed := s.proc, s.changed, s.broken, s.closed
		s.mu.Unlock()
		switch {
		case closed:
			return nil, ErrClosed
		case broken != nil:
			s.retryBroken()
			return nil, broken
		case p != nil && !p.isDead():
			return p, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// retryBroken gives the next cell another try, so that what has been put right
// in the meantime (memory, a deleted binary) is noticed.
func (s *Supervisor) retryBroken() {
	s.mu.Lock()
	again := s.broken != nil
	s.broken, s.failures, s.proc = nil, 0, nil
	s.mu.Unlock()
	if again {
		go s.launch()
	}
}

// Execute runs a cell and waits for its end. Its output has reached the sink
// before Execute returns. The error is a *Death if the worker did not survive.
func (s *Supervisor) Execute(ctx context.Context, r ExecuteRequest) (Reply, error) {
	if !r.Beside {
		s.latest.Store(r.CellID)
	}
	p, err := s.current(ctx)
	if err != nil {
		return Reply{}, err
	}
	id := s.nextID.Add(1)
	s.setRunning(id, p)
	defer s.setRunning(id, nil)
	body, err := p.call(ctx, packet{kind: kindExecute, id: id, cell: r.CellID, body: encode(r)})
	if err != nil {
		return Reply{}, err
	}
	p.drainRaw()
	var reply executeReply
	if err := decode(body, &reply); err != nil {
		return Reply{}, fmt.Errorf("worker answered with bad JSON: %w", err)
	}
	return Reply(reply), nil
}

func (s *Supervisor) setRunning(id uint64, p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p == nil {
		delete(s.running, id)
	} else {
		s.running[id] = p
	}
}

// Interrupt cancels the cells that run. If one has not stopped after the patience
// of the options, its worker is killed and the cell says why.
func (s *Supervisor) Interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.running {
		go p.link.write(packet{kind: kindInterrupt, id: id}) // never wait for a worker that does not read
		time.AfterFunc(s.opt.Patience, func() {
			s.mu.Lock()
			_, stuck := s.running[id]
			s.mu.Unlock()
			if stuck {
				p.kill(fmt.Sprintf("the cell did not stop within %s of the interrupt", s.opt.Patience))
			}
		})
	}
}

// Complete, Inspect and IsComplete are answered beside a running cell.
func (s *Supervisor) Complete(ctx context.Context, r CompleteRequest) (CompleteReply, error) {
	var reply CompleteReply
	return reply, s.ask(ctx, kindComplete, r, &reply)
}

// Inspection is the encoded answer to Inspect.
type Inspection struct {
	Found    bool
	Data     json.RawMessage
	Metadata json.RawMessage
}

// Inspect: see Complete.
func (s *Supervisor) Inspect(ctx context.Context, r InspectRequest) (Inspection, error) {
	var reply inspectReply
	err := s.ask(ctx, kindInspect, r, &reply)
	return Inspection(reply), err
}

// IsComplete: see Complete.
func (s *Supervisor) IsComplete(ctx context.Context, code string) (IsCompleteReply, error) {
	var reply IsCompleteReply
	err := s.ask(ctx, kindIsComplete, code, &reply)
	return reply, err
}

func (s *Supervisor) ask(ctx context.Context, k kind, request, reply any) error {
	p, err := s.current(ctx)
	if err != nil {
		return err
	}
	body, err := p.call(ctx, packet{kind: k, id: s.nextID.Add(1), body: encode(request)})
	if err != nil {
		return err
	}
	return decode(body, reply)
}

// Comm hands a comm message to the worker and waits until it has been handled.
func (s *Supervisor) Comm(ctx context.Context, m CommMessage) error {
	p, err := s.current(ctx)
	if err != nil {
		return err
	}
	body := encode(commHead{m.Type, m.ID, m.Target, m.Data, m.Metadata})
	_, err = p.call(ctx, packet{kind: kindComm, id: s.nextID.Add(1), cell: m.CellID, body: body, buffers: m.Buffers})
	return err
}

// Variables returns what the worker held after its last cell.
func (s *Supervisor) Variables() []Variable {
	s.mu.Lock()
	p := s.proc
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.lastHeld().Variables
}

// PID of the worker process, 0 if there is none.
func (s *Supervisor) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// Close ends the worker, by force after the deadline of ctx, and waits for it.
func (s *Supervisor) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	p := s.proc
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	if p == nil {
		return
	}
	go p.link.write(packet{kind: kindClose})
	select {
	case <-p.gone:
	case <-ctx.Done():
		p.kill("")
		<-p.gone
	}
}

// maxFailures is how often in a row a worker may die before it is ready.
const maxFailures = 3

// died is called once per process, after all its output has been handed on.
func (s *Supervisor) died(p *process, d *Death) {
	s.mu.Lock()
	closed, busy := s.closed, len(s.running) > 0
	if p.wasReady() {
		s.failures = 0
	} else if s.failures++; s.failures >= maxFailures {
		s.broken = d
	}
	broken := s.broken != nil
	s.mu.Unlock()
	if closed {
		return
	}
	s.opt.Log.Warn("worker died", "name", d.Name, "value", d.Value)
	if broken {
		s.mu.Lock()
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	} else {
		s.launch()
	}
	if !busy && p.wasReady() {
		s.sink.Died(d)
	}
}
