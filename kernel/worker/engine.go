// Package worker runs cells in a process of their own. The front process owns a
// Supervisor, which starts the worker process, sends it requests, hands its
// output on in order, and explains its death; the worker process runs Serve
// around an Engine. Between them is a socket pair with length-prefixed packets.
package worker

import "context"

// Engine executes cells. Serve calls Execute one cell at a time, and beside it for
// cells that say so; all other methods may be called while a cell runs.
type Engine interface {
	// Execute runs a cell. An interrupt cancels ctx; Execute then returns soon,
	// with an error in the result. Everything the cell shows goes to out.
	Execute(ctx context.Context, r ExecuteRequest) ExecuteResult
	Complete(r CompleteRequest) CompleteReply
	Inspect(r InspectRequest) InspectReply
	IsComplete(code string) IsCompleteReply
	// Variables lists what the session holds. It is called after every cell, so
	// that the front can name what a crash has destroyed.
	Variables() []Variable
	// Settings are what a worker that takes this one's place is to find in its
	// environment, as NAME=value. It is called after every cell, too.
	Settings() []string
	// Comm takes a message from the front end. An error for an "open" (no such
	// target) closes the comm.
	Comm(m CommMessage) error
	// Close ends the session; no other method is called afterwards.
	Close()
}

// Output is where an engine sends what cells show. It is safe for concurrent
// use, and its order is kept up to the client. A cellID says which cell an
// output belongs to, also after that cell has ended; "" is the cell, of those not
// beside others, that runs now or ran last. Calls wait when the front end cannot keep up.
type Output interface {
	// Stream writes to "stdout" or "stderr". Small writes are gathered.
	Stream(cellID, name, text string)
	Display(cellID string, d Display)
	// Update changes all displays of d.ID.
	Update(cellID string, d Display)
	Clear(cellID string, wait bool)
	// Result is the value of the cell's last expression.
	Result(cellID string, data, metadata map[string]any)
	// Input asks the user for a line. It fails when the front end cannot ask,
	// and on interrupt.
	Input(cellID, prompt string, password bool) (string, error)
	Comm(cellID string, m CommMessage)
}

// Display is a MIME bundle: MIME type → string, []byte (sent as base64) or any
// value that JSON can hold.
type Display struct {
	ID             string // "" if it is never to be updated
	Data, Metadata map[string]any
}

// ExecuteRequest is one cell to run.
type ExecuteRequest struct {
	CellID       string `json:"cell_id"`       // unique per execution
	NotebookCell string `json:"notebook_cell"` // the front end's id of the cell, "" if it has none
	Count        int    `json:"count"`         // execution count
	Code         string `json:"code"`
	Silent       bool   `json:"silent"`
	StoreHistory bool   `json:"store_history"`
	// Beside is set for a cell that does not wait for others to end.
	Beside          bool              `json:"beside"`
	UserExpressions map[string]string `json:"user_expressions"`
}

// ExecuteResult is the outcome of a cell.
type ExecuteResult struct {
	Err             *CellError       // nil: the cell succeeded
	UserExpressions map[string]any   // name → mimebundle reply or error reply
	Payload         []map[string]any // "page", "set_next_input", …
}

// CellError is an error as the front end shows it.
type CellError struct {
	Name      string   `json:"ename"`
	Value     string   `json:"evalue"`
	Traceback []string `json:"traceback"` // ANSI colours allowed
}

// CompleteRequest asks for completions at a cursor, counted in code points.
type CompleteRequest struct {
	Code   string `json:"code"`
	Cursor int    `json:"cursor"`
}

// CompleteReply lists what may replace the code points Start to End.
type CompleteReply struct {
	Start int              `json:"start"`
	End   int              `json:"end"`
	Items []CompletionItem `json:"items"`
}

// CompletionItem is one completion; Type is a word like "function" or "module".
type CompletionItem struct {
	Text      string `json:"text"`
	Type      string `json:"type"`
	Signature string `json:"signature"`
}

// InspectRequest asks about the identifier at a cursor, counted in code points.
// Level 1 wants the source as well.
type InspectRequest struct {
	Code   string `json:"code"`
	Cursor int    `json:"cursor"`
	Level  int    `json:"level"`
}

// InspectReply is a MIME bundle, if something was found.
type InspectReply struct {
	Found          bool
	Data, Metadata map[string]any
}

// IsCompleteReply says whether code can be run as it is.
type IsCompleteReply struct {
	Status string `json:"status"` // complete, incomplete, invalid or unknown
	Indent string `json:"indent"` // for the next line, if incomplete
}

// Variable is one name that the session holds.
type Variable struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Summary string `json:"summary"`
	Bytes   int64  `json:"bytes"`
	Cell    string `json:"cell"` // CellID of the execution that set it
}

// CommMessage is one message of a comm, in either direction.
type CommMessage struct {
	Type     string // "open", "msg" or "close"
	ID       string
	Target   string // of "open"
	Data     map[string]any
	Metadata map[string]any
	Buffers  [][]byte
	// CellID is the request that brought a message from the front end. Answers
	// to it are sent with this id.
	CellID string
}
