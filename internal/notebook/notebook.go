// Package notebook reads and writes Jupyter notebooks (nbformat 4), runs them
// through a kernel's sockets, compares two runs, and exports them as HTML.
package notebook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"loris/internal/lazy"
)

// Notebook is a Jupyter notebook of nbformat 4. Fields it does not know are
// kept and written back.
type Notebook struct {
	Cells    []*Cell
	Metadata map[string]any
	Minor    int // nbformat_minor
	extra    map[string]any
}

// Types of cells.
const (
	Code     = "code"
	Markdown = "markdown"
	Raw      = "raw"
)

// Cell is one cell.
type Cell struct {
	ID             string
	Type           string // Code, Markdown or Raw
	Source         string
	Metadata       map[string]any
	ExecutionCount int // of a code cell; 0 means not run
	Outputs        []*Output
	// Attachments of a Markdown cell: name → MIME type → base64.
	Attachments map[string]any
	extra       map[string]any
}

// Types of outputs.
const (
	Stream        = "stream"
	DisplayData   = "display_data"
	ExecuteResult = "execute_result"
	Error         = "error"
)

// Output is one output of a code cell.
type Output struct {
	Type string
	// Name and Text of a Stream: "stdout" or "stderr".
	Name, Text string
	// Data maps MIME types to strings (binary as base64) or JSON values, for
	// DisplayData and ExecuteResult.
	Data, Metadata map[string]any
	ExecutionCount int // of an ExecuteResult
	// EName, EValue and Traceback of an Error; the traceback has ANSI colours.
	EName, EValue string
	Traceback     []string

	extra     map[string]any
	displayID string // never saved
	written   []byte // text of a stream that may still grow
}

// Tags of a cell's metadata that mean something here.
const (
	// TagMeasured: the outputs are measurements; a check only runs the cell.
	TagMeasured = "loris:measured"
	// TagRaises: an error is expected and does not end the run.
	TagRaises = "raises-exception"
	// TagSkip: the cell is not run.
	TagSkip = "skip-execution"
)

// HasTag reports whether the cell's metadata holds a tag.
func (c *Cell) HasTag(tag string) bool {
	tags, _ := c.Metadata["tags"].([]any)
	return slices.Contains(tags, any(tag))
}

// Language is the programming language of the cells, "" if the notebook does
// not say.
func (nb *Notebook) Language() string {
	for _, key := range []string{"language_info", "kernelspec"} {
		if m, ok := nb.Metadata[key].(map[string]any); ok {
			for _, field := range []string{"name", "language"} {
				if s, ok := m[field].(string); ok && s != "" && !(key == "kernelspec" && field == "name") {
					return s
				}
			}
		}
	}
	return ""
}

var validID = lazy.Regexp(`^[a-zA-Z0-9_-]{1,64}$`)

// repairIDs gives cells without a valid id of their own a new one, made from
// place and source so that reading a file twice gives the same.
func (nb *Notebook) repairIDs() {
	seen := map[string]bool{}
	for i, c := range nb.Cells {
		for n := 0; !validID().MatchString(c.ID) || seen[c.ID]; n++ {
			sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", i, n, c.Source))
			c.ID = hex.EncodeToString(sum[:4])
		}
		seen[c.ID] = true
	}
}

// ClearOutputs removes all outputs and counts.
func (nb *Notebook) ClearOutputs() {
	for _, c := range nb.Cells {
		c.Outputs, c.ExecutionCount = nil, 0
	}
}

// Clone returns a copy whose metadata, cells and outputs can be changed without
// changing nb. The cells' metadata and MIME data are shared.
func (nb *Notebook) Clone() *Notebook {
	out := *nb
	out.Metadata = maps.Clone(nb.Metadata)
	out.Cells = make([]*Cell, len(nb.Cells))
	for i, c := range nb.Cells {
		cell := *c
		cell.Outputs = make([]*Output, len(c.Outputs))
		for j, o := range c.Outputs {
			output := *o
			cell.Outputs[j] = &output
		}
		out.Cells[i] = &cell
	}
	return &out
}
