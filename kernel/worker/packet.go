package worker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
)

// kind is what a packet is for.
type kind byte

// From front to worker, from worker to front, and both ways.
const (
	kindExecute kind = iota + 1
	kindInterrupt
	kindComplete
	kindInspect
	kindIsComplete
	kindComm
	kindInputReply
	kindPing
	kindClose

	kindReady
	kindReply
	kindOutput
	kindInput
	kindHeld

	kindEnd // first value that is no kind
)

// packet is one message between front and worker.
//
// Its layout, big-endian: total length of the rest (8), kind (1), id (8), number
// of parts (4), length of each part (8 each), the parts: cell, name, meta, body,
// buffers.
type packet struct {
	kind    kind
	id      uint64   // a call and its reply have the same
	cell    string   // CellID that output belongs to
	name    string   // of output: its Jupyter message type
	meta    []byte   // of output: message metadata, JSON
	body    []byte   // JSON
	buffers [][]byte // binary attachments
}

const (
	packetParts = 4
	maxParts    = 1 << 20
	maxPacket   = 4 << 30
)

var errPacket = errors.New("malformed packet")

// link carries packets over a connection.
type link struct {
	nc net.Conn
	br *bufio.Reader
	mu sync.Mutex // one writer at a time
}

func newLink(nc net.Conn) *link { return &link{nc: nc, br: bufio.NewReaderSize(nc, 256<<10)} }

// write sends a packet; it waits while the other side does not read.
func (l *link) write(p packet) error {
	parts := append([][]byte{[]byte(p.cell), []byte(p.name), p.meta, p.body}, p.buffers...)
	head := make([]byte, 8, 8+1+8+4+8*len(parts))
	head = append(head, byte(p.kind))
	head = binary.BigEndian.AppendUint64(head, p.id)
	head = binary.BigEndian.AppendUint32(head, uint32(len(parts)))
	total := 0
	for _, part := range parts {
		head = binary.BigEndian.AppendUint64(head, uint64(len(part)))
		total += len(part)
	}
	binary.BigEndian.PutUint64(head, uint64(len(head)-8+total))
	var bufs net.Buffers
	if total <= 16<<10 { // one copy is cheaper than a vectored write
		for _, part := range parts {
			head = append(head, part...)
		}
		bufs = net.Buffers{head}
	} else {
		bufs = append(net.Buffers{head}, parts...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := bufs.WriteTo(l.nc)
	return err
}

func (l *link) read() (packet, error) { return readPacket(l.br) }

// readPacket reads one packet. The worker runs the user's code, so its bytes are
// not trusted: sizes are checked, and memory grows only as data arrive.
func readPacket(r io.Reader) (packet, error) {
	var fixed [8 + 1 + 8 + 4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return packet{}, err
	}
	total := binary.BigEndian.Uint64(fixed[:])
	n := uint64(binary.BigEndian.Uint32(fixed[17:]))
	p := packet{kind: kind(fixed[8]), id: binary.BigEndian.Uint64(fixed[9:])}
	if p.kind == 0 || p.kind >= kindEnd || n < packetParts || n > maxParts || total > maxPacket || total < 13+8*n {
		return packet{}, fmt.Errorf("%w: kind %d, %d parts, %d bytes", errPacket, p.kind, n, total)
	}
	sizes, err := readGrowing(r, 8*n)
	if err != nil {
		return packet{}, err
	}
	rest := total - 13 - 8*n
	body, err := splitParts(r, sizes, rest)
	if err != nil {
		return packet{}, err
	}
	p.cell, p.name, p.meta, p.body, p.buffers = string(body[0]), string(body[1]), body[2], body[3], body[4:]
	return p, nil
}

func splitParts(r io.Reader, sizes []byte, rest uint64) ([][]byte, error) {
	parts := make([][]byte, 0, len(sizes)/8)
	for ; len(sizes) > 0; sizes = sizes[8:] {
		size := binary.BigEndian.Uint64(sizes)
		if size > rest {
			return nil, fmt.Errorf("%w: a part is longer than the packet", errPacket)
		}
		rest -= size
		part, err := readGrowing(r, size)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if rest != 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", errPacket, rest)
	}
	return parts, nil
}

func readGrowing(r io.Reader, size uint64) ([]byte, error) {
	const step = 4 << 20
	if size > math.MaxInt {
		return nil, errPacket
	}
	b := make([]byte, min(size, step))
	_, err := io.ReadFull(r, b)
	for err == nil && uint64(len(b)) < size {
		grown := make([]byte, min(uint64(len(b))*4, size))
		n := copy(grown, b)
		b = grown
		_, err = io.ReadFull(r, b[n:])
	}
	return b, err
}
