package kernel

import (
	"maps"
	"slices"
	"sync"

	"github.com/google/uuid"

	"loris/kernel/wire"
)

// subshells are the queues of cells that run beside those of the main shell
// (JEP 91). Cells of one subshell run one after the other. Everything else that
// a client may send with a subshell's id is answered beside running cells anyway.
type subshells struct {
	mu     sync.Mutex
	queues map[string]*requestQueue
	closed bool
}

// find returns nil if there is no such subshell.
func (s *subshells) find(id string) *requestQueue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queues[id]
}

// open returns "" once the kernel ends.
func (s *subshells) open(serve func(*requestQueue)) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ""
	}
	if s.queues == nil {
		s.queues = map[string]*requestQueue{}
	}
	id = uuid.NewString()
	q := newRequestQueue()
	s.queues[id] = q
	serve(q)
	return id
}

// remove lets a subshell end: a cell that runs goes on to its end, those that
// wait are aborted.
func (s *subshells) remove(id string) bool {
	s.mu.Lock()
	q := s.queues[id]
	delete(s.queues, id)
	s.mu.Unlock()
	if q == nil {
		return false
	}
	q.end()
	return true
}

func (s *subshells) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.queues))
}

func (s *subshells) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, q := range s.queues {
		q.close()
	}
}

func (k *Kernel) createSubshell(*request) []byte {
	id := k.subshells.open(func(q *requestQueue) { k.serving.Go(func() { k.serveAll(q) }) })
	if id == "" {
		return errorContent("KernelShutdown", "the kernel is shutting down", nil)
	}
	return encode(map[string]any{"status": "ok", "subshell_id": id})
}

func (k *Kernel) deleteSubshell(r *request) []byte {
	var q struct {
		ID string `json:"subshell_id"`
	}
	if err := wire.JSON.Unmarshal(r.Content, &q); err != nil {
		return errorContent("BadRequest", "delete_subshell_request: "+err.Error(), nil)
	}
	if !k.subshells.remove(q.ID) {
		return errorContent("UnknownSubshell", unknownSubshell(q.ID), nil)
	}
	return []byte(`{"status":"ok"}`)
}

func (k *Kernel) listSubshells(*request) []byte {
	list := []any{}
	for _, id := range k.subshells.list() {
		list = append(list, id)
	}
	return encode(map[string]any{"status": "ok", "subshell_id": list})
}

func unknownSubshell(id string) string {
	return "there is no subshell " + id + ": it was deleted, or the kernel was restarted since; create_subshell_request makes a new one"
}
