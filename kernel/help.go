package kernel

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"loris/kernel/wire"
	"loris/kernel/worker"
)

// helpTimeout bounds how long a front end waits for completion and the like.
const helpTimeout = 10 * time.Second

type cursorContent struct {
	Code        string `json:"code"`
	CursorPos   *int   `json:"cursor_pos"`
	DetailLevel int    `json:"detail_level"`
}

// readCursor returns code and cursor in code points, the end of the code if the
// request names no position.
func readCursor(r *request) (c cursorContent, cursor int, err error) {
	err = wire.JSON.Unmarshal(r.Content, &c)
	c.Code = strings.ToValidUTF8(c.Code, "\uFFFD")
	if c.CursorPos == nil {
		return c, utf8.RuneCountInString(c.Code), err
	}
	return c, codePoints(c.Code, *c.CursorPos), err
}

// codePoints corrects a cursor. The protocol counts code points, but some front
// ends count UTF-16 units; a position past the end can only be the latter.
func codePoints(code string, cursor int) int {
	n := utf8.RuneCountInString(code)
	if cursor <= n {
		return max(cursor, 0)
	}
	units, points := 0, 0
	for _, r := range code {
		if units >= cursor {
			break
		}
		units++
		if r > 0xFFFF {
			units++
		}
		points++
	}
	return points
}

func (k *Kernel) complete(r *request) []byte {
	q, cursor, err := readCursor(r)
	if err != nil {
		return errorContent("BadRequest", err.Error(), nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), helpTimeout)
	defer cancel()
	a, err := k.worker.Complete(ctx, worker.CompleteRequest{Code: q.Code, Cursor: cursor})
	if err != nil { // an empty answer: completion must never disturb
		k.log.Warn("no completion", "err", err)
		a = worker.CompleteReply{Start: cursor, End: cursor}
	}
	matches := make([]string, 0, len(a.Items))
	types := make([]map[string]any, 0, len(a.Items))
	for _, item := range a.Items {
		matches = append(matches, item.Text)
		types = append(types, map[string]any{"start": a.Start, "end": a.End, "text": item.Text, "type": item.Type, "signature": item.Signature})
	}
	return encode(map[string]any{"status": "ok", "matches": matches, "cursor_start": a.Start, "cursor_end": a.End,
		"metadata": map[string]any{"_jupyter_types_experimental": types}})
}

func (k *Kernel) inspect(r *request) []byte {
	q, cursor, err := readCursor(r)
	if err != nil {
		return errorContent("BadRequest", err.Error(), nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), helpTimeout)
	defer cancel()
	a, err := k.worker.Inspect(ctx, worker.InspectRequest{Code: q.Code, Cursor: cursor, Level: q.DetailLevel})
	if err != nil {
		k.log.Warn("no inspection", "err", err)
		a = worker.Inspection{}
	}
	return encode(map[string]any{"status": "ok", "found": a.Found, "data": orRaw(a.Data, "{}"), "metadata": orRaw(a.Metadata, "{}")})
}

func (k *Kernel) isComplete(r *request) []byte {
	q, _, err := readCursor(r)
	if err != nil {
		return errorContent("BadRequest", err.Error(), nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), helpTimeout)
	defer cancel()
	a, err := k.worker.IsComplete(ctx, q.Code)
	if err != nil || a.Status == "" {
		a = worker.IsCompleteReply{Status: "unknown"}
	}
	content := map[string]any{"status": a.Status}
	if a.Status == "incomplete" {
		content["indent"] = a.Indent
	}
	return encode(content)
}
