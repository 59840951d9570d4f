package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is one worker process, seen from the front.
type process struct {
	sup    *Supervisor
	cmd    *exec.Cmd
	link   *link
	tail   *tail
	texts  uint64 // number of the last gathered text that came by the link
	stdout *rawOutput
	stderr *rawOutput
	oom    int64 // count of kernel OOM kills at the start
	gone   chan struct{}

	mu     sync.Mutex
	calls  map[uint64]chan callResult
	dead   *Death
	ready  bool
	killed string // reason if we killed it
	held   held   // after the last complete cell
}

// held is what a worker's session holds, as it tells after every cell.
type held struct {
	Variables []Variable `json:"variables"`
	Settings  []string   `json:"settings"`
}

type callResult struct {
	body []byte
	err  error
}

// startProcess starts a worker with settings in its environment, one end of a socket
// pair, and pipes for what goes to its stdout and stderr past the interpreter.
func startProcess(c Command, settings []string, sup *Supervisor) (*process, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	ours, theirs := os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "front")
	defer theirs.Close()
	nc, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	p := &process{sup: sup, link: newLink(nc), calls: map[uint64]chan callResult{}, gone: make(chan struct{}), oom: oomKills()}
	p.cmd = exec.Command(c.Path, c.Args...)
	p.cmd.Env = c.Env
	if len(settings) > 0 {
		p.cmd.Env = append(p.cmd.Environ(), settings...)
	}
	p.cmd.ExtraFiles = []*os.File{theirs}
	if file, err := p.openTail(); err == nil {
		defer file.Close()
		p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, file)
	} else {
		sup.opt.Log.Warn("a crash will lose the output of the last moments", "err", err)
	}
	p.cmd.SysProcAttr = processAttributes()
	stdout, toStdout, err := rawPipe("stdout", p.rawText, p.alive)
	if err != nil {
		nc.Close()
		return nil, err
	}
	defer toStdout.Close()
	stderr, toStderr, err := rawPipe("stderr", p.rawText, p.alive)
	if err != nil {
		nc.Close()
		stdout.close()
		return nil, err
	}
	defer toStderr.Close()
	p.stdout, p.stderr = stdout, stderr
	p.cmd.Stdout, p.cmd.Stderr = toStdout, toStderr
	if err := spawn(p.cmd); err != nil {
		nc.Close()
		p.stdout.close()
		p.stderr.close()
		return nil, err
	}
	preferForOOM(p.cmd.Process.Pid)
	go p.stdout.run()
	go p.stderr.run()
	received := make(chan error, 1)
	go func() { received <- p.receive() }()
	go p.watch(received)
	return p, nil
}

// rawText passes on what the process wrote to its file descriptors 1 and 2.
func (p *process) rawText(name, text string) {
	cell := p.sup.latest.Load().(string)
	p.sup.sink.Output(Message{CellID: cell, Type: "stream", Content: encode(map[string]string{"name": name, "text": text})})
}

// alive reports whether the worker answers. One that writes its last words does
// not: the Go runtime has stopped everything else.
func (p *process) alive() bool {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	_, err := p.call(ctx, packet{kind: kindPing, id: p.sup.nextID.Add(1)})
	return err == nil
}

// drainRaw passes on what still is in the pipes.
func (p *process) drainRaw() {
	p.stdout.drain()
	p.stderr.drain()
}

// receive hands packets on until the connection ends.
func (p *process) receive() error {
	for {
		k, err := p.link.read()
		if err != nil {
			return err
		}
		switch k.kind {
		case kindReady:
			if err := p.setReady(k.body); err != nil {
				return err
			}
		case kindReply:
			p.finish(k.id, callResult{body: k.body})
		case kindOutput:
			if k.id != 0 {
				p.texts = k.id
			}
			p.sup.sink.Output(Message{CellID: k.cell, Type: k.name, Metadata: k.meta, Content: k.body, Buffers: k.buffers})
		case kindInput:
			p.input(k)
		case kindHeld:
			var h held
			if decode(k.body, &h) == nil {
				p.mu.Lock()
				p.held = h
				p.mu.Unlock()
			}
		default:
			return fmt.Errorf("%w: kind %d from a worker", errPacket, k.kind)
		}
	}
}

// errEngine is a worker that lives but cannot make a session.
type errEngine struct{ text string }

func (e errEngine) Error() string { return e.text }

func (p *process) setReady(body []byte) error {
	var r ready
	if err := decode(body, &r); err != nil {
		return err
	}
	if r.Error != "" {
		return errEngine{r.Error}
	}
	p.mu.Lock()
	p.ready = true
	p.mu.Unlock()
	return nil
}

func (p *process) input(k packet) {
	var q struct {
		Prompt   string `json:"prompt"`
		Password bool   `json:"password"`
	}
	_ = decode(k.body, &q) // a missing prompt is an empty prompt
	p.sup.sink.Input(k.cell, q.Prompt, q.Password, func(value string, err error) {
		a := inputReply{Value: value}
		if err != nil {
			a.Error = err.Error()
		}
		go p.link.write(packet{kind: kindInputReply, id: k.id, body: encode(a)})
	})
}

// call sends a request and waits for its reply.
func (p *process) call(ctx context.Context, k packet) ([]byte, error) {
	answer := make(chan callResult, 1)
	p.mu.Lock()
	if p.dead != nil {
		p.mu.Unlock()
		return nil, p.dead
	}
	p.calls[k.id] = answer
	p.mu.Unlock()
	// A failed write means that the process has died; watch then fails the call.
	_ = p.link.write(k)
	select {
	case r := <-answer:
		return r.body, r.err
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.calls, k.id)
		p.mu.Unlock()
		return nil, ctx.Err()
	}
}

func (p *process) finish(id uint64, r callResult) {
	p.mu.Lock()
	answer := p.calls[id]
	delete(p.calls, id)
	p.mu.Unlock()
	if answer != nil {
		answer <- r
	}
}

// watch waits for the end of the process, then for the last of its output, and
// reports its death.
func (p *process) watch(received <-chan error) {
	exited := make(chan struct{})
	go func() { p.cmd.Wait(); close(exited) }()
	var linkErr error
	select {
	case linkErr = <-received: // closed or garbage, with the process perhaps alive
		select {
		case <-exited:
		case <-time.After(time.Second):
			p.kill(linkReason(linkErr))
			<-exited
		}
	case <-exited:
		select {
		case linkErr = <-received:
		case <-time.After(10 * time.Second): // a program started by a cell holds the socket
		}
	}
	p.link.nc.Close()
	p.lastText()
	killGroup(p.cmd.Process.Pid) // what the cells have left running
	p.stdout.drain()
	trace := p.stderr.finish()
	p.stdout.close()
	p.stderr.close()

	p.mu.Lock()
	d := explain(p.cmd.ProcessState, trace, p.killed, oomKills() > p.oom, p.held.Variables)
	var engine errEngine
	if errors.As(linkErr, &engine) {
		d = &Death{Name: "SessionError", Value: engine.text}
	}
	p.dead = d
	calls := p.calls
	p.calls = nil
	p.mu.Unlock()
	p.sup.died(p, d)
	for _, answer := range calls {
		answer <- callResult{err: d}
	}
	close(p.gone)
}

func (p *process) openTail() (*os.File, error) {
	t, file, err := createTail()
	p.tail = t
	return file, err
}

// lastText shows what the worker had gathered but not sent when it died.
func (p *process) lastText() {
	if p.tail == nil {
		return
	}
	if number, cell, name, text := p.tail.load(); number > p.texts && text != "" {
		p.sup.sink.Output(Message{CellID: cell, Type: "stream", Content: encode(map[string]string{"name": name, "text": text})})
	}
	p.tail.close()
}

func linkReason(err error) string {
	if errors.Is(err, errPacket) {
		return "its connection to the kernel was damaged (" + err.Error() + "): a cell wrote to a file descriptor that is not its own"
	}
	return "its connection to the kernel was closed: a cell closed a file descriptor that is not its own"
}

// kill ends the process at once. reason is told to the user.
func (p *process) kill(reason string) {
	p.mu.Lock()
	if p.killed == "" {
		p.killed = reason
	}
	p.mu.Unlock()
	killGroup(p.cmd.Process.Pid)
	p.cmd.Process.Kill()
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead != nil
}

func (p *process) wasReady() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready
}

func (p *process) lastHeld() held {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}
