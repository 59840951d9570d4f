package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"loris/kernel/wire"
)

const (
	gatherTime  = 20 * time.Millisecond // small writes are sent together after this
	gatherBytes = tailBytes / 2         // or when there are so many
	// resultLimit bounds what history keeps of a result.
	resultLimit = 64 << 10
)

// Errors of Output.Input.
var (
	ErrNoInput     = errors.New("this front end cannot be asked for input (allow_stdin is false)")
	ErrInterrupted = errors.New("interrupted while waiting for input")
)

// output implements Output in the worker process. Stream text is gathered here,
// before the pipe: a client needs 0.2 ms for every message, however short.
type output struct {
	link *link

	mu       sync.Mutex
	text     *tail // gathered, of one cell and stream
	texts    uint64
	textCell string
	textName string
	armed    bool // the timer will flush

	current string                  // the cell, not beside others, that runs or ran last
	running map[string]*runningCell // by CellID

	inputs   map[uint64]chan inputReply
	inputSeq uint64
}

// runningCell is what outputs need to know of a cell that runs.
type runningCell struct {
	ctx    context.Context
	count  int
	result string // text/plain of its result
}

type inputReply struct {
	Value string `json:"value"`
	Error string `json:"error"`
}

func newOutput(l *link, gathered *tail) *output {
	return &output{link: l, text: gathered, texts: 1, running: map[string]*runningCell{}, inputs: map[uint64]chan inputReply{}}
}

// begin notes that a cell runs.
func (o *output) begin(ctx context.Context, r ExecuteRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush(true)
	if !r.Beside {
		o.current = r.CellID
	}
	o.running[r.CellID] = &runningCell{ctx: ctx, count: r.Count}
}

// end notes that a cell has ended; it sends what is gathered and returns the text
// of the result.
func (o *output) end(cellID string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush(true)
	c := o.running[cellID]
	delete(o.running, cellID)
	if c == nil {
		return ""
	}
	return c.result
}

// send what is gathered.
func (o *output) sendGathered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush(true)
}

func (o *output) cellOr(id string) string {
	if id == "" {
		return o.current
	}
	return id
}

func (o *output) Stream(cellID, name, text string) {
	if text == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	cellID = o.cellOr(cellID)
	if o.text.len() > 0 && (cellID != o.textCell || name != o.textName) {
		o.flush(true)
	}
	o.textCell, o.textName = cellID, name
	if o.text.len() == 0 {
		o.text.begin(o.texts, cellID, name)
	}
	for !o.text.append(text) { // does not fit
		if o.text.len() == 0 {
			o.sendText([]byte(text))
			return
		}
		o.flush(true)
		o.text.begin(o.texts, cellID, name)
	}
	switch {
	case o.text.len() >= gatherBytes:
		o.flush(false)
	case !o.armed:
		o.armed = true
		time.AfterFunc(gatherTime, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.armed = false
			o.flush(false)
		})
	}
}

// flush sends the gathered text. Unless it is the last of its kind, the bytes of
// an unfinished character stay, to be sent with the rest of it.
func (o *output) flush(all bool) {
	text, rest := o.text.bytes(), []byte(nil)
	if !all {
		text, rest = splitRune(text)
	}
	if len(text) == 0 {
		return
	}
	o.sendText(text)
	held := string(rest)
	o.text.begin(o.texts, o.textCell, o.textName)
	o.text.append(held)
}

// sendText sends gathered text under its number, by which the front knows
// whether it has got what it finds in the shared memory of a dead worker.
func (o *output) sendText(text []byte) {
	body := append(make([]byte, 0, len(text)+len(text)/8+64), `{"name":`...)
	body = append(wire.AppendString(body, o.textName), `,"text":`...)
	body = append(wire.AppendString(body, string(text)), '}')
	_ = o.link.write(packet{kind: kindOutput, id: o.texts, cell: o.textCell, name: "stream", body: body})
	o.texts++
}

// splitRune cuts off the bytes of a UTF-8 sequence that has only begun.
func splitRune(b []byte) (whole, rest []byte) {
	for n := 1; n <= min(utf8.UTFMax-1, len(b)); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return b[:len(b)-n], tail
			}
			break
		}
	}
	return b, nil
}

// send hands a message to the front. If the front is gone, Serve notices and
// ends the process, so the error is of no use here.
func (o *output) send(cell, msgType string, meta, body []byte, buffers [][]byte) {
	_ = o.link.write(packet{kind: kindOutput, cell: cell, name: msgType, meta: meta, body: body, buffers: buffers})
}

func (o *output) Display(cellID string, d Display) { o.display(cellID, "display_data", d) }
func (o *output) Update(cellID string, d Display)  { o.display(cellID, "update_display_data", d) }

func (o *output) display(cellID, msgType string, d Display) {
	body := appendBundle([]byte{'{'}, d.Data, d.Metadata)
	body = append(body, `,"transient":{`...)
	if d.ID != "" {
		body = wire.AppendString(append(body, `"display_id":`...), d.ID)
	}
	body = append(body, `}}`...)
	o.ordered(cellID, msgType, nil, body, nil)
}

func (o *output) Result(cellID string, data, metadata map[string]any) {
	count := 0
	o.mu.Lock()
	if c := o.running[o.cellOr(cellID)]; c != nil {
		count = c.count
		if text, ok := data["text/plain"].(string); ok {
			c.result = text[:min(len(text), resultLimit)]
		}
	}
	o.mu.Unlock()
	body := fmt.Appendf(nil, `{"execution_count":%d,`, count)
	body = append(appendBundle(body, data, metadata), '}')
	o.ordered(cellID, "execute_result", nil, body, nil)
}

func (o *output) Clear(cellID string, wait bool) {
	o.ordered(cellID, "clear_output", nil, fmt.Appendf(nil, `{"wait":%t}`, wait), nil)
}

func (o *output) Comm(cellID string, m CommMessage) {
	body := wire.AppendString([]byte(`{"comm_id":`), m.ID)
	if m.Type == "open" {
		body = wire.AppendString(append(body, `,"target_name":`...), m.Target)
	}
	body = append(appendObject(append(body, `,"data":`...), m.Data), '}')
	o.ordered(cellID, "comm_"+m.Type, appendObject(nil, m.Metadata), body, m.Buffers)
}

// ordered sends a message behind all text that was written before it.
func (o *output) ordered(cellID, msgType string, meta, body []byte, buffers [][]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush(true)
	o.send(o.cellOr(cellID), msgType, meta, body, buffers)
}

func (o *output) Input(cellID, prompt string, password bool) (string, error) {
	o.mu.Lock()
	o.flush(true)
	cell := o.cellOr(cellID)
	ctx := context.Background() // of a goroutine that its cell has left behind
	if c := o.running[cell]; c != nil {
		ctx = c.ctx
	}
	o.inputSeq++
	id := o.inputSeq
	answer := make(chan inputReply, 1)
	o.inputs[id] = answer
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		delete(o.inputs, id)
		o.mu.Unlock()
	}()
	body := wire.AppendString([]byte(`{"prompt":`), prompt)
	body = fmt.Appendf(body, `,"password":%t}`, password)
	if err := o.link.write(packet{kind: kindInput, id: id, cell: cell, body: body}); err != nil {
		return "", err
	}
	select {
	case a := <-answer:
		switch a.Error {
		case "":
			return a.Value, nil
		case io.EOF.Error():
			return "", io.EOF
		}
		return "", errors.New(a.Error)
	case <-ctx.Done():
		return "", ErrInterrupted
	}
}

func (o *output) answer(id uint64, a inputReply) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.inputs[id]; c != nil {
		c <- a // capacity 1, asked once
		delete(o.inputs, id)
	}
}

// appendBundle appends "data" and "metadata" of a display. A representation that
// cannot be encoded is replaced by a text that says so: the others still show.
func appendBundle(dst []byte, data, metadata map[string]any) []byte {
	dst = appendObject(append(dst, `"data":`...), data)
	return appendObject(append(dst, `,"metadata":`...), metadata)
}

func appendObject(dst []byte, m map[string]any) []byte {
	if m == nil {
		return append(dst, "{}"...)
	}
	n := len(dst)
	out, err := wire.AppendValue(dst, m)
	if err == nil {
		return out
	}
	fallback := map[string]any{}
	for k, v := range m {
		if one, err := wire.AppendValue(nil, v); err == nil {
			fallback[k] = json.RawMessage(one)
		} else {
			fallback["text/plain"] = fmt.Sprintf("cannot be shown as %s: %v", k, err)
		}
	}
	if out, err = wire.AppendValue(dst[:n], fallback); err != nil {
		return append(dst[:n], "{}"...)
	}
	return out
}
