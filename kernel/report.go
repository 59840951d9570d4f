package kernel

import (
	"fmt"
	"strings"
	"sync"

	"loris/kernel/worker"
)

// cellRef is a cell that ran to its end.
type cellRef struct {
	count    int
	notebook string // the front end's id of the cell, or ""
}

// ranCells lists the cells that ran since the worker started.
type ranCells struct {
	mu   sync.Mutex
	list []cellRef
}

func (c *ranCells) add(ref cellRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, ref)
}

func (c *ranCells) take() []cellRef {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

const (
	ansiBold = "\x1b[1m"
	ansiOff  = "\x1b[0m"
)

// deaths keeps the report of the last death for all cells that died of it.
type deaths struct {
	mu     sync.Mutex
	last   *worker.Death
	report *worker.CellError
}

// report says why the worker died, what is gone with it, and how to get it back.
// The cells counted so far then belong to the past.
func (k *Kernel) report(d *worker.Death) *worker.CellError {
	k.deaths.mu.Lock()
	defer k.deaths.mu.Unlock()
	if k.deaths.last == d {
		return k.deaths.report
	}
	lines := []string{ansiBold + d.Name + ansiOff + ": " + d.Value}
	lines = append(lines, d.Trace...)
	lines = append(lines, "", "The process that runs the cells was lost; a new one has been started.")
	lines = append(lines, lostLine(d.Lost))
	lines = append(lines, againLine(k.ran.take()))
	k.comms.reset()
	k.deaths.last, k.deaths.report = d, &worker.CellError{Name: d.Name, Value: d.Value, Traceback: lines}
	return k.deaths.report
}

func lostLine(lost []worker.Variable) string {
	const shown = 40
	if len(lost) == 0 {
		return "No variables were lost: none had been set."
	}
	var names []string
	for _, v := range lost[:min(len(lost), shown)] {
		name := v.Name
		if v.Type != "" {
			name += " (" + v.Type + ")"
		}
		names = append(names, name)
	}
	line := "Variables that are gone: " + strings.Join(names, ", ")
	if more := len(lost) - shown; more > 0 {
		line += fmt.Sprintf(" and %d more", more)
	}
	return line + "."
}

// againLine lists the cells to run again. A cell that ran several times counts
// once, where it ran last.
func againLine(ran []cellRef) string {
	last := map[string]int{}
	for i, c := range ran {
		if c.notebook != "" {
			last[c.notebook] = i
		}
	}
	var names []string
	for i, c := range ran {
		if c.notebook == "" || last[c.notebook] == i {
			names = append(names, fmt.Sprintf("[%d]", c.count))
		}
	}
	switch len(names) {
	case 0:
		return "No earlier cell has to be run again."
	case 1:
		return "To get back to where you were, run cell " + names[0] + " again."
	}
	return fmt.Sprintf("To get back to where you were, run these %d cells again, in this order: %s.", len(names), strings.Join(names, " "))
}
