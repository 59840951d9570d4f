package eval

import (
	"context"
	"sync"

	"loris/internal/ir"
	"loris/internal/op"
)

// eagerly is the state of eager mode.
var eagerly struct {
	sync.Mutex
	depth int
	multi []*ir.Node // outputs of one op that are still being built
}

// Eager runs f with every op evaluated, and waited for, as soon as it is
// called: the same kernels, packed weights and recycled memory as otherwise, op
// by op. Failures panic with *ir.Error at the op. The mode holds for all
// goroutines while f runs.
func Eager(f func()) {
	hook := evaluateNow
	eagerly.Lock()
	eagerly.depth++
	ir.Built.Store(&hook)
	eagerly.Unlock()
	defer func() {
		eagerly.Lock()
		if eagerly.depth--; eagerly.depth == 0 {
			ir.Built.Store(nil)
			eagerly.multi = nil
		}
		eagerly.Unlock()
	}()
	f()
}

// evaluateNow evaluates a node that was just built. The outputs of an op that
// has several are evaluated together, when the last of them is built.
func evaluateNow(n *ir.Node) {
	switch n.Op {
	case op.Leaf, op.Const:
		return
	}
	outputs := op.OutputsOf(n.Op, n.Attrs)
	if outputs <= 1 {
		mustEval(n)
		return
	}
	eagerly.Lock()
	if len(eagerly.multi) != int(n.Output) || n.Output > 0 && !sameInputs(eagerly.multi[0], n) {
		eagerly.multi = eagerly.multi[:0]
		if n.Output > 0 {
			eagerly.Unlock()
			return // evaluated with whatever uses it
		}
	}
	eagerly.multi = append(eagerly.multi, n)
	if len(eagerly.multi) < outputs {
		eagerly.Unlock()
		return
	}
	all := append([]*ir.Node(nil), eagerly.multi...)
	eagerly.multi = eagerly.multi[:0]
	eagerly.Unlock()
	mustEval(all...)
}

func sameInputs(a, b *ir.Node) bool {
	x, y := a.Inputs(), b.Inputs()
	if a.Op != b.Op || len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

func mustEval(nodes ...*ir.Node) {
	if err := Eval(context.Background(), nodes...); err != nil {
		panic(err)
	}
}
