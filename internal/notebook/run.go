package notebook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// RunOptions say how a notebook is run. The zero value runs every code cell,
// without a time limit, up to the first error.
type RunOptions struct {
	// Timeout of each cell; 0 means none. A cell that exceeds it is
	// interrupted and fails.
	Timeout time.Duration
	// AllowErrors goes on after a cell that fails.
	AllowErrors bool
	// OnCell is called before each code cell with its index and after it with
	// its error, if any.
	OnCell func(index int, cell *Cell, done bool, err error)
}

// interruptGrace is how long a cell has to end after an interrupt.
const interruptGrace = 10 * time.Second

// CellError is the failure of one cell.
type CellError struct {
	Index         int // of the cell in the notebook, from 0
	CellID        string
	EName, EValue string
	Traceback     []string // with ANSI colours
}

func (e *CellError) Error() string {
	s := fmt.Sprintf("cell %d (id %s): %s", e.Index+1, e.CellID, e.EName)
	if e.EValue != "" {
		s += ": " + e.EValue
	}
	return s
}

// Run executes the code cells of nb in order and puts the outputs into it; what
// it held before is cleared. The error is a *CellError when a cell failed that
// must not, and then the outputs up to there are in nb.
func Run(ctx context.Context, nb *Notebook, k Kernel, o RunOptions) error {
	nb.ClearOutputs()
	if info := k.LanguageInfo(); info != nil {
		if nb.Metadata == nil {
			nb.Metadata = map[string]any{}
		}
		nb.Metadata["language_info"] = info
	}
	r := &run{nb: nb, kernel: k, options: o, collector: newCollector()}
	k.OnMessage(func(m Message) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.collector.take(m)
	})
	// The outputs are the caller's after the return.
	defer k.OnMessage(nil)
	defer func() {
		r.mu.Lock()
		for _, out := range r.collector.cells {
			out.settle()
		}
		r.collector = newCollector()
		r.mu.Unlock()
	}()
	for i, cell := range nb.Cells {
		if cell.Type != Code || strings.TrimSpace(cell.Source) == "" || cell.HasTag(TagSkip) {
			continue
		}
		if o.OnCell != nil {
			o.OnCell(i, cell, false, nil)
		}
		err := r.cell(ctx, i, cell)
		if o.OnCell != nil {
			o.OnCell(i, cell, true, err)
		}
		if err == nil {
			continue
		}
		var ce *CellError
		if !errors.As(err, &ce) || !o.AllowErrors {
			return err
		}
	}
	return nil
}

// Check runs a copy of a notebook and compares its outputs with those stored.
// The error is that of the run; without one the comparison says whether both
// agree.
func Check(ctx context.Context, stored *Notebook, k Kernel, o RunOptions) (fresh *Notebook, c *Comparison, err error) {
	fresh = stored.Clone()
	if err := Run(ctx, fresh, k, o); err != nil {
		return fresh, nil, err
	}
	return fresh, Compare(stored, fresh), nil
}

type run struct {
	nb        *Notebook
	kernel    Kernel
	options   RunOptions
	mu        sync.Mutex // the kernel's messages come from another goroutine
	collector *collector
}

func (r *run) cell(ctx context.Context, index int, cell *Cell) error {
	id := uuid.NewString()
	r.mu.Lock()
	r.collector.start(id, cell)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.collector.cells[id].settle()
		r.mu.Unlock()
	}()
	reply, err := r.execute(ctx, id, cell)
	if err != nil {
		return r.fail(index, cell, "", err)
	}
	r.mu.Lock()
	cell.ExecutionCount = reply.ExecutionCount
	r.mu.Unlock()
	switch reply.Status {
	case "ok":
		return nil
	case "aborted":
		return &CellError{Index: index, CellID: cell.ID, EName: "Aborted", EValue: "the kernel did not run the cell, because one before it failed"}
	}
	if cell.HasTag(TagRaises) {
		return nil
	}
	return &CellError{Index: index, CellID: cell.ID, EName: reply.EName, EValue: reply.EValue, Traceback: reply.Traceback}
}

// fail records in the notebook why a cell has no proper end.
func (r *run) fail(index int, cell *Cell, name string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(err, errTimeout) {
		return fmt.Errorf("cell %d (id %s): %w", index+1, cell.ID, err)
	}
	e := &CellError{Index: index, CellID: cell.ID, EName: "Timeout", EValue: err.Error()}
	if !slices.ContainsFunc(cell.Outputs, func(o *Output) bool { return o.Type == Error }) {
		cell.Outputs = append(cell.Outputs, &Output{Type: Error, EName: e.EName, EValue: e.EValue, Traceback: []string{e.EName + ": " + e.EValue}})
	}
	return e
}

var errTimeout = errors.New("the cell ran too long")

// execute runs a cell and interrupts it when its time is over or ctx ends.
func (r *run) execute(ctx context.Context, id string, cell *Cell) (ExecuteReply, error) {
	// Waiting must outlive ctx: a cell that is interrupted still answers.
	waiting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	type result struct {
		reply ExecuteReply
		err   error
	}
	done := make(chan result, 1)
	go func() {
		reply, err := r.kernel.Execute(waiting, id, ExecuteRequest{Code: cell.Source, CellID: cell.ID})
		done <- result{reply, err}
	}()
	var timeout <-chan time.Time
	if r.options.Timeout > 0 {
		t := time.NewTimer(r.options.Timeout)
		defer t.Stop()
		timeout = t.C
	}
	var why error
	select {
	case d := <-done:
		return d.reply, d.err
	case <-timeout:
		why = fmt.Errorf("%w (limit %s) and was interrupted", errTimeout, r.options.Timeout)
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	grace, cancel := context.WithTimeout(waiting, interruptGrace)
	defer cancel()
	interruptErr := r.kernel.Interrupt(grace)
	select {
	case d := <-done:
		if d.err != nil {
			return d.reply, d.err
		}
		return d.reply, why
	case <-grace.Done():
		if interruptErr != nil {
			return ExecuteReply{}, fmt.Errorf("%w; the kernel did not answer the interrupt either: %v", why, interruptErr)
		}
		return ExecuteReply{}, fmt.Errorf("%w; the cell did not end within %s after the interrupt", why, interruptGrace)
	}
}
