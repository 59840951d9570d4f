package worker

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// tail holds the text that a worker has gathered but not sent, in memory that
// the front shares: when a cell crashes the process, what it printed just before
// is the most wanted output of all.
//
// Layout: length of the text (8), number of the text (8), length of cell id (2),
// stream (1: stdout, 2: stderr), cell id (to byte 512), text.
type tail struct{ mem []byte }

const (
	tailBytes  = 128 << 10
	tailHead   = 512
	tailCell   = 19
	tailMemory = tailHead + tailBytes
)

// createTail makes shared memory; the file is for the worker.
func createTail() (*tail, *os.File, error) {
	f, err := os.CreateTemp("", "loris-tail-*")
	if err != nil {
		return nil, nil, err
	}
	os.Remove(f.Name())
	if err := f.Truncate(tailMemory); err != nil {
		f.Close()
		return nil, nil, err
	}
	t, err := openTail(f)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return t, f, nil
}

func openTail(f *os.File) (*tail, error) {
	st, err := f.Stat()
	if err != nil || st.Size() != tailMemory {
		return nil, syscall.EINVAL
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, tailMemory, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &tail{mem}, nil
}

// localTail is for a worker without a front that shares memory.
func localTail() *tail { return &tail{make([]byte, tailMemory)} }

// size is stored last, so that the front sees only complete text.
func (t *tail) size() *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&t.mem[0])) }

func (t *tail) len() int { return int(t.size().Load()) }

func (t *tail) bytes() []byte { return t.mem[tailHead : tailHead+t.len()] }

// begin starts a text. The number grows with every text.
func (t *tail) begin(number uint64, cell, name string) {
	t.size().Store(0)
	binary.LittleEndian.PutUint64(t.mem[8:], number)
	n := copy(t.mem[tailCell:tailHead], cell)
	binary.LittleEndian.PutUint16(t.mem[16:], uint16(n))
	t.mem[18] = 1
	if name == "stderr" {
		t.mem[18] = 2
	}
}

// append reports whether the text fits.
func (t *tail) append(text string) bool {
	n := t.len()
	if n+len(text) > tailBytes {
		return false
	}
	copy(t.mem[tailHead+n:], text)
	t.size().Store(uint64(n + len(text)))
	return true
}

// load reads what a dead worker has left. The worker may have damaged it.
func (t *tail) load() (number uint64, cell, name, text string) {
	n := t.size().Load()
	cellLen := binary.LittleEndian.Uint16(t.mem[16:])
	if n > tailBytes || cellLen > tailHead-tailCell {
		return 0, "", "", ""
	}
	name = "stdout"
	if t.mem[18] == 2 {
		name = "stderr"
	}
	return binary.LittleEndian.Uint64(t.mem[8:]), string(t.mem[tailCell : tailCell+int(cellLen)]), name, string(t.mem[tailHead : tailHead+int(n)])
}

func (t *tail) close() { _ = syscall.Munmap(t.mem) }
