package interp

import (
	"context"
	"fmt"
	"go/types"

	"loris/interp/run"
)

// prelude declares what every cell finds without saying so.
const prelude = `// ctx ends when the running cell is interrupted, or else when it has ended.
var ctx = context.Background()

// check ends the cell with err, if there is one.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
`

const preludeCell = "prelude"

// runPrelude declares the prelude's names.
func (s *Session) runPrelude() error {
	s.sources.Store(preludeCell, prelude)
	code, cellErr := s.compile(Cell{ID: preludeCell, Beside: true}, preludeCell, prelude)
	if cellErr != nil {
		return fmt.Errorf("prelude: %w", cellErr)
	}
	if p := run.NewTask(preludeCell).Run(func(th *run.Thread) { th.NewFrame(code.Code).Invoke() }); p != nil {
		return fmt.Errorf("prelude: %w", s.panicError(p))
	}
	s.program.Lock()
	defer s.program.Unlock()
	v := s.scope.Pkg.Scope().Lookup("ctx").(*types.Var)
	s.active.variable((*context.Context)(s.program.Known(v).Ptr))
	return nil
}
