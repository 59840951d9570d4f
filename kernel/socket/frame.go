package socket

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// Flags of a ZMTP frame header.
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

// Limits on what a peer may send. A Jupyter message is far below all of them.
const (
	maxMessage = 1 << 30 // bytes of one incoming message
	maxFrames  = 1 << 16 // frames of one incoming message
)

var (
	errTooBig   = errors.New("message is larger than 1 GiB or has too many frames")
	errBadFrame = errors.New("malformed frame")
)

func appendFrameHeader(b []byte, n int, flags byte) []byte {
	if n > 255 {
		return binary.BigEndian.AppendUint64(append(b, flags|flagLong), uint64(n))
	}
	return append(b, flags, byte(n))
}

// readFrame reads one frame of at most *budget bytes and takes its size off.
func readFrame(r *bufio.Reader, budget *int64) (flags byte, body []byte, err error) {
	var h [9]byte
	if _, err = io.ReadFull(r, h[:2]); err != nil {
		return 0, nil, err
	}
	flags = h[0]
	size := uint64(h[1])
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return flags, nil, errBadFrame
	}
	if flags&flagLong != 0 {
		if _, err = io.ReadFull(r, h[2:]); err != nil {
			return flags, nil, err
		}
		size = binary.BigEndian.Uint64(h[1:])
	}
	if size > uint64(*budget) {
		return flags, nil, errTooBig
	}
	*budget -= int64(size)
	body, err = readBody(r, int(size))
	return flags, body, err
}

// readBody grows its buffer as data arrives: an announced size costs a peer
// nothing, so it must cost us nothing either.
func readBody(r io.Reader, size int) ([]byte, error) {
	const step = 1 << 20
	body := make([]byte, min(size, step))
	_, err := io.ReadFull(r, body)
	for err == nil && len(body) < size {
		grown := make([]byte, min(len(body)*4, size))
		n := copy(grown, body)
		body = grown
		_, err = io.ReadFull(r, body[n:])
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

// parseCommand splits a command frame into its name and the rest.
func parseCommand(b []byte) (name string, rest []byte, err error) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return "", nil, errBadFrame
	}
	n := int(b[0])
	return string(b[1 : 1+n]), b[1+n:], nil
}

// parseProperties reads ZMTP metadata: name length (1), name, value length (4), value.
func parseProperties(b []byte) (map[string]string, error) {
	props := map[string]string{}
	for len(b) > 0 {
		n := 1 + int(b[0])
		if len(b) < n+4 {
			return nil, errBadFrame
		}
		name := string(b[1:n])
		size := binary.BigEndian.Uint32(b[n:])
		b = b[n+4:]
		if uint64(size) > uint64(len(b)) {
			return nil, errBadFrame
		}
		props[name] = string(b[:size])
		b = b[size:]
	}
	return props, nil
}
