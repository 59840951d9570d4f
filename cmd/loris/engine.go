package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"

	"loris/display"
	"loris/interp"
	"loris/kernel/worker"
)

// engine runs a worker's cells in an interpreter session.
type engine struct {
	session *interp.Session
	out     worker.Output
	comms   *comms
}

// limitVariable has the limits of a worker's first cells, as %limit takes them: a worker
// that takes another's place finds its limits there.
const limitVariable = "LORIS_LIMIT"

// newEngine makes the interpreter session that runs a worker's cells.
func newEngine(out worker.Output) (worker.Engine, error) {
	e := &engine{out: out, comms: newComms(out)}
	session, err := interp.New(interp.Options{Sink: sink{out}, OwnProcess: true, Limits: os.Getenv(limitVariable)})
	if err != nil {
		return nil, fmt.Errorf("%w (%s=%q)", err, limitVariable, os.Getenv(limitVariable))
	}
	e.session = session
	display.SetOutlet(outlet{out, e.comms})
	return e, nil
}

// sink passes on what cells print and ask.
type sink struct{ out worker.Output }

func (s sink) Stream(cell, name, text string) { s.out.Stream(cell, name, text) }

func (s sink) ReadInput(cell, prompt string, password bool) (string, error) {
	return s.out.Input(cell, prompt, password)
}

func (e *engine) Execute(ctx context.Context, r worker.ExecuteRequest) worker.ExecuteResult {
	o := e.session.Run(ctx, interp.Cell{
		ID: r.CellID, Count: r.Count, Code: r.Code, Silent: r.Silent, Beside: r.Beside, UserExpressions: r.UserExpressions,
	})
	result := worker.ExecuteResult{UserExpressions: o.UserExpressions, Payload: o.Payload}
	if o.Err != nil {
		result.Err = &worker.CellError{Name: o.Err.Name, Value: o.Err.Value, Traceback: o.Err.Traceback}
		return result
	}
	if o.Value != nil && !r.Silent {
		e.out.Result(r.CellID, o.Value.Data, o.Value.Metadata)
	}
	return result
}

func (e *engine) Complete(r worker.CompleteRequest) worker.CompleteReply {
	c := e.session.Complete(r.Code, r.Cursor)
	reply := worker.CompleteReply{Start: c.Start, End: c.End}
	for _, i := range c.Items {
		reply.Items = append(reply.Items, worker.CompletionItem{Text: i.Text, Type: i.Type, Signature: i.Signature})
	}
	return reply
}

func (e *engine) Inspect(r worker.InspectRequest) worker.InspectReply {
	b, found := e.session.Inspect(r.Code, r.Cursor, r.Level)
	return worker.InspectReply{Found: found, Data: b.Data, Metadata: b.Metadata}
}

func (e *engine) IsComplete(code string) worker.IsCompleteReply {
	status, indent := e.session.IsComplete(code)
	return worker.IsCompleteReply{Status: status, Indent: indent}
}

func (e *engine) Variables() []worker.Variable {
	var list []worker.Variable
	for _, v := range e.session.Variables() {
		list = append(list, worker.Variable{Name: v.Name, Type: v.Type, Summary: v.Summary, Bytes: v.Bytes, Cell: v.Cell})
	}
	return list
}

func (e *engine) Settings() []string { return []string{limitVariable + "=" + e.session.Limits()} }

func (e *engine) Comm(m worker.CommMessage) error { return e.comms.receive(m) }

func (e *engine) Close() { display.SetOutlet(nil) }

// outlet sends displays to the cell whose goroutine shows them.
type outlet struct {
	out   worker.Output
	comms *comms
}

func (o outlet) Display(b display.Bundle, id string) {
	o.out.Display(interp.CurrentCell(), worker.Display{ID: id, Data: b.Data, Metadata: b.Metadata})
}

func (o outlet) Update(b display.Bundle, id string) {
	o.out.Update(interp.CurrentCell(), worker.Display{ID: id, Data: b.Data, Metadata: b.Metadata})
}

func (o outlet) Clear(wait bool) { o.out.Clear(interp.CurrentCell(), wait) }

func (o outlet) OpenComm(id, target string, data, metadata map[string]any, buffers [][]byte) {
	o.out.Comm(interp.CurrentCell(), worker.CommMessage{
		Type: "open", ID: id, Target: target, Data: data, Metadata: maps.Clone(metadata), Buffers: buffers,
	})
}

func (o outlet) SendComm(id string, data, metadata map[string]any, buffers [][]byte) {
	o.out.Comm(interp.CurrentCell(), worker.CommMessage{
		Type: "msg", ID: id, Data: data, Metadata: maps.Clone(metadata), Buffers: buffers,
	})
}

func (o outlet) CloseComm(id string, data map[string]any) {
	o.comms.listen(id, nil)
	o.out.Comm(interp.CurrentCell(), worker.CommMessage{Type: "close", ID: id, Data: data})
}

func (o outlet) OnComm(id string, f func(data map[string]any, buffers [][]byte)) {
	o.comms.listen(id, f)
}

var errNoTarget = errors.New("no comm target of this name: cells open comms themselves")
