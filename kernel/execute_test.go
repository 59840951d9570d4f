package kernel_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"loris/kernel/client"
	"loris/kernel/wire"
)

func TestCellOutputsComeInOrderBeforeReplyAndIdle(t *testing.T) {
	p := launch(t)
	o := run(t, p, "print a\neprint b\nhtml <b>\nprint c\nvalue 42")
	want := []string{"stream", "stream", "display_data", "stream", "execute_result"}
	if !slices.Equal(o.types, want) {
		t.Fatalf("messages %v, want %v", o.types, want)
	}
	if o.stdout != "a\nc\n" || o.stderr != "b\n" || o.status() != "ok" || o.reply["execution_count"] != 1.0 {
		t.Fatalf("stdout %q stderr %q reply %v", o.stdout, o.stderr, o.reply)
	}
	if o.meta["started"] == nil {
		t.Error("reply metadata lacks started")
	}
	if o.msgs[0].Header.MsgType != "status" || o.msgs[1].Header.MsgType != "execute_input" {
		t.Errorf("a cell begins with %s, %s", o.msgs[0].Header.MsgType, o.msgs[1].Header.MsgType)
	}
	if date := o.msgs[0].Header.Date; !strings.Contains(date, ".") {
		t.Errorf("date %q has no fraction of a second", date)
	}
}

func TestManyPrintedLinesArriveCompleteAndInOrder(t *testing.T) {
	p := launch(t)
	const n = 100_000
	o := run(t, p, fmt.Sprintf("lines %d", n))
	lines := strings.Split(strings.TrimSuffix(o.stdout, "\n"), "\n")
	if len(lines) != n {
		t.Fatalf("%d lines, want %d", len(lines), n)
	}
	for i, l := range lines {
		if l != fmt.Sprint(i) {
			t.Fatalf("line %d is %q", i, l)
		}
	}
	if len(o.types) > 200 {
		t.Errorf("%d stream messages for %d lines", len(o.types), n)
	}
}

func TestCharactersAreNotTornBetweenMessages(t *testing.T) {
	p := launch(t)
	o := run(t, p, "bytewise aé漢😀z")
	if o.stdout != "aé漢😀z" {
		t.Fatalf("stdout %q", o.stdout)
	}
}

func TestBigDisplayArrivesWhole(t *testing.T) {
	p := launch(t)
	const n = 50_000_000
	o := run(t, p, fmt.Sprintf("big %d", n))
	for _, m := range o.msgs {
		if m.Header.MsgType == "display_data" {
			if len(m.Content) < n {
				t.Fatalf("%d bytes", len(m.Content))
			}
			return
		}
	}
	t.Fatal("no display")
}

func TestRawFileDescriptorOutputBelongsToTheCell(t *testing.T) {
	p := launch(t)
	for i := range 20 {
		o := run(t, p, fmt.Sprintf("raw out %d\nrawerr err %d", i, i))
		if o.stdout != fmt.Sprintf("out %d\n", i) || o.stderr != fmt.Sprintf("err %d\n", i) {
			t.Fatalf("cell %d: stdout %q stderr %q", i, o.stdout, o.stderr)
		}
	}
}

func TestOutputAfterTheCellBelongsToTheCell(t *testing.T) {
	p := launch(t)
	late := make(chan *wire.Message, 16)
	p.OnOther(func(ch wire.Channel, m *wire.Message) {
		if m.Header.MsgType == "stream" {
			late <- m
		}
	})
	first := run(t, p, "later hello")
	run(t, p, "print second")
	trigger(t, p)
	select {
	case m := <-late:
		if !strings.Contains(string(m.Parent), parentOf(t, first.msgs[0])) {
			t.Fatalf("late output has parent %s", m.Parent)
		}
	case <-timeout(t).Done():
		t.Fatal("late output never came")
	}
}

// trigger lets happen what cells have put off.
func trigger(t *testing.T, p *client.Process) {
	t.Helper()
	if _, err := p.Send(wire.Shell, "comm_open", map[string]any{"comm_id": "trigger", "target_name": "now", "data": map[string]any{}}); err != nil {
		t.Fatal(err)
	}
}

func parentOf(t *testing.T, m *wire.Message) string {
	var parent struct {
		MsgID string `json:"msg_id"`
	}
	parse(t, m.Parent, &parent)
	return parent.MsgID
}

func statusOf(t *testing.T, e *client.Execution) string {
	t.Helper()
	reply, err := e.Reply(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	var content struct{ Status string }
	parse(t, reply.Content, &content)
	return content.Status
}

func TestErrorAbortsQueuedCellsOnly(t *testing.T) {
	p := launch(t)
	gate := make(chan struct{})
	p.OnInput(func(string, bool) (string, bool) { <-gate; return "go", true })
	// replies runs a cell that fails when two others are queued behind it.
	replies := func(first map[string]any) (got []string) {
		first["code"], first["allow_stdin"] = "input wait\nfail boom", true
		var cells []*client.Execution
		for _, content := range []map[string]any{first, {"code": "print next"}, {"code": "print next"}} {
			e, err := p.Start(content, client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			cells = append(cells, e)
		}
		// What is sent behind them on the same channel is received behind them.
		ask(t, p, wire.Shell, "kernel_info_request", map[string]any{})
		gate <- struct{}{}
		for _, e := range cells {
			got = append(got, statusOf(t, e))
		}
		return got
	}
	if got := replies(map[string]any{}); !slices.Equal(got, []string{"error", "aborted", "aborted"}) {
		t.Fatalf("replies %v", got)
	}
	if o := run(t, p, "print yes"); o.status() != "ok" || o.reply["execution_count"] != 2.0 {
		t.Fatalf("the cell after them: %v", o.reply)
	}
	if got := replies(map[string]any{"stop_on_error": false}); !slices.Equal(got, []string{"error", "ok", "ok"}) {
		t.Fatalf("stop_on_error=false: %v", got)
	}
}

func TestSilentCellsShowAndCountNothing(t *testing.T) {
	p := launch(t)
	o := runWith(t, p, map[string]any{"code": "print a\nvalue 1\nset x 5", "silent": true})
	if len(o.types) != 0 || len(o.msgs) != 1 { // busy
		t.Fatalf("a silent cell published %v", o.types)
	}
	o = runWith(t, p, map[string]any{"code": "fail boom", "silent": true})
	if len(o.types) != 0 || o.status() != "error" {
		t.Fatalf("a silent failing cell published %v, replied %v", o.types, o.reply)
	}
	o = runWith(t, p, map[string]any{"code": "get x", "store_history": false})
	if o.reply["execution_count"] != 1.0 || !slices.Contains(o.types, "execute_result") {
		t.Fatalf("store_history=false: %v %v", o.types, o.reply)
	}
	if o = run(t, p, " \n"); o.status() != "ok" || o.reply["execution_count"] != 1.0 {
		t.Fatalf("an empty cell: %v", o.reply)
	}
	if o = run(t, p, "get x"); o.reply["execution_count"] != 1.0 {
		t.Fatalf("count %v, want 1", o.reply["execution_count"])
	}
}

func TestUserExpressionsAndPayloads(t *testing.T) {
	p := launch(t)
	o := runWith(t, p, map[string]any{"code": "set x 5\npage text\nnext code", "user_expressions": map[string]any{"good": "x", "bad": "nope"}})
	exps := o.reply["user_expressions"].(map[string]any)
	if exps["good"].(map[string]any)["status"] != "ok" || exps["bad"].(map[string]any)["status"] != "error" {
		t.Fatalf("user_expressions %v", exps)
	}
	payload := o.reply["payload"].([]any)
	if len(payload) != 2 || payload[0].(map[string]any)["source"] != "page" || payload[1].(map[string]any)["source"] != "set_next_input" {
		t.Fatalf("payload %v", payload)
	}
}

func TestUpdateAndClear(t *testing.T) {
	p := launch(t)
	o := run(t, p, "named plot\nclear wait")
	if want := []string{"display_data", "update_display_data", "clear_output"}; !slices.Equal(o.types, want) {
		t.Fatalf("%v, want %v", o.types, want)
	}
	for _, m := range o.msgs {
		var c struct {
			Transient struct {
				DisplayID string `json:"display_id"`
			}
		}
		if strings.Contains(m.Header.MsgType, "display_data") {
			if parse(t, m.Content, &c); c.Transient.DisplayID != "plot" {
				t.Errorf("%s has display_id %q", m.Header.MsgType, c.Transient.DisplayID)
			}
		}
	}
}

func TestPanicInTheEngineIsACellError(t *testing.T) {
	p := launch(t)
	run(t, p, "set x 5")
	if o := run(t, p, "panic boom"); o.status() != "error" || !slices.Equal(o.types, []string{"error"}) || o.reply["evalue"] != "boom" {
		t.Fatalf("%v %v", o.types, o.reply)
	}
	if o := run(t, p, "get x"); o.status() != "ok" {
		t.Fatal("variables were lost")
	}
}
