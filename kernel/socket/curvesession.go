package socket

import (
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/nacl/secretbox"
)

// Flags inside a CURVE box. A command is 2 here but 4 in a frame header.
const (
	boxMore    = 1
	boxCommand = 2
)

// curveOverhead is what a sealed frame has more than its body: "\x07MESSAGE",
// counter, authenticator, flags.
const curveOverhead = 8 + 8 + 16 + 1

var (
	errNotSealed = errors.New("frame is not a CURVE message")
	errReplayed  = errors.New("CURVE message was replayed")
	errForged    = errors.New("CURVE message was changed on its way")
)

// curveSession seals and opens the traffic of one connection. Sealing belongs
// to the writer, opening to the reader; they share only the key.
type curveSession struct {
	key                       *key32
	sent, received            uint64 // last counters; each direction only grows
	sendPrefix, receivePrefix string
	plain                     []byte
}

// seal appends a frame with the ordinary header flags moved into the box.
func (s *curveSession) seal(dst []byte, flags byte, body []byte) []byte {
	inner := flags & flagMore
	if flags&flagCommand != 0 {
		inner |= boxCommand
	}
	s.sent++
	dst = appendFrameHeader(dst, curveOverhead+len(body), 0)
	dst = append(dst, "\x07MESSAGE"...)
	dst = binary.BigEndian.AppendUint64(dst, s.sent)
	s.plain = append(append(s.plain[:0], inner), body...)
	dst = secretbox.Seal(dst, s.plain, shortNonce(s.sendPrefix, s.sent), s.key)
	if cap(s.plain) > 1<<20 {
		s.plain = nil
	}
	return dst
}

// open takes the body of a frame and returns ordinary header flags and the body.
func (s *curveSession) open(frame []byte) (flags byte, body []byte, err error) {
	if len(frame) < curveOverhead || string(frame[:8]) != "\x07MESSAGE" {
		return 0, nil, errNotSealed
	}
	counter := binary.BigEndian.Uint64(frame[8:])
	if counter <= s.received {
		return 0, nil, errReplayed
	}
	plain, ok := secretbox.Open(nil, frame[16:], shortNonce(s.receivePrefix, counter), s.key)
	if !ok {
		return 0, nil, errForged
	}
	s.received = counter
	if plain[0]&boxMore != 0 {
		flags |= flagMore
	}
	if plain[0]&boxCommand != 0 {
		flags |= flagCommand
	}
	return flags, plain[1:], nil
}
