package notebook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// collector turns a kernel's messages into the outputs of the cells they are
// about. It is not safe for concurrent use.
type collector struct {
	cells map[string]*cellOutputs // by request id
}

type cellOutputs struct {
	cell         *Cell
	clearPending bool
}

func newCollector() *collector { return &collector{cells: map[string]*cellOutputs{}} }

// start says that messages about a request belong to a cell.
func (c *collector) start(id string, cell *Cell) { c.cells[id] = &cellOutputs{cell: cell} }

// take applies one message. Those about requests it does not know, and those
// that put nothing into a notebook, change nothing.
func (c *collector) take(m Message) {
	if m.Type == "update_display_data" {
		c.update(m)
		return
	}
	out := c.cells[m.Parent]
	if out == nil {
		return
	}
	switch m.Type {
	case "stream":
		out.stream(textOf(m.Content["name"]), textOf(m.Content["text"]))
	case "display_data", "execute_result":
		c.display(out, m)
	case "error":
		o := &Output{Type: Error, EName: textOf(m.Content["ename"]), EValue: textOf(m.Content["evalue"])}
		lines, _ := m.Content["traceback"].([]any)
		for _, l := range lines {
			o.Traceback = append(o.Traceback, textOf(l))
		}
		out.add(o)
	case "clear_output":
		if wait, _ := m.Content["wait"].(bool); wait {
			out.clearPending = true
		} else {
			out.cell.Outputs = nil
		}
	}
}

func (o *cellOutputs) add(out *Output) {
	if o.clearPending {
		o.cell.Outputs, o.clearPending = nil, false
	}
	o.cell.Outputs = append(o.cell.Outputs, out)
}

// stream appends to the last output if that is the same stream.
func (o *cellOutputs) stream(name, s string) {
	if s == "" {
		return
	}
	var last *Output
	if n := len(o.cell.Outputs); n > 0 && !o.clearPending {
		last = o.cell.Outputs[n-1]
	}
	if last == nil || last.Type != Stream || last.Name != name {
		last = &Output{Type: Stream, Name: name}
		o.add(last)
	}
	moves := strings.ContainsAny(s, "\r\b") || bytes.HasSuffix(last.written, []byte("\r"))
	from := bytes.LastIndexByte(last.written, '\n') + 1
	last.written = append(last.written, s...)
	if moves {
		last.written = append(last.written[:from], overwrite(string(last.written[from:]))...)
	}
}

// settle puts what was written to streams into the outputs of a cell.
func (o *cellOutputs) settle() {
	for _, out := range o.cell.Outputs {
		if out.written != nil {
			out.Text = string(out.written)
		}
	}
}

// overwrite applies carriage returns and backspaces as a terminal does, so that
// a counter printed over itself leaves its last state. A carriage return at the
// end stays, since what follows may overwrite the line.
func overwrite(s string) string {
	if !strings.ContainsAny(s, "\r\b") {
		return s
	}
	var out []rune
	start, at := 0, 0 // of the line, and where the next rune goes
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case r == '\n':
			out = append(out, r)
			start, at = len(out), len(out)
		case r == '\r' && i == len(runes)-1:
			out = append(out, r)
		case r == '\r':
			at = start
		case r == '\b':
			at = max(at-1, start)
		case at < len(out):
			out[at] = r
			at++
		default:
			out = append(out, r)
			at++
		}
	}
	return string(out)
}

func (c *collector) display(out *cellOutputs, m Message) {
	o := &Output{Type: m.Type, Data: mimeData(m.Content["data"]), Metadata: object(m.Content["metadata"]), displayID: displayID(m)}
	if m.Type == "execute_result" {
		if n, ok := m.Content["execution_count"].(json.Number); ok {
			fmt.Sscan(n.String(), &o.ExecutionCount)
		}
	}
	if o.displayID != "" {
		c.update(m) // displays of the same name show the same
	}
	out.add(o)
}

func displayID(m Message) string { return textOf(object(m.Content["transient"])["display_id"]) }

// update changes every display of the name, in all cells.
func (c *collector) update(m Message) {
	id := displayID(m)
	if id == "" {
		return
	}
	for _, out := range c.cells {
		for _, o := range out.cell.Outputs {
			if o.displayID == id {
				o.Data, o.Metadata = mimeData(m.Content["data"]), object(m.Content["metadata"])
			}
		}
	}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return orEmpty(m)
}

// mimeData takes a bundle's data; content that is neither text nor declared as
// JSON is dropped, since no notebook may hold it.
func mimeData(v any) map[string]any {
	data := map[string]any{}
	for mime, content := range object(v) {
		if _, ok := content.(string); ok || isJSON(mime) {
			data[mime] = content
		}
	}
	return data
}
