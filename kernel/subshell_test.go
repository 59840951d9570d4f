package kernel_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"loris/kernel/client"
	"loris/kernel/wire"
)

func newSubshell(t *testing.T, p *client.Process) string {
	t.Helper()
	id, _ := ask(t, p, wire.Control, "create_subshell_request", map[string]any{})["subshell_id"].(string)
	if id == "" {
		t.Fatal("no subshell")
	}
	return id
}

// runIn runs a cell in a subshell.
func runIn(t *testing.T, p *client.Process, subshell, code string) outcome {
	t.Helper()
	e, err := p.Start(map[string]any{"code": code, "allow_stdin": true}, client.Options{Subshell: subshell})
	if err != nil {
		t.Fatal(err)
	}
	return finish(t, e)
}

// finish waits for the end of a cell.
func finish(t *testing.T, e *client.Execution) (o outcome) {
	t.Helper()
	for {
		m, err := e.Next(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			break
		}
		o.msgs = append(o.msgs, m)
		if m.Header.MsgType != "status" && m.Header.MsgType != "execute_input" {
			o.types = append(o.types, m.Header.MsgType)
		}
	}
	reply, err := e.Reply(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	parse(t, reply.Content, &o.reply)
	return o
}

func TestSubshellsAreCreatedListedAndDeleted(t *testing.T) {
	p := launch(t)
	if f := ask(t, p, wire.Shell, "kernel_info_request", map[string]any{})["supported_features"].([]any); !slices.Contains(f, any("kernel subshells")) {
		t.Fatalf("features %v", f)
	}
	list := func() []any {
		return ask(t, p, wire.Control, "list_subshell_request", map[string]any{})["subshell_id"].([]any)
	}
	if l := list(); len(l) != 0 {
		t.Fatalf("at the start: %v", l)
	}
	a, b := newSubshell(t, p), newSubshell(t, p)
	if l := list(); a == b || len(l) != 2 || !slices.Contains(l, any(a)) || !slices.Contains(l, any(b)) {
		t.Fatalf("%s and %s are listed as %v", a, b, l)
	}
	if c := ask(t, p, wire.Control, "delete_subshell_request", map[string]any{"subshell_id": a}); c["status"] != "ok" {
		t.Errorf("delete: %v", c)
	}
	if l := list(); !slices.Equal(l, []any{b}) {
		t.Errorf("after the deletion of %s: %v", a, l)
	}
	if c := ask(t, p, wire.Control, "delete_subshell_request", map[string]any{"subshell_id": a}); c["status"] != "error" || c["ename"] != "UnknownSubshell" {
		t.Errorf("delete twice: %v", c)
	}
	for _, id := range []string{a, "nonsense"} {
		if o := runIn(t, p, id, "print x"); o.status() != "error" || o.reply["ename"] != "UnknownSubshell" || !slices.Equal(o.types, []string{"error"}) {
			t.Errorf("a cell for subshell %s: %v %v", id, o.types, o.reply)
		}
	}
	if o := runIn(t, p, b, "print x"); o.status() != "ok" {
		t.Errorf("%v", o.reply)
	}
}

func TestSubshellsRunCellsBesideTheMainShell(t *testing.T) {
	p := launch(t)
	a, b := newSubshell(t, p), newSubshell(t, p)
	run(t, p, "set shared 1")
	main := begin(t, p.Client, "loop")
	inA := beginIn(t, p.Client, a, "loop")
	o := runIn(t, p, b, "get shared\nprint from b\nvalue 7")
	if o.status() != "ok" || !slices.Equal(o.types, []string{"execute_result", "stream", "execute_result"}) {
		t.Fatalf("%v %v", o.types, o.reply)
	}
	for _, m := range o.msgs {
		if !strings.Contains(string(m.Parent), b) {
			t.Errorf("%s has the parent %s", m.Header.MsgType, m.Parent)
		}
		if m.Header.MsgType == "execute_result" && !strings.Contains(string(m.Content), `"execution_count":4,`) {
			t.Errorf("the count of all shells is one: %s", m.Content)
		}
	}
	ask(t, p, wire.Control, "interrupt_request", map[string]any{}) // of the whole kernel
	for _, e := range []*client.Execution{main, inA} {
		if o := finish(t, e); o.reply["ename"] != "Interrupted" {
			t.Errorf("%v", o.reply)
		}
	}
	tail := ask(t, p, wire.Shell, "history_request", map[string]any{"hist_access_type": "tail", "n": 4})["history"].([]any)
	for i, row := range tail {
		if row.([]any)[1] != float64(i+1) {
			t.Errorf("line %d of the history is %v", i+1, row)
		}
	}
}

func TestErrorInASubshellAbortsItsOwnCellsOnly(t *testing.T) {
	p := launch(t)
	gate := make(chan struct{})
	p.OnInput(func(string, bool) (string, bool) { <-gate; return "go", true })
	a := newSubshell(t, p)
	start := func(subshell, code string) *client.Execution {
		e, err := p.Start(map[string]any{"code": code, "allow_stdin": true}, client.Options{Subshell: subshell})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	main := begin(t, p.Client, "loop")
	cells := []*client.Execution{start(a, "input x\nfail boom"), start(a, "print x")}
	behind := start("", "print main")
	ask(t, p, wire.Shell, "kernel_info_request", map[string]any{}) // received behind them
	gate <- struct{}{}
	if got := []string{statusOf(t, cells[0]), statusOf(t, cells[1])}; !slices.Equal(got, []string{"error", "aborted"}) {
		t.Errorf("in the subshell: %v", got)
	}
	// An interrupt is an error of the main shell's cell.
	ask(t, p, wire.Control, "interrupt_request", map[string]any{})
	if got := []string{statusOf(t, main), statusOf(t, behind)}; !slices.Equal(got, []string{"error", "aborted"}) {
		t.Errorf("in the main shell: %v", got)
	}
	if o := runIn(t, p, a, "print on"); o.status() != "ok" {
		t.Errorf("%v", o.reply)
	}
}

func TestDeletedSubshellEndsItsCellAndAbortsTheRest(t *testing.T) {
	p := launch(t)
	a := newSubshell(t, p)
	running := beginIn(t, p.Client, a, "loop")
	waiting, err := p.Start(map[string]any{"code": "print x"}, client.Options{Subshell: a})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, p, wire.Shell, "kernel_info_request", map[string]any{})
	ask(t, p, wire.Control, "delete_subshell_request", map[string]any{"subshell_id": a})
	ask(t, p, wire.Control, "interrupt_request", map[string]any{})
	if got := []string{statusOf(t, running), statusOf(t, waiting)}; !slices.Equal(got, []string{"error", "aborted"}) {
		t.Errorf("%v", got)
	}
}

func TestDeathIsToldToEveryCellThatRan(t *testing.T) {
	p := launch(t, "GORACE=log_path="+t.TempDir()+"/race")
	a := newSubshell(t, p)
	run(t, p, "set alpha 1")
	main := begin(t, p.Client, "loop")
	o := runIn(t, p, a, "exit 3")
	for _, o := range []outcome{o, finish(t, main)} {
		if o.reply["ename"] != "WorkerExit" || !strings.Contains(o.traceback(), "alpha") || !strings.Contains(o.traceback(), "run cell [1] again") {
			t.Errorf("%v", o.reply)
		}
	}
	if o := runIn(t, p, a, "print on"); o.status() != "ok" {
		t.Errorf("the subshell has not survived: %v", o.reply)
	}
}

func TestManySubshellsAtOnce(t *testing.T) {
	p := launch(t)
	main := begin(t, p.Client, "loop")
	done := make(chan error, 8)
	for i := range cap(done) {
		id := newSubshell(t, p)
		go func() {
			for j := range 50 {
				want := fmt.Sprintf("%d-%d", i, j)
				e, err := p.Start(map[string]any{"code": "print " + want + "\nvalue " + want}, client.Options{Subshell: id})
				if err != nil {
					done <- err
					return
				}
				var shown []string
				for {
					m, err := e.Next(timeout(t))
					if err != nil {
						done <- err
						return
					}
					if m == nil {
						break
					}
					if m.Header.MsgType == "stream" || m.Header.MsgType == "execute_result" {
						shown = append(shown, string(m.Content))
					}
				}
				if len(shown) != 2 || !strings.Contains(shown[0], want+`\n`) || !strings.Contains(shown[1], `"`+want+`"`) {
					done <- fmt.Errorf("cell %s shows %q", want, shown)
					return
				}
			}
			done <- nil
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	ask(t, p, wire.Control, "interrupt_request", map[string]any{})
	statusOf(t, main)
}
