// Package wire turns Jupyter messages into ZeroMQ frames and back: the header,
// the signature over the bytes as they were sent, the JSON of the parts, and
// the connection file that says where and with which key to speak.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	jsoniter "github.com/json-iterator/go"
)

// ProtocolVersion is the Jupyter messaging protocol that Loris speaks.
const ProtocolVersion = "5.5"

// JSON is the codec of all small messages. Large payloads (MIME bundles) go
// through AppendValue, which needs neither reflection nor a second copy.
var JSON = jsoniter.ConfigCompatibleWithStandardLibrary

var delimiter = []byte("<IDS|MSG>")

// Errors of Decode. They are wrapped with detail; a message that fails is to be
// logged and dropped, never answered.
var (
	ErrDelimiter = errors.New("no <IDS|MSG> delimiter")
	ErrTruncated = errors.New("message has too few frames")
	ErrSignature = errors.New("signature does not match")
	ErrReplayed  = errors.New("signature was seen before")
	ErrHeader    = errors.New("header is not a valid JSON object")
	ErrContent   = errors.New("part is not a valid JSON object")
)

// Header identifies one message.
type Header struct {
	MsgID      string `json:"msg_id"`
	Session    string `json:"session"`
	Username   string `json:"username"`
	Date       string `json:"date"`
	MsgType    string `json:"msg_type"`
	Version    string `json:"version"`
	SubshellID string `json:"subshell_id,omitempty"`
}

// Message is one decoded Jupyter message. RawHeader keeps the header's bytes as
// received: replies echo them as parent header, unknown fields included.
type Message struct {
	Identities [][]byte
	Header     Header
	RawHeader  json.RawMessage
	Parent     json.RawMessage
	Metadata   json.RawMessage
	Content    json.RawMessage
	Buffers    [][]byte
}

// Session makes and checks the messages of one side of a connection.
// It is safe for concurrent use.
type Session struct {
	ID       string
	Username string
	signer   *Signer
	replays  *replayGuard
}

// NewSession returns a session with an id of its own. Clients take a new id as
// the sign of a restarted kernel, so every process must make its own.
func NewSession(signer *Signer, username string) *Session {
	return &Session{ID: uuid.NewString(), Username: username, signer: signer, replays: newReplayGuard(1 << 16)}
}

// NewHeader returns a header with a fresh id and the present time.
func (s *Session) NewHeader(msgType string) Header {
	return Header{
		MsgID:    uuid.NewString(),
		Session:  s.ID,
		Username: s.Username,
		Date:     FormatDate(time.Now()),
		MsgType:  msgType,
		Version:  ProtocolVersion,
	}
}

// FormatDate writes a time as Jupyter wants it: ISO 8601 with microseconds and
// zone, since front ends compute cell timings from these dates.
func FormatDate(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// Encode returns the frames of a message: identities (or, on IOPub, the topic),
// delimiter, signature, the four parts, buffers. Nil parts are sent as {}.
// The frames share memory with the arguments.
func (s *Session) Encode(identities [][]byte, h Header, parent, metadata, content []byte, buffers [][]byte) ([][]byte, error) {
	header, err := JSON.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode header: %w", err)
	}
	parts := [4][]byte{header, orEmptyObject(parent), orEmptyObject(metadata), orEmptyObject(content)}
	frames := make([][]byte, 0, len(identities)+6+len(buffers))
	frames = append(frames, identities...)
	frames = append(frames, delimiter, s.signer.Sign(parts[:]))
	frames = append(frames, parts[:]...)
	return append(frames, buffers...), nil
}

// Decode checks and parses the frames of one message. The signature is checked
// over the bytes as received, before anything is parsed.
func (s *Session) Decode(frames [][]byte) (*Message, error) {
	at := -1
	for i, f := range frames {
		if bytes.Equal(f, delimiter) {
			at = i
			break
		}
	}
	if at < 0 {
		return nil, fmt.Errorf("%w in %d frames", ErrDelimiter, len(frames))
	}
	if len(frames) < at+6 {
		return nil, fmt.Errorf("%w: %d after the delimiter, 5 are needed", ErrTruncated, len(frames)-at-1)
	}
	signature, parts := frames[at+1], frames[at+2:at+6]
	if !s.signer.Verify(signature, parts) {
		return nil, ErrSignature
	}
	m := &Message{
		Identities: frames[:at],
		RawHeader:  parts[0], Parent: parts[1], Metadata: parts[2], Content: parts[3],
		Buffers: frames[at+6:],
	}
	// json-iterator takes what is no JSON, and replies echo the header.
	if err := JSON.Unmarshal(parts[0], &m.Header); err != nil || !isObject(parts[0]) || !json.Valid(parts[0]) {
		return nil, ErrHeader
	}
	if m.Header.MsgType == "" || m.Header.MsgID == "" {
		return nil, fmt.Errorf("%w: msg_id or msg_type is missing", ErrHeader)
	}
	for i, name := range []string{"parent_header", "metadata", "content"} {
		if !isObject(parts[i+1]) || !json.Valid(parts[i+1]) {
			return nil, fmt.Errorf("%w: %s", ErrContent, name)
		}
	}
	// Only after all else: a damaged copy must not shadow the good one.
	if len(signature) > 0 && s.replays.seen(string(signature)) {
		return nil, ErrReplayed
	}
	return m, nil
}

func orEmptyObject(b []byte) []byte {
	if len(b) == 0 {
		return []byte("{}")
	}
	return b
}

func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}
