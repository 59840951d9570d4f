package kernel

import (
	"context"
	"sync"
	"time"

	"loris/kernel/wire"
	"loris/kernel/worker"
)

// comms knows the open comms and their targets, for comm_info_request.
type comms struct {
	mu   sync.Mutex
	open map[string]string // id → target
}

type commContent struct {
	ID     string         `json:"comm_id"`
	Target string         `json:"target_name"`
	Data   map[string]any `json:"data"`
}

// note keeps the books on a comm message of either side.
func (c *comms) note(msgType string, content []byte) {
	var m struct {
		ID     string `json:"comm_id"`
		Target string `json:"target_name"`
	}
	if wire.JSON.Unmarshal(content, &m) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[string]string{}
	}
	if msgType == "comm_open" {
		c.open[m.ID] = m.Target
	} else {
		delete(c.open, m.ID)
	}
}

// reset forgets all comms: they died with their worker.
func (c *comms) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = nil
}

func (k *Kernel) commInfo(r *request) []byte {
	var q commContent
	_ = wire.JSON.Unmarshal(r.Content, &q) // without target_name: all
	k.comms.mu.Lock()
	defer k.comms.mu.Unlock()
	list := map[string]any{}
	for id, target := range k.comms.open {
		if q.Target == "" || q.Target == target {
			list[id] = map[string]any{"target_name": target}
		}
	}
	return encode(map[string]any{"status": "ok", "comms": list})
}

func (k *Kernel) commOpen(r *request) []byte  { return k.comm(r, "open") }
func (k *Kernel) commMsg(r *request) []byte   { return k.comm(r, "msg") }
func (k *Kernel) commClose(r *request) []byte { return k.comm(r, "close") }

// commTimeout is how long a comm message stays busy. Its handler may go on.
const commTimeout = 30 * time.Second

// comm hands a message to the worker. What its handler emits has the message as
// parent. A comm that nobody takes is closed by the worker.
func (k *Kernel) comm(r *request, what string) []byte {
	var q commContent
	if err := wire.JSON.Unmarshal(r.Content, &q); err != nil || q.ID == "" {
		k.log.Warn("comm message dropped", "type", r.Header.MsgType, "err", err)
		return nil
	}
	if what != "msg" {
		k.comms.note("comm_"+what, r.Content)
	}
	var metadata map[string]any
	_ = wire.JSON.Unmarshal(r.Metadata, &metadata) // an object: Decode has checked it
	k.parents.add(r.Header.MsgID, &parent{header: r.RawHeader, identities: r.Identities}, false)
	ctx, cancel := context.WithTimeout(context.Background(), commTimeout)
	defer cancel()
	err := k.worker.Comm(ctx, worker.CommMessage{Type: what, ID: q.ID, Target: q.Target, Data: q.Data, Metadata: metadata, Buffers: r.Buffers, CellID: r.Header.MsgID})
	if err != nil {
		k.log.Warn("comm message not handled", "err", err)
		if what == "open" {
			k.comms.note("comm_close", r.Content)
			k.publish("comm_close", r.RawHeader, nil, encode(map[string]any{"comm_id": q.ID, "data": map[string]any{}}), nil)
		}
	}
	return nil
}
