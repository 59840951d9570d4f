package worker

import (
	"encoding/json"

	"loris/kernel/wire"
)

// The JSON of packet bodies that hold values of any type is written by
// wire.AppendValue, which copes with NaN and with large strings. The front does
// not look inside them: it sends them on as they are.

type executeReply struct {
	Err             *CellError      `json:"error,omitempty"`
	UserExpressions json.RawMessage `json:"user_expressions"`
	Payload         json.RawMessage `json:"payload"`
	Output          string          `json:"output"`
}

func encodeResult(r ExecuteResult, output string) []byte {
	expressions := appendObject(nil, r.UserExpressions)
	payload, err := wire.AppendValue(nil, r.Payload)
	if err != nil || r.Payload == nil {
		payload = []byte("[]")
	}
	if r.Err != nil && r.Err.Traceback == nil {
		r.Err.Traceback = []string{}
	}
	return encode(executeReply{Err: r.Err, UserExpressions: expressions, Payload: payload, Output: output})
}

type inspectReply struct {
	Found    bool            `json:"found"`
	Data     json.RawMessage `json:"data"`
	Metadata json.RawMessage `json:"metadata"`
}

type commHead struct {
	Type     string         `json:"type"`
	ID       string         `json:"id"`
	Target   string         `json:"target"`
	Data     map[string]any `json:"data"`
	Metadata map[string]any `json:"metadata"`
}

type ready struct {
	PID   int    `json:"pid"`
	Error string `json:"error"`
}

// encode is for our own structs, which always encode.
func encode(v any) []byte {
	b, err := wire.JSON.Marshal(v)
	if err != nil {
		return []byte("{}")
	}
	return b
}

func decode(b []byte, v any) error { return wire.JSON.Unmarshal(b, v) }
