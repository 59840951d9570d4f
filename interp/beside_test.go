package interp

import (
	"context"
	"fmt"
	"testing"
)

// beside runs a cell that may run while others do.
func beside(t *testing.T, s *Session, code string) string {
	t.Helper()
	o := s.Run(context.Background(), Cell{Code: code, Beside: true})
	if o.Err != nil {
		t.Fatalf("%s\n%v", code, o.Err)
	}
	if o.Value == nil {
		return ""
	}
	return fmt.Sprint(o.Value.Data["text/plain"])
}

// The cells below define and redefine what a running cell uses. Run with -race,
// it shows whether anything but the cells' own variables is shared unguarded.
func TestCellsRunBesideARunningCell(t *testing.T) {
	s, _ := newSession(t)
	beside(t, s, `stop, begun := make(chan bool), make(chan bool)
func step() int { return 1 }
type T struct{ n int }
func (t T) M() int { return t.n }
func twice[E any](e E) []E { return []E{e, e} }`)
	ended := make(chan string)
	go func() {
		ended <- beside(t, s, `total, rounds := 0, 0
loop:
for {
	select {
	case <-stop:
		break loop
	default:
	}
	if rounds++; rounds == 1 {
		begun <- true
	}
	var x interface{ M() int } = T{1}
	total += step() + x.M() + len(twice(rounds))
}
total > 0 && ctx.Err() == nil`)
	}()
	beside(t, s, "<-begun")
	for i := range 30 {
		code := fmt.Sprintf(`v%[1]d := step()
func step() int { return %[1]d }
type T%[1]d struct{ T }
func (t T%[1]d) String() string { return fmt.Sprint("T", %[1]d, t.M()) }
twice(T%[1]d{T{v%[1]d - v%[1]d}})[1]`, i)
		if got, want := beside(t, s, code), fmt.Sprint("T", i, 0); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		s.Complete("T{}.", 4)
		s.Inspect("step", 4, 1)
		s.Inspect("v0", 2, 0)
		s.Variables()
		if o := s.Run(context.Background(), Cell{Code: "undefinedName", Beside: true}); o.Err == nil {
			t.Fatal("an undefined name was found")
		}
	}
	beside(t, s, "stop <- true")
	if got := <-ended; got != "true" {
		t.Errorf("the cell beside which they ran shows %s", got)
	}
}

func TestContextOutlivesACellBesideAnother(t *testing.T) {
	s, _ := newSession(t)
	beside(t, s, "goOn, begun := make(chan bool), make(chan bool)")
	first, second := make(chan string), make(chan string)
	go func() { first <- beside(t, s, "begun <- true\n<-goOn\nctx.Err() == nil") }()
	beside(t, s, "<-begun")
	go func() { second <- beside(t, s, "begun <- true\n<-goOn\nctx.Err() == nil") }()
	beside(t, s, "<-begun")
	for range 2 {
		beside(t, s, "goOn <- true")
		var got string
		select {
		case got = <-first:
		case got = <-second:
		}
		if got != "true" {
			t.Error("the context of a running cell has ended")
		}
	}
}

// A context taken in one cell tells of the interrupt of the other: they are
// interrupted together.
func TestInterruptEndsTheContextOfCellsBesideOthers(t *testing.T) {
	s, _ := newSession(t)
	beside(t, s, "begun := make(chan bool)")
	ctx, interrupt := context.WithCancel(context.Background())
	ended := make(chan Outcome)
	go func() {
		ended <- s.Run(ctx, Cell{Code: "begun <- true\n<-ctx.Done()\nfor {\n}", Beside: true})
	}()
	beside(t, s, "<-begun")
	interrupt()
	if o := <-ended; o.Err == nil {
		t.Error("an interrupted cell ended well")
	}
}
