package run

import (
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// A stream is what os.Stdout or os.Stderr are in the code of cells: one end of
// a pipe, made when code first mentions them. Compiled code writes to it as to
// any file (encoders, loggers, buffers), and may keep it for later cells.
type stream struct {
	name    string
	file    *os.File // the variable that cells see; they may assign to it
	w       *os.File
	conn    syscall.RawConn // of the end to read
	owner   atomic.Pointer[Task]
	shared  atomic.Bool // a goroutine in the background of its owner asked for it
	reading sync.Mutex
}

// streams are all that are open: usually two, and two more for each cell that
// goes on in the background.
var streams struct {
	sync.Mutex
	list []*stream
	open atomic.Int32 // len(list)
}

// Print writes to a stream of the task, after all that was written to files.
func (t *Task) Print(name, text string) {
	if streams.open.Load() == 0 {
		t.Output(name, text)
		return
	}
	if s := t.stream(name, false); s != nil && s.file != s.w { // the cell redirected it
		io.WriteString(s.file, text)
		return
	}
	flush()
	t.Output(name, text)
}

// File returns the variable os.Stdout or os.Stderr as goroutines of the task
// see it.
func (t *Task) File(name string) **os.File {
	s := t.stream(name, true)
	if th := Current(); t != Foreground() || th == nil || !th.Main {
		s.shared.Store(true)
	}
	return &s.file
}

// stream is the task's own. It takes over that of an earlier cell of which
// nothing runs any more, so that their number does not grow, and a logger made
// in one cell writes to the cell that uses it.
func (t *Task) stream(name string, make bool) *stream {
	streams.Lock()
	defer streams.Unlock()
	var idle *stream
	for _, s := range streams.list {
		if s.name != name {
			continue
		}
		switch owner := s.owner.Load(); {
		case owner == t:
			return s
		case owner.Threads() == 0:
			idle = s
		}
	}
	if idle != nil {
		idle.drain() // what the old owner wrote is the old owner's
		idle.owner.Store(t)
		idle.shared.Store(false)
		return idle
	}
	if !make {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	s := &stream{name: name, file: w, w: w}
	if s.conn, err = r.SyscallConn(); err != nil {
		panic(err)
	}
	s.owner.Store(t)
	streams.list = append(streams.list, s)
	streams.open.Add(1)
	go s.pump(r)
	return s
}

// receiver is the cell that what arrives belongs to: the owner, unless that has
// ended and none of its goroutines is known to use the stream.
func (s *stream) receiver() *Task {
	owner := s.owner.Load()
	now := Foreground()
	if now == owner || now == nil {
		return owner
	}
	switch {
	case owner.Threads() == 0:
		return now
	case !s.shared.Load() && now.Threads() > 0:
		return now
	}
	return owner
}

// pump puts out what is written until the cell closes the file.
func (s *stream) pump(r *os.File) {
	_ = s.conn.Read(s.read)
	streams.Lock()
	streams.list = slices.DeleteFunc(streams.list, func(o *stream) bool { return o == s })
	streams.open.Store(int32(len(streams.list)))
	streams.Unlock()
	r.Close()
}

// read puts out all that can be read at once, and says whether that was the
// end.
func (s *stream) read(fd uintptr) (eof bool) {
	s.reading.Lock()
	defer s.reading.Unlock()
	var buf [16 << 10]byte
	for {
		n, err := syscall.Read(int(fd), buf[:])
		switch {
		case n > 0:
			s.receiver().Output(s.name, string(buf[:n]))
		case err == syscall.EINTR:
		default:
			return n == 0 && err == nil
		}
	}
}

// drain puts out what was written before.
func (s *stream) drain() {
	_ = s.conn.Control(func(fd uintptr) { s.read(fd) })
}

// flush drains all streams.
func flush() {
	streams.Lock()
	list := slices.Clone(streams.list)
	streams.Unlock()
	for _, s := range list {
		s.drain()
	}
}

// Flush waits until all that was written to files is put out. The files stay
// open, since a cell may keep os.Stdout for later.
func (t *Task) Flush() {
	if streams.open.Load() > 0 {
		flush()
	}
}
