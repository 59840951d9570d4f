package socket

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	bigFrame   = 16 << 10         // frames from here on are written in place, not copied
	batchBytes = 128 << 10        // small frames are gathered up to this size
	writeChunk = 4 << 20          // bytes per write call, so that a deadline means "no progress"
	stallLimit = 30 * time.Second // a peer that takes nothing for so long is dropped
)

var (
	errFull   = errors.New("peer does not read fast enough")
	errClosed = errors.New("connection is closed")
)

// outgoing is one message on its way out. Its frames must not change any more.
type outgoing struct {
	flags  byte
	frames [][]byte
	size   int
}

// queue holds what a peer has yet to be sent. Senders never wait for the
// network; one writer per connection empties it.
type queue struct {
	mu      sync.Mutex
	pending []outgoing
	bytes   int // queued or being written
	limit   int
	ending  bool          // take nothing new, write the rest
	dead    bool          // write nothing more
	wake    chan struct{} // for the writer, capacity 1
	room    chan struct{} // closed whenever bytes shrinks
	done    chan struct{} // closed when the writer has returned
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, wake: make(chan struct{}, 1), room: make(chan struct{}), done: make(chan struct{})}
}

// push queues one message. A single message above the limit passes through an
// empty queue.
func (q *queue) push(flags byte, frames [][]byte) error {
	size := 0
	for _, f := range frames {
		size += len(f) + 9
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead || q.ending {
		return errClosed
	}
	if q.bytes > 0 && q.bytes+size > q.limit {
		return errFull
	}
	q.pending = append(q.pending, outgoing{flags, frames, size})
	q.bytes += size
	q.signal()
	return nil
}

// pushWait is push with patience until the deadline.
func (q *queue) pushWait(flags byte, frames [][]byte, deadline time.Time) error {
	for {
		q.mu.Lock()
		room := q.room
		q.mu.Unlock()
		err := q.push(flags, frames)
		if err != errFull {
			return err
		}
		wait := time.Until(deadline)
		if wait <= 0 {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-room:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for messages; nil means that the writer is to end.
func (q *queue) take() []outgoing {
	for {
		q.mu.Lock()
		if q.dead {
			q.mu.Unlock()
			return nil
		}
		if len(q.pending) > 0 {
			batch := q.pending
			q.pending = nil
			q.mu.Unlock()
			return batch
		}
		ending := q.ending
		q.mu.Unlock()
		if ending {
			return nil
		}
		<-q.wake
	}
}

func (q *queue) written(size int) {
	q.mu.Lock()
	q.bytes -= size
	close(q.room)
	q.room = make(chan struct{})
	q.mu.Unlock()
}

// run writes until the queue ends or the connection fails. With a CURVE session
// every frame is sealed here, in the order of the wire, since its counters must grow.
func (q *queue) run(nc net.Conn, curve *curveSession) error {
	defer close(q.done)
	w := chunkWriter{nc: nc}
	for {
		batch := q.take()
		if batch == nil {
			return nil
		}
		var err error
		size := 0
		for _, m := range batch {
			for i, f := range m.frames {
				flags := m.flags
				if i < len(m.frames)-1 {
					flags |= flagMore
				}
				if err == nil {
					err = w.frame(flags, f, curve)
				}
			}
			size += m.size
		}
		if err == nil {
			err = w.flush()
		}
		q.written(size)
		if err != nil {
			q.kill()
			return err
		}
	}
}

// finish lets the writer send what is queued and end.
func (q *queue) finish() {
	q.mu.Lock()
	q.ending = true
	q.mu.Unlock()
	q.signal()
}

// kill drops what is queued. The caller closes the connection as well, which
// frees a writer that waits for the network.
func (q *queue) kill() {
	q.mu.Lock()
	q.dead = true
	q.pending = nil
	close(q.room)
	q.room = make(chan struct{})
	q.mu.Unlock()
	q.signal()
}

// chunkWriter gathers frames into few, bounded, vectored writes.
type chunkWriter struct {
	nc    net.Conn
	bufs  net.Buffers
	small []byte // open tail; its earlier parts are already in bufs
	size  int
}

func (w *chunkWriter) frame(flags byte, body []byte, curve *curveSession) error {
	if curve != nil {
		w.small = curve.seal(w.small, flags, body)
		w.size += len(body)
		return w.flushAbove(batchBytes)
	}
	w.small = appendFrameHeader(w.small, len(body), flags)
	if len(body) < bigFrame {
		w.small = append(w.small, body...)
		w.size += len(body)
		return w.flushAbove(batchBytes)
	}
	for first := true; first || len(body) > 0; first = false {
		n := min(len(body), writeChunk)
		w.cut()
		w.bufs = append(w.bufs, body[:n])
		w.size += n
		body = body[n:]
		if err := w.flushAbove(writeChunk - 1); err != nil {
			return err
		}
	}
	return nil
}

// cut moves the open tail into bufs. The next tail starts behind it in the same
// array, so nothing is overwritten before it is sent.
func (w *chunkWriter) cut() {
	if len(w.small) > 0 {
		w.bufs = append(w.bufs, w.small)
		w.small = w.small[len(w.small):]
	}
}

func (w *chunkWriter) flushAbove(n int) error {
	if w.size <= n && len(w.bufs) < 512 {
		return nil
	}
	return w.flush()
}

func (w *chunkWriter) flush() error {
	w.cut()
	if len(w.bufs) == 0 {
		return nil
	}
	if err := w.nc.SetWriteDeadline(time.Now().Add(stallLimit)); err != nil {
		return err
	}
	bufs := w.bufs
	_, err := bufs.WriteTo(w.nc)
	clear(w.bufs)
	w.bufs, w.size = w.bufs[:0], 0
	if cap(w.small) < 4<<10 || cap(w.small) > 1<<20 {
		w.small = make([]byte, 0, 32<<10)
	}
	return err
}
