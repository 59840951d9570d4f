package eval

import "loris/internal/ir"

// Order returns the nodes below roots in the order that the plan's
// Step.Origin counts in, for views of a graph beside its plan.
func Order(roots ...*ir.Node) []*ir.Node {
	todo := pending(roots)
	if len(todo) == 0 {
		return nil
	}
	return cache.Order(todo, nil)
}
