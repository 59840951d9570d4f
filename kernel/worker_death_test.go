package kernel_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"loris/kernel/client"
	"loris/kernel/wire"
)

func TestDeadWorkerIsACellErrorThatSaysWhyAndWhatToDo(t *testing.T) {
	for _, c := range []struct{ code, name, value, trace string }{
		{"mapwrites", "FatalError", "fatal error: concurrent map", "goroutine "},
		{"overflow", "StackOverflow", "stack overflow", "recurse"},
		{"gopanic boom", "Panic", "panic: boom", "goroutine "},
		{"exit 3", "WorkerExit", "code 3", ""},
		{"kill9", "WorkerKilled", "signal 9", ""},
		{"scribble", "WorkerKilled", "file descriptor that is not its own", ""},
	} {
		t.Run(strings.Fields(c.code)[0], func(t *testing.T) {
			t.Parallel()
			// What the race detector says of the planted race is not the test's matter.
			p := launch(t, "GORACE=log_path="+filepath.Join(t.TempDir(), "race"))
			run(t, p, "set alpha 1")
			run(t, p, "print between")
			run(t, p, "set beta 2")
			o := run(t, p, "print before\n"+c.code)
			if c.code != "scribble" && o.stdout != "before\n" || o.stderr != "" { // scribble garbles what comes later
				t.Errorf("stdout %q stderr %q", o.stdout, o.stderr)
			}
			if o.status() != "error" || o.reply["ename"] != c.name || !strings.Contains(o.reply["evalue"].(string), c.value) {
				t.Errorf("ename %v evalue %v", o.reply["ename"], o.reply["evalue"])
			}
			if n := len(slices.DeleteFunc(o.types, func(s string) bool { return s != "error" })); n != 1 {
				t.Errorf("%d error messages", n)
			}
			for _, want := range []string{c.trace, "alpha (string), beta (string)", "these 3 cells again, in this order: [1] [2] [3]"} {
				if !strings.Contains(o.traceback(), want) {
					t.Errorf("report lacks %q:\n%s", want, o.traceback())
				}
			}
			if o := run(t, p, "get alpha"); o.status() != "error" || o.reply["evalue"] != "undefined: alpha" {
				t.Errorf("after the restart: %v", o.reply)
			}
			if o := run(t, p, "set alpha 1\nget alpha"); o.status() != "ok" {
				t.Errorf("the new worker does not work: %v", o.reply)
			}
		})
	}
}

func TestSettingsOutliveTheWorker(t *testing.T) {
	p := launch(t)
	run(t, p, "set setting 7")
	run(t, p, "set alpha 1")
	for range 2 {
		run(t, p, "exit 3")
		if o := run(t, p, "get setting"); o.status() != "ok" {
			t.Errorf("after the restart: %v", o.reply)
		}
	}
	if o := run(t, p, "get alpha"); o.status() != "error" {
		t.Error("a variable that is no setting outlives the worker, too")
	}
}

func TestDeathBetweenCellsIsTold(t *testing.T) {
	p := launch(t)
	told := make(chan string, 1)
	p.OnOther(func(_ wire.Channel, m *wire.Message) {
		if m.Header.MsgType == "stream" && strings.Contains(string(m.Content), "Panic") {
			told <- string(m.Content)
		}
	})
	run(t, p, "set alpha 1")
	run(t, p, "latepanic boom")
	trigger(t, p)
	select {
	case text := <-told:
		if !strings.Contains(text, "boom") || !strings.Contains(text, "alpha") {
			t.Errorf("report %s", text)
		}
	case <-timeout(t).Done():
		t.Fatal("nothing was told")
	}
	if o := run(t, p, "print on"); o.status() != "ok" {
		t.Errorf("%v", o.reply)
	}
}

func TestCellsRunTwiceAreListedOnce(t *testing.T) {
	p := launch(t)
	execute := func(code, cell string) map[string]any {
		e, err := p.Start(map[string]any{"code": code}, client.Options{Metadata: map[string]any{"cellId": cell}})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := e.Reply(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		var content map[string]any
		parse(t, reply.Content, &content)
		return content
	}
	execute("print 1", "a")
	execute("print 2", "b")
	execute("print 1", "a")
	content := execute("exit 1", "c")
	lines := content["traceback"].([]any)
	if last := lines[len(lines)-1].(string); !strings.Contains(last, "2 cells again, in this order: [2] [3]") {
		t.Errorf("%q", last)
	}
}

func TestEngineThatCannotStartIsTold(t *testing.T) {
	p := launch(t, "SCRIPTED_FAIL=no symbols here")
	for range 2 {
		if o := run(t, p, "print x"); o.status() != "error" || !strings.Contains(o.reply["evalue"].(string), "no symbols here") {
			t.Errorf("%v", o.reply)
		}
	}
	if info := ask(t, p, wire.Shell, "kernel_info_request", map[string]any{}); info["status"] != "ok" {
		t.Errorf("%v", info)
	}
}

// interrupted is the reply of a cell that is interrupted while it runs.
func interrupted(t *testing.T, p *client.Process, code string) outcome {
	t.Helper()
	e := begin(t, p.Client, code)
	ask(t, p, wire.Control, "interrupt_request", map[string]any{})
	reply, err := e.Reply(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	var o outcome
	parse(t, reply.Content, &o.reply)
	return o
}

func TestInterruptStopsTheCellAndKeepsVariables(t *testing.T) {
	p := launch(t)
	p.OnInput(func(string, bool) (string, bool) { select {} }) // the user thinks
	run(t, p, "set alpha 1")
	for _, code := range []string{"loop", "sleep 60000", "flood", "input name"} {
		if o := interrupted(t, p, code); o.status() != "error" || o.reply["ename"] != "Interrupted" {
			t.Errorf("%s: %v", code, o.reply)
		}
		if o := run(t, p, "get alpha"); o.status() != "ok" {
			t.Fatalf("%s: variables are gone: %v", code, o.reply)
		}
	}
}

func TestInterruptOfNothingDoesNotTouchTheNextCell(t *testing.T) {
	p := launch(t)
	run(t, p, "print warm")
	for range 20 {
		if c := ask(t, p, wire.Control, "interrupt_request", map[string]any{}); c["status"] != "ok" {
			t.Fatal(c)
		}
		if o := run(t, p, "sleep 1"); o.status() != "ok" {
			t.Fatalf("%v", o.reply)
		}
	}
}

func TestDeafCellIsKilledAfterPatience(t *testing.T) {
	p := launch(t)
	run(t, p, "set alpha 1")
	o := interrupted(t, p, "hang")
	if o.status() != "error" || !strings.Contains(o.reply["evalue"].(string), "did not stop within 1s of the interrupt") {
		t.Fatalf("%v", o.reply)
	}
	if !strings.Contains(o.traceback(), "alpha") {
		t.Errorf("report %s", o.traceback())
	}
	if o := run(t, p, "print on"); o.status() != "ok" {
		t.Errorf("%v", o.reply)
	}
}

func TestTextThatLooksLikeATraceIsShownIfTheWorkerLives(t *testing.T) {
	p := launch(t)
	late := make(chan string, 16)
	p.OnOther(func(_ wire.Channel, m *wire.Message) {
		if m.Header.MsgType == "stream" {
			late <- string(m.Content)
		}
	})
	shown := run(t, p, "rawerr panic: only a text").stderr
	for shown == "" { // it is held back at first
		select {
		case shown = <-late:
		case <-timeout(t).Done():
			t.Fatal("nothing was shown")
		}
	}
	if !strings.Contains(shown, "panic: only a text") {
		t.Errorf("%q", shown)
	}
}
