package interp

import (
	"go/types"
	"sync"
	"time"

	"loris/interp/run"
)

// CallCost is what a call of a function that a cell has defined takes, for benchmarks
// to tell it from what the function does.
func (h host) CallCost() time.Duration { return callCost() }

var callCost = sync.OnceValue(func() time.Duration {
	const name = "empty function"
	s, err := quietSession(Options{})
	if err != nil {
		return 0
	}
	code, cellErr := s.compile(Cell{ID: name}, name, "var empty = func() error { return nil }")
	if cellErr != nil {
		return 0
	}
	if p := run.NewTask(name).Run(func(th *run.Thread) { th.NewFrame(code.Code).Invoke() }); p != nil {
		return 0
	}
	v, ok := s.scope.Pkg.Scope().Lookup("empty").(*types.Var)
	if !ok {
		return 0
	}
	empty := *(*func() error)(s.program.Known(v).Ptr)
	best := time.Hour
	for range 20 {
		const calls = 200
		start := time.Now()
		for range calls {
			_ = empty()
		}
		best = min(best, time.Since(start)/calls)
	}
	return best
})
