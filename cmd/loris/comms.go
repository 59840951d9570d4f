package main

import (
	"fmt"
	"sync"

	"loris/interp/run"
	"loris/kernel/worker"
)

// comms hands messages of the front end to whoever listens on a channel.
type comms struct {
	out       worker.Output
	mu        sync.Mutex
	listeners map[string]func(data map[string]any, buffers [][]byte)
}

func newComms(out worker.Output) *comms {
	return &comms{out: out, listeners: map[string]func(map[string]any, [][]byte){}}
}

// listen sets the receiver of a channel; nil removes it.
func (c *comms) listen(id string, f func(data map[string]any, buffers [][]byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f == nil {
		delete(c.listeners, id)
		return
	}
	c.listeners[id] = f
}

// receive handles a message of the front end. Targets are opened from cells
// only, so an "open" is refused.
func (c *comms) receive(m worker.CommMessage) error {
	if m.Type == "open" {
		return errNoTarget
	}
	c.mu.Lock()
	f := c.listeners[m.ID]
	if m.Type == "close" {
		delete(c.listeners, m.ID)
	}
	c.mu.Unlock()
	if f != nil && m.Type == "msg" {
		// A panic of a cell's function ends a goroutine that no cell started.
		if p := run.Attached(func() { f(m.Data, m.Buffers) }); p != nil {
			return fmt.Errorf("the receiver of comm %s panicked: %v", m.ID, p.Value)
		}
	}
	return nil
}
