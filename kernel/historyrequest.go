package kernel

import (
	"loris/kernel/history"
	"loris/kernel/wire"
)

type historyContent struct {
	Output     bool   `json:"output"`
	AccessType string `json:"hist_access_type"`
	Session    int64  `json:"session"`
	Start      int    `json:"start"`
	Stop       *int   `json:"stop"`
	N          int    `json:"n"`
	Pattern    string `json:"pattern"`
	Unique     bool   `json:"unique"`
}

func (k *Kernel) historyRequest(r *request) []byte {
	var q historyContent
	if err := wire.JSON.Unmarshal(r.Content, &q); err != nil {
		return errorContent("BadRequest", err.Error(), nil)
	}
	var list []history.Entry
	var err error
	switch q.AccessType {
	case "range":
		stop := -1
		if q.Stop != nil {
			stop = *q.Stop
		}
		list, err = k.history.Range(q.Session, q.Start, stop)
	case "tail":
		list, err = k.history.Tail(q.N)
	case "search":
		if q.Pattern == "" {
			q.Pattern = "*"
		}
		list, err = k.history.Search(q.Pattern, q.N, q.Unique)
	default:
		return errorContent("BadRequest", "hist_access_type must be range, tail or search, not "+q.AccessType, nil)
	}
	if err != nil { // an empty history rather than a front end that stops
		k.log.Warn("no history", "err", err)
	}
	rows := make([]any, 0, len(list))
	for _, e := range list {
		if !q.Output {
			rows = append(rows, []any{e.Session, e.Line, e.Input})
			continue
		}
		var output any
		if e.Output != "" {
			output = e.Output
		}
		rows = append(rows, []any{e.Session, e.Line, []any{e.Input, output}})
	}
	return encode(map[string]any{"status": "ok", "history": rows})
}
