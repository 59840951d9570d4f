package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"loris/kernel/wire"
	"loris/kernel/worker"
)

// executeContent is the content of execute_request. Pointers have defaults that
// are not the zero value.
type executeContent struct {
	Code            string            `json:"code"`
	Silent          bool              `json:"silent"`
	StoreHistory    *bool             `json:"store_history"`
	UserExpressions map[string]string `json:"user_expressions"`
	AllowStdin      bool              `json:"allow_stdin"`
	StopOnError     *bool             `json:"stop_on_error"`
}

// abortPause is how long a failed cell waits for further requests before it
// replies: whatever comes in before the client can know of the failure counts
// as queued behind the cell.
const abortPause = 5 * time.Millisecond

// counter is the execution count. All shells share it, so that a number names one
// cell, in errors as in the history.
type counter struct {
	mu sync.Mutex
	n  int
}

// take returns the count of the next cell; store keeps it from being used again.
func (c *counter) take(store bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if store {
		c.n++
		return c.n
	}
	return c.n + 1
}

// last is the count of the cell stored last.
func (c *counter) last() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// execute runs one cell. Everything the cell shows has been published when it
// returns.
func (k *Kernel) execute(r *request) []byte {
	started := time.Now()
	status := "ok"
	defer func() { r.meta = map[string]string{"started": wire.FormatDate(started), "status": status} }()
	if r.aborted {
		status = "aborted"
		return encode(map[string]any{"status": status, "execution_count": k.counter.last()})
	}
	var q executeContent
	if err := wire.JSON.Unmarshal(r.Content, &q); err != nil {
		status = "error"
		return k.failed(r, q, k.counter.take(false), &worker.CellError{Name: "BadRequest", Value: "execute_request: " + err.Error()}, nil)
	}
	if r.orphan {
		status = "error"
		return k.failed(r, q, k.counter.take(false), &worker.CellError{Name: "UnknownSubshell", Value: unknownSubshell(r.Header.SubshellID)}, nil)
	}
	q.Code = strings.ToValidUTF8(q.Code, "\uFFFD")
	store := !q.Silent && (q.StoreHistory == nil || *q.StoreHistory) && strings.TrimSpace(q.Code) != ""
	count := k.counter.take(store)
	if store {
		k.history.Add(count, q.Code)
	}
	id, beside := r.Header.MsgID, r.Header.SubshellID != ""
	k.parents.add(id, &parent{header: r.RawHeader, routing: r.conn.Identity(), identities: r.Identities, silent: q.Silent, allowStdin: q.AllowStdin}, !beside)
	if !q.Silent {
		k.publish("execute_input", r.RawHeader, nil, encode(map[string]any{"code": q.Code, "execution_count": count}), nil)
	}
	reply, err := k.worker.Execute(context.Background(), worker.ExecuteRequest{
		CellID: id, NotebookCell: notebookCell(r.Metadata), Count: count, Code: q.Code, Silent: q.Silent,
		StoreHistory: store, Beside: beside, UserExpressions: q.UserExpressions,
	})
	k.dropInputs(id)
	if err != nil {
		reply.Err = k.explain(err)
	}
	if reply.Err != nil {
		status = "error"
		return k.failed(r, q, count, reply.Err, reply.Payload)
	}
	if store {
		k.ran.add(cellRef{count, notebookCell(r.Metadata)})
		if reply.Output != "" {
			k.history.SetOutput(count, reply.Output)
		}
	}
	return encode(map[string]any{"status": "ok", "execution_count": count,
		"user_expressions": orRaw(reply.UserExpressions, "{}"), "payload": orRaw(reply.Payload, "[]")})
}

// failed publishes a cell's error, aborts what is queued, and makes the reply.
func (k *Kernel) failed(r *request, q executeContent, count int, e *worker.CellError, payload json.RawMessage) []byte {
	if e.Traceback == nil {
		e.Traceback = []string{e.Name + ": " + e.Value}
	}
	if !q.Silent {
		k.publish("error", r.RawHeader, nil, encode(map[string]any{"ename": e.Name, "evalue": e.Value, "traceback": e.Traceback}), nil)
		if q.StopOnError == nil || *q.StopOnError {
			time.Sleep(abortPause)
			r.queue.abort()
		}
	}
	return encode(map[string]any{"status": "error", "execution_count": count, "ename": e.Name, "evalue": e.Value,
		"traceback": e.Traceback, "user_expressions": map[string]any{}, "payload": orRaw(payload, "[]")})
}

// explain turns a failure of the worker into the cell's error.
func (k *Kernel) explain(err error) *worker.CellError {
	var death *worker.Death
	switch {
	case k.stopping() || errors.Is(err, worker.ErrClosed):
		return &worker.CellError{Name: "KernelShutdown", Value: "the kernel was shut down while the cell ran"}
	case errors.As(err, &death):
		return k.report(death)
	}
	return &worker.CellError{Name: "InternalError", Value: err.Error()}
}

func orRaw(b json.RawMessage, empty string) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage(empty)
	}
	return b
}

// notebookCell is the front end's id of a cell, as JupyterLab and nbclient send it.
func notebookCell(metadata []byte) string {
	var m struct {
		CellID string `json:"cellId"`
	}
	_ = wire.JSON.Unmarshal(metadata, &m) // absent or of another type: no id
	return m.CellID
}
