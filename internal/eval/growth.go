package eval

import (
	"fmt"
	"sync"

	"loris/internal/ir"
)

// Note is something that the library tells the user once, without failing.
type Note struct {
	Msg string
	Pos ir.Pos
}

var notes struct {
	sync.Mutex
	f    func(Note)
	told map[ir.Pos]bool
}

// OnNote makes f receive notes; nil drops them. So far there is one: a chain of
// ops has grown long without being evaluated, which nearly always is a loop
// without Eval. Each line is told once.
func OnNote(f func(Note)) {
	notes.Lock()
	notes.f, notes.told = f, map[ir.Pos]bool{}
	notes.Unlock()
	if f == nil {
		ir.Grown.Store(nil)
		return
	}
	hook := grown
	ir.Grown.Store(&hook)
}

// grown tells about a node whose chain of unevaluated ops has become long.
func grown(n *ir.Node) {
	notes.Lock()
	f, seen := notes.f, notes.told[n.Pos]
	if f != nil {
		notes.told[n.Pos] = true
	}
	notes.Unlock()
	if f != nil && !seen {
		f(Note{fmt.Sprintf("%d ops wait to be evaluated; a loop without Eval keeps them all in memory", n.Pending), n.Pos})
	}
}
