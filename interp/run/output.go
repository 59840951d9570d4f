package run

import (
	"bytes"
	"io"
	"os"
	"sync"
)

// taskFiles are the files that os.Stdout and os.Stderr are in a cell's code:
// pipes, made when the code first mentions them.
type taskFiles struct {
	mu             sync.Mutex
	stdout, stderr *pipeFile
}

type pipeFile struct {
	w       *os.File
	mu      sync.Mutex
	name    string
	flushed chan struct{}
}

// Print writes to a stream of the task: through the pipe if there is one, and
// after what the other stream's pipe still holds, so that all stays in order.
func (t *Task) Print(name, text string) {
	t.files.mu.Lock()
	own, other := t.files.stdout, t.files.stderr
	t.files.mu.Unlock()
	if name == "stderr" {
		own, other = other, own
	}
	if other != nil {
		other.flush()
	}
	if own != nil {
		io.WriteString(own.w, text)
		return
	}
	t.Output(name, text)
}

// File returns os.Stdout or os.Stderr of the task.
func (t *Task) File(name string) **os.File {
	t.files.mu.Lock()
	defer t.files.mu.Unlock()
	p := &t.files.stdout
	if name == "stderr" {
		p = &t.files.stderr
	}
	if *p == nil {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		*p = &pipeFile{w: w, name: name, flushed: make(chan struct{})}
		go t.pump(r, *p)
	}
	return &(*p).w
}

func (t *Task) pump(r *os.File, p *pipeFile) {
	defer close(p.flushed)
	buf := make([]byte, 32<<10)
	var held []byte // an incomplete flush mark
	for {
		n, err := r.Read(buf)
		data := append(held, buf[:n]...)
		for {
			i := bytes.Index(data, flushMark)
			if i < 0 {
				break
			}
			if i > 0 {
				t.Output(p.name, string(data[:i]))
			}
			data = data[i+len(flushMark):]
			p.flushed <- struct{}{}
		}
		keep := 0
		if i := bytes.LastIndexByte(data, flushMark[0]); i >= 0 && bytes.HasPrefix(flushMark, data[i:]) {
			keep = len(data) - i
		}
		if len(data) > keep {
			t.Output(p.name, string(data[:len(data)-keep]))
		}
		held = append([]byte(nil), data[len(data)-keep:]...)
		if err != nil {
			r.Close()
			return
		}
	}
}

// flushMark is written to a pipe to learn when all before it was read.
var flushMark = []byte("\x00\x1aloris-flush\x1a\x00")

// Flush waits until all that was written to the task's pipes is put out. They
// stay open, since a cell may keep os.Stdout for later.
func (t *Task) Flush() {
	t.files.mu.Lock()
	files := []*pipeFile{t.files.stdout, t.files.stderr}
	t.files.mu.Unlock()
	for _, p := range files {
		if p != nil {
			p.flush()
		}
	}
}

// flush waits until all that was written to the pipe is put out.
func (p *pipeFile) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.w.Write(flushMark); err == nil {
		<-p.flushed
	}
}
