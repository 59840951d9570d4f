// Package kernel is the front process of a Jupyter kernel: Jupyter messages come
// in on five sockets and Jupyter messages go out. Cells are run by a worker
// process that a supervisor (package worker) keeps alive; nothing a cell does
// can end the front.
package kernel

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"sync"
	"syscall"
	"time"

	"loris/kernel/history"
	"loris/kernel/socket"
	"loris/kernel/wire"
	"loris/kernel/worker"
)

// Config says what a kernel serves and with what.
type Config struct {
	ConnectionFile string
	Worker         worker.Command
	Info           Info
	History        string        // file; "" keeps history in memory
	Patience       time.Duration // see worker.Options
	Log            *slog.Logger  // nil: silent
	// Signals makes the kernel answer SIGINT (interrupt the cell), SIGTERM (shut
	// down) and end when the process that started it has ended.
	Signals bool
}

// Info is what kernel_info_reply tells about the implementation.
type Info struct {
	Implementation  string
	Version         string
	LanguageVersion string // of Go
	Banner          string
	HelpLinks       []HelpLink
}

// HelpLink is an entry of the front end's help menu.
type HelpLink struct {
	Text string `json:"text"`
	URL  string `json:"url"`
}

// Kernel is one running kernel.
type Kernel struct {
	cfg     Config
	log     *slog.Logger
	session *wire.Session
	conn    *wire.Connection
	history *history.Store
	worker  *worker.Supervisor

	shell, control, stdin *socket.Router
	iopub                 *socket.XPub
	heartbeat             *socket.Echo
	publishing            sync.Mutex // IOPub has one order

	lanes     [laneCount]*requestQueue
	subshells subshells
	serving   sync.WaitGroup // one for each lane and subshell
	parents   *parents
	comms     comms
	inputs    inputs
	counter   counter
	ran       ranCells
	deaths    deaths

	stop     chan struct{} // closed when the kernel is to end
	stopOnce sync.Once
}

// lingerTime is how long a kernel that ends waits for clients to take what is
// queued. jupyter_client sends SIGTERM 2.5 s after its shutdown_request, which
// is survived, and SIGKILL 2.5 s later.
const lingerTime = 3500 * time.Millisecond

// Run serves a connection file until shutdown_request, a signal, or the end of
// ctx. Errors are those of the start: the file, the keys, a port in use.
func Run(ctx context.Context, cfg Config) error {
	k, err := newKernel(cfg)
	if err != nil {
		return err
	}
	if err := k.bind(); err != nil {
		return err
	}
	k.history = history.Open(cfg.History, k.log)
	k.worker = worker.Start(worker.Options{Command: cfg.Worker, Log: k.log, Patience: cfg.Patience}, sink{k})
	for _, q := range k.lanes {
		k.serving.Go(func() { k.serveAll(q) })
	}
	k.publish("status", nil, nil, []byte(`{"execution_state":"starting"}`), nil)
	if cfg.Signals {
		defer k.handleSignals()()
	}
	select {
	case <-k.stop:
	case <-ctx.Done():
		k.Stop()
	}
	k.close()
	return nil
}

func newKernel(cfg Config) (*Kernel, error) {
	conn, err := wire.ReadConnection(cfg.ConnectionFile)
	if err != nil {
		return nil, err
	}
	signer, err := wire.NewSigner(conn.SignatureScheme, conn.Key)
	if err != nil {
		return nil, fmt.Errorf("connection file %s: %w", cfg.ConnectionFile, err)
	}
	k := &Kernel{cfg: cfg, log: cfg.Log, conn: conn, session: wire.NewSession(signer, username()), parents: newParents(), stop: make(chan struct{})}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	for l := range k.lanes {
		k.lanes[l] = newRequestQueue()
	}
	return k, nil
}

func username() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "kernel"
}

// Stop begins the end of the kernel.
func (k *Kernel) Stop() { k.stopOnce.Do(func() { close(k.stop) }) }

func (k *Kernel) stopping() bool {
	select {
	case <-k.stop:
		return true
	default:
		return false
	}
}

// close ends the worker, lets the lanes send their last replies, and drains the
// sockets, all within a bounded time.
func (k *Kernel) close() {
	deadline := time.Now().Add(lingerTime)
	for _, q := range k.lanes {
		q.close()
	}
	k.subshells.close()
	k.inputs.failAll(worker.ErrClosed)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	k.worker.Close(ctx)
	ended := make(chan struct{})
	go func() { k.serving.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Second):
	}
	k.history.Close()
	var closing sync.WaitGroup
	for _, s := range []interface{ Close(time.Duration) }{k.shell, k.control, k.stdin, k.iopub, k.heartbeat} {
		closing.Go(func() { s.Close(time.Until(deadline)) })
	}
	closing.Wait()
}

// handleSignals returns a function that undoes it.
func (k *Kernel) handleSignals() func() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			if s == os.Interrupt {
				k.worker.Interrupt()
			} else {
				k.log.Info("shutting down", "signal", s)
				k.Stop()
			}
		}
	}()
	go k.watchParent()
	return func() { signal.Stop(signals) }
}
