package interp

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// byCell keeps what each cell prints.
type byCell struct {
	mu  sync.Mutex
	out map[string]string
}

func (b *byCell) Stream(cell, name, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out[cell] += text
}

func (b *byCell) ReadInput(string, string, bool) (string, error) { return "", nil }

func (b *byCell) run(t *testing.T, s *Session, id, code string) string {
	t.Helper()
	if o := s.Run(context.Background(), Cell{ID: id, Code: code}); o.Err != nil {
		t.Error(code, o.Err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out[id]
}

func TestWriterKeptByACellWritesToTheCellThatUsesIt(t *testing.T) {
	b := &byCell{out: map[string]string{}}
	s, err := New(Options{Sink: b})
	if err != nil {
		t.Fatal(err)
	}
	b.run(t, s, "make", "lg := log.New(os.Stdout, \"\", 0)\nparked := make(chan int)\ngo func() { <-parked }()")
	got := b.run(t, s, "use", `fmt.Print("a "); lg.Print("b"); fmt.Println("c"); log.SetFlags(0); log.Print("d"); slog.Info("e")`)
	if want := "a b\nc\nd\nINFO e\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if b.out["make"] != "" {
		t.Errorf("the cell that made the logger printed %q", b.out["make"])
	}
	b.run(t, s, "end", "close(parked)")
}

func TestBackgroundWritesBelongToTheirCell(t *testing.T) {
	b := &byCell{out: map[string]string{}}
	s, err := New(Options{Sink: b})
	if err != nil {
		t.Fatal(err)
	}
	b.run(t, s, "bg", "turn, done := make(chan int), make(chan int)\n"+
		`go func() { for i := range turn { fmt.Fprintln(os.Stdout, "file", i); fmt.Println("print", i); log.Print("log ", i); done <- i } }()`)
	b.run(t, s, "fg", `log.SetFlags(0); fmt.Fprint(os.Stdout, "x"); turn <- 1; <-done; fmt.Print("y")`)
	if got, want := b.out["fg"], "xy"; got != want {
		t.Errorf("the foreground printed %q, want %q", got, want)
	}
	if got, want := b.out["bg"], "file 1\nprint 1\nlog 1\n"; got != want {
		t.Errorf("the background printed %q, want %q", got, want)
	}
	b.run(t, s, "end", "close(turn)")
}

// Cells that mention os.Stdout share one pipe, so that a long session does not
// run out of file descriptors.
func TestManyCellsUseOsStdout(t *testing.T) {
	b := &byCell{out: map[string]string{}}
	s, err := New(Options{Sink: b})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1200 {
		id := fmt.Sprint(i)
		if got := b.run(t, s, id, "fmt.Fprint(os.Stdout, 1); fmt.Print(2); fmt.Fprint(os.Stderr, 3)"); got != "123" {
			t.Fatalf("cell %d printed %q", i, got)
		}
	}
}

func TestRedirectedStdoutTakesPrints(t *testing.T) {
	s, r := newSession(t)
	out, o := cell(t, s, r, "old := os.Stdout\nrd, wr, _ := os.Pipe()\nos.Stdout = wr\nfmt.Print(\"caught\")\nos.Stdout = old\nwr.Close()\ntext, _ := io.ReadAll(rd)\nfmt.Println(string(text))")
	if o.Err != nil || strings.TrimSpace(out) != "caught" {
		t.Errorf("printed %q, %v", out, o.Err)
	}
}

func TestLoggersNameTheLineOfTheCell(t *testing.T) {
	s, r := newSession(t)
	out, o := cell(t, s, r, `l := log.New(os.Stdout, "[p] ", log.Lshortfile)
m := log.New(os.Stdout, "[m] ", log.Lshortfile|log.Lmsgprefix)
func logs() {
	l.Printf("n=%d", 5)
}
logs()
m.Println("x")
log.SetFlags(log.Lshortfile)
log.Print("std")
log.SetFlags(0)
_, file, line, ok := runtime.Caller(0)
fmt.Println(file, line, ok)`)
	want := "[p] cell 1:4: n=5\ncell 1:7: [m] x\ncell 1:9: std\ncell 1 11 true\n"
	if o.Err != nil || out != want {
		t.Errorf("%v, printed %q, want %q", o.Err, out, want)
	}
	if out, _ := cell(t, s, r, "func inner() string { return string(debug.Stack()) }\ninner()"); strings.Contains(out, "loris") {
		t.Error(out)
	}
	_, o = cell(t, s, r, `l.Fatal("bye")`)
	if o.Err == nil || o.Err.Name != "Exit" {
		t.Errorf("Fatal of a logger: %v", o.Err)
	}
}
