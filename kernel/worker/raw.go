package worker

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// A Go process that writes its last trace is gone moments later. Text that looks
	// like one is held back; if nothing follows for so long, the process is asked
	// whether it lives, and then the text is output like any other.
	traceSilence = 500 * time.Millisecond
	pingTimeout  = 5 * time.Second
	maxTrace     = 256 << 10
	rawGather    = 5 * time.Millisecond
)

// fatalLine matches how the Go runtime begins its last words.
var fatalLine = sync.OnceValue(func() *regexp.Regexp { // few workers need it
	return regexp.MustCompile(`(?m)^(fatal error: |panic: |runtime: goroutine stack exceeds |runtime: out of memory|SIG[A-Z]+: |unexpected fault address |unexpected signal |\[signal SIG)`)
})

// rawOutput passes on what a worker writes to a file descriptor, past its
// interpreter, and keeps a fatal trace back.
type rawOutput struct {
	file *os.File
	name string
	emit func(name, text string)
	// alive asks the process whether it lives.
	alive func() bool

	mu      sync.Mutex // one reader at a time: drain must not overtake run
	partial []byte     // unfinished UTF-8 sequence
	midLine bool
	trace   []byte
	holding bool
	timer   *time.Timer
}

// rawPipe makes a pipe whose read end is watched; the write end is for the child.
func rawPipe(name string, emit func(name, text string), alive func() bool) (*rawOutput, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return &rawOutput{file: r, name: name, emit: emit, alive: alive}, w, nil
}

// run reads until the pipe ends.
func (r *rawOutput) run() {
	conn, err := r.file.SyscallConn()
	if err != nil {
		return
	}
	for ended := false; !ended; {
		err := conn.Read(func(fd uintptr) bool {
			n, eof := r.readAvailable(int(fd))
			ended = eof
			return n > 0 || eof
		})
		if err != nil {
			return
		}
		time.Sleep(rawGather)
	}
}

// drain reads what is in the pipe now, without waiting.
func (r *rawOutput) drain() {
	conn, err := r.file.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) { r.readAvailable(int(fd)) })
}

// readAvailable reads and passes on until the pipe is empty. The descriptor does
// not block.
func (r *rawOutput) readAvailable(fd int) (total int, eof bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	buf := make([]byte, 32<<10)
	for {
		n, err := syscall.Read(fd, buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return total, err != syscall.EAGAIN
		case n == 0:
			return total, true
		}
		total += n
		r.take(buf[:n])
		if total > 1<<20 { // let others have the lock
			return total, false
		}
	}
}

func (r *rawOutput) take(b []byte) {
	if r.holding {
		r.hold(b)
		return
	}
	whole, rest := splitRune(append(r.partial, b...))
	r.partial = append([]byte(nil), rest...)
	text := string(whole)
	if r.name == "stderr" {
		for _, at := range fatalLine().FindAllStringIndex(text, -1) {
			if at[0] == 0 && r.midLine {
				continue // in the middle of a line that began earlier
			}
			r.show(text[:at[0]])
			r.holding = true
			r.hold(append([]byte(text[at[0]:]), r.partial...))
			r.partial = nil
			return
		}
	}
	r.show(text)
}

func (r *rawOutput) show(text string) {
	if text != "" {
		r.midLine = !strings.HasSuffix(text, "\n")
		r.emit(r.name, text)
	}
}

func (r *rawOutput) hold(b []byte) {
	r.trace = append(r.trace, b[:min(len(b), maxTrace-len(r.trace))]...)
	if r.timer != nil {
		r.timer.Stop()
	}
	r.timer = time.AfterFunc(traceSilence, r.release)
}

// release shows held text if the process did not die of it.
func (r *rawOutput) release() {
	alive := r.alive()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.holding:
	case alive:
		text := string(r.trace)
		r.trace, r.holding = nil, false
		r.show(text)
	default: // busy, or about to end
		r.timer = time.AfterFunc(traceSilence, r.release)
	}
}

// finish reads the last of the pipe and returns the trace, if there is one.
func (r *rawOutput) finish() string {
	r.drain()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
	trace := string(r.trace)
	r.holding, r.trace = false, nil // release changes nothing any more
	return trace
}

func (r *rawOutput) close() { r.file.Close() }
