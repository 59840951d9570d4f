package kernel_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"loris/kernel/client"
	"loris/kernel/wire"
)

// during runs f while a cell is busy, then interrupts the cell.
func during(t *testing.T, p *client.Process, f func()) {
	t.Helper()
	e := begin(t, p.Client, "loop")
	f()
	ask(t, p, wire.Control, "interrupt_request", map[string]any{})
	if got := statusOf(t, e); got != "error" {
		t.Errorf("the busy cell ended with %s", got)
	}
}

func TestRequestsAreAnsweredWhileACellRuns(t *testing.T) {
	p := launch(t)
	during(t, p, func() {
		for _, c := range []struct {
			ch      wire.Channel
			msgType string
			content map[string]any
			key     string
		}{
			{wire.Shell, "complete_request", map[string]any{"code": "pri", "cursor_pos": 3}, "matches"},
			{wire.Shell, "inspect_request", map[string]any{"code": "print", "cursor_pos": 5, "detail_level": 0}, "found"},
			{wire.Shell, "is_complete_request", map[string]any{"code": "print"}, "status"},
			{wire.Shell, "kernel_info_request", map[string]any{}, "language_info"},
			{wire.Shell, "comm_info_request", map[string]any{}, "comms"},
			{wire.Shell, "history_request", map[string]any{"hist_access_type": "tail", "n": 1}, "history"},
			{wire.Shell, "connect_request", map[string]any{}, "shell_port"},
			{wire.Control, "kernel_info_request", map[string]any{}, "supported_features"},
			{wire.Control, "complete_request", map[string]any{"code": "pri", "cursor_pos": 3}, "matches"},
			{wire.Control, "usage_request", map[string]any{}, "kernel_memory"},
			{wire.Control, "debug_request", map[string]any{"type": "request", "seq": 7, "command": "debugInfo"}, "body"},
		} {
			if content := ask(t, p, c.ch, c.msgType, c.content); content[c.key] == nil {
				t.Errorf("%s on %s: %v lacks %s", c.msgType, c.ch, content, c.key)
			}
		}
	})
}

func TestCompletionCountsCodePoints(t *testing.T) {
	p := launch(t)
	for _, c := range []struct {
		name       string
		code       string
		cursor     any
		start, end float64
	}{
		{"ascii", "pri", 3, 0, 3},
		{"beyond the basic plane", "😀 pri", 5, 2, 5},
		{"combining mark", "e\u0301 pri", 6, 3, 6},
		{"UTF-16 from old front ends", "😀 pri", 6, 2, 5},
		{"no position", "é pri", nil, 2, 5},
		{"far beyond", "pri", 999, 0, 3},
		{"negative", "pri", -5, 0, 0},
	} {
		content := map[string]any{"code": c.code}
		if c.cursor != nil {
			content["cursor_pos"] = c.cursor
		}
		reply := ask(t, p, wire.Shell, "complete_request", content)
		if reply["cursor_start"] != c.start || reply["cursor_end"] != c.end {
			t.Errorf("%s: %v to %v, want %v to %v", c.name, reply["cursor_start"], reply["cursor_end"], c.start, c.end)
		}
		if c.end > 0 && !slices.Equal(reply["matches"].([]any), []any{"print"}) {
			t.Errorf("%s: matches %v", c.name, reply["matches"])
		}
	}
}

func TestDebugRequestsArePolitelyRefused(t *testing.T) {
	p := launch(t)
	run(t, p, "set alpha 1")
	attach := ask(t, p, wire.Control, "debug_request", map[string]any{"type": "request", "seq": 1, "command": "attach"})
	if attach["success"] != false || attach["message"] == nil || attach["request_seq"] != 1.0 {
		t.Errorf("attach: %v", attach)
	}
	deadline := timeout(t) // the worker tells its variables after the reply
	for {
		vars := ask(t, p, wire.Control, "debug_request", map[string]any{"type": "request", "seq": 2, "command": "inspectVariables"})
		list := vars["body"].(map[string]any)["variables"].([]any)
		if len(list) == 1 && list[0].(map[string]any)["name"] == "alpha" {
			return
		}
		if deadline.Err() != nil {
			t.Fatalf("inspectVariables: %v", vars)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// parentMessages collects IOPub messages of requests that are not executions.
func watch(p *client.Process) <-chan *wire.Message {
	c := make(chan *wire.Message, 1000)
	p.OnOther(func(ch wire.Channel, m *wire.Message) {
		if ch == wire.IOPub {
			c <- m
		}
	})
	return c
}

// collect returns the types of a request's IOPub messages from busy to idle.
func collect(t *testing.T, messages <-chan *wire.Message, id string) (types []string, all []*wire.Message) {
	t.Helper()
	ctx := timeout(t)
	for {
		select {
		case m := <-messages:
			if client.ParentID(m) != id {
				continue
			}
			all = append(all, m)
			if m.Header.MsgType != "status" {
				types = append(types, m.Header.MsgType)
			} else if strings.Contains(string(m.Content), "idle") {
				return types, all
			}
		case <-ctx.Done():
			t.Fatalf("no idle for %s, only %v", id, types)
		}
	}
}

func TestEveryRequestIsBracketedByBusyAndIdle(t *testing.T) {
	p := launch(t)
	messages := watch(p)
	for _, c := range []struct {
		ch      wire.Channel
		msgType string
	}{
		{wire.Shell, "kernel_info_request"}, {wire.Shell, "comm_info_request"}, {wire.Shell, "history_request"},
		{wire.Shell, "is_complete_request"}, {wire.Shell, "complete_request"}, {wire.Shell, "inspect_request"},
		{wire.Shell, "nonsense_request"}, {wire.Shell, "comm_msg"}, {wire.Shell, "debug_request"},
		{wire.Control, "kernel_info_request"}, {wire.Control, "interrupt_request"}, {wire.Control, "usage_request"},
		{wire.Control, "debug_request"}, {wire.Control, "create_subshell_request"}, {wire.Control, "execute_request"},
	} {
		id, err := p.Send(c.ch, c.msgType, map[string]any{"code": ""})
		if err != nil {
			t.Fatal(err)
		}
		_, all := collect(t, messages, id)
		if first := all[0]; first.Header.MsgType != "status" || !strings.Contains(string(first.Content), "busy") {
			t.Errorf("%s on %s begins with %s %s", c.msgType, c.ch, first.Header.MsgType, first.Content)
		}
	}
}

func TestComms(t *testing.T) {
	p := launch(t)
	messages := watch(p)
	open := func(target string) (string, []string) {
		id, err := p.Send(wire.Shell, "comm_open", map[string]any{"comm_id": "c-" + target, "target_name": target, "data": map[string]any{}})
		if err != nil {
			t.Fatal(err)
		}
		types, _ := collect(t, messages, id)
		return "c-" + target, types
	}
	if _, types := open("nobody"); !slices.Equal(types, []string{"comm_close"}) {
		t.Errorf("unknown target: %v", types)
	}
	echo, types := open("echo")
	if len(types) != 0 {
		t.Errorf("known target: %v", types)
	}
	o := run(t, p, "comm from-cell")
	if !slices.Equal(o.types, []string{"comm_open"}) {
		t.Fatalf("%v", o.types)
	}
	opened := o.msgs[len(o.msgs)-1]
	if string(opened.Metadata) != `{"version":"2.1.0"}` || len(opened.Buffers) != 1 {
		t.Errorf("comm_open metadata %s, %d buffers", opened.Metadata, len(opened.Buffers))
	}
	list := ask(t, p, wire.Shell, "comm_info_request", map[string]any{})["comms"].(map[string]any)
	if len(list) != 2 || list[echo] == nil || list["from-cell"] == nil {
		t.Errorf("comm_info %v", list)
	}
	list = ask(t, p, wire.Shell, "comm_info_request", map[string]any{"target_name": "echo"})["comms"].(map[string]any)
	if len(list) != 1 {
		t.Errorf("comm_info of a target %v", list)
	}

	during(t, p, func() { // the echo comes while the cell runs, with the message as parent
		id, err := p.Send(wire.Shell, "comm_msg", map[string]any{"comm_id": echo, "data": map[string]any{"x": 1}}, []byte{9, 8, 7})
		if err != nil {
			t.Fatal(err)
		}
		types, all := collect(t, messages, id)
		if !slices.Equal(types, []string{"comm_msg"}) || len(all[1].Buffers) != 1 || all[1].Buffers[0][0] != 9 {
			t.Errorf("echo %v", types)
		}
	})
	id, _ := p.Send(wire.Shell, "comm_close", map[string]any{"comm_id": echo, "data": map[string]any{}})
	collect(t, messages, id)
	if list := ask(t, p, wire.Shell, "comm_info_request", map[string]any{})["comms"].(map[string]any); list[echo] != nil {
		t.Errorf("a closed comm is listed: %v", list)
	}
}

func TestInput(t *testing.T) {
	p := launch(t)
	var mu sync.Mutex
	var prompts []string
	p.OnInput(func(prompt string, password bool) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		if password {
			prompt += " hidden"
		}
		prompts = append(prompts, prompt)
		return "ada", prompt != "end"
	})
	o := run(t, p, "input name?\ninput password")
	mu.Lock()
	asked := slices.Clone(prompts)
	mu.Unlock()
	if o.stdout != "<ada>\n<ada>\n" || !slices.Equal(asked, []string{"name?", "password hidden"}) {
		t.Errorf("stdout %q prompts %q", o.stdout, asked)
	}
	if o := run(t, p, "input end"); o.status() != "error" || o.reply["evalue"] != "EOF" {
		t.Errorf("end of input: %v", o.reply)
	}
	if o := runWith(t, p, map[string]any{"code": "input x", "allow_stdin": false}); !strings.Contains(o.reply["evalue"].(string), "allow_stdin") {
		t.Errorf("without stdin: %v", o.reply)
	}
}

func TestHistory(t *testing.T) {
	p := launch(t)
	for _, code := range []string{"value 1", "value 22", "value 1", "print x"} {
		run(t, p, code)
	}
	get := func(content map[string]any) []any {
		t.Helper()
		return ask(t, p, wire.Shell, "history_request", content)["history"].([]any)
	}
	tail := get(map[string]any{"hist_access_type": "tail", "n": 2, "output": true})
	if len(tail) != 2 {
		t.Fatalf("%v", tail)
	}
	first := tail[0].([]any)
	if first[1] != 3.0 || first[2].([]any)[0] != "value 1" || first[2].([]any)[1] != "1" || tail[1].([]any)[2].([]any)[1] != nil {
		t.Errorf("tail %v", tail)
	}
	if got := get(map[string]any{"hist_access_type": "range", "session": first[0], "start": 2, "stop": 3}); len(got) != 1 || got[0].([]any)[0] != first[0] || got[0].([]any)[2] != "value 22" {
		t.Errorf("range %v", got)
	}
	if got := get(map[string]any{"hist_access_type": "search", "pattern": "value*"}); len(got) != 3 {
		t.Errorf("search %v", got)
	}
	if got := get(map[string]any{"hist_access_type": "search", "pattern": "value ?", "unique": true}); len(got) != 1 || got[0].([]any)[1] != 3.0 {
		t.Errorf("unique search %v", got)
	}
	if c := ask(t, p, wire.Shell, "history_request", map[string]any{"hist_access_type": "magic"}); c["status"] != "error" {
		t.Errorf("bad access type: %v", c)
	}
}
