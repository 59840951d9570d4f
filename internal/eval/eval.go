// Package eval runs plans: nodes come in, and their values are stored on them.
//
// Eval waits for the result. Async returns at once with a handle; evaluations
// that need each other's results run in order, others may run at the same time
// as long as they leave cores idle. Building graphs and all other code overlap
// with them. An evaluation too short to be worth another goroutine's attention
// runs on the goroutine that starts or awaits it.
//
// Device memory is counted, limited and returned: see Stats and SetLimit. A
// device must be linked in by importing its package:
//
//	import _ "loris/internal/cpu"
package eval

import (
	"context"

	"loris/internal/ir"
	"loris/internal/plan"
)

// Eval computes the values of roots, and of Kept nodes on the way, and stores
// them. It returns when they are there. Roots that have values cost nothing.
// ctx and an interrupt of the running cell end it early; the roots can then be
// evaluated again. The error is an *ir.Error.
func Eval(ctx context.Context, roots ...*ir.Node) error {
	todo := pending(roots)
	if len(todo) > 0 {
		if err := evalNow(ctx, todo); err != nil {
			return err
		}
	}
	for _, r := range roots {
		if v := r.Value(); v != nil && (v.Task != nil || v.Err != nil) {
			err := waitFor(ctx, r)
			if err == nil {
				continue
			}
			if retry(r); r.Value() == nil && !calledOff(ctx) {
				return Eval(ctx, roots...) // only the other evaluation was cancelled
			}
			return err
		}
	}
	return nil
}

// calledOff reports whether who evaluates is to stop: an error of an evaluation
// that somebody else has cancelled is no reason to.
func calledOff(ctx context.Context) bool { return ctx.Err() != nil || interruptedCell() }

// interruptedCell reports whether the running cell is interrupted.
func interruptedCell() bool {
	h := ir.CurrentHost()
	if h == nil {
		return false
	}
	select {
	case <-h.Done():
		return true
	default:
		return false
	}
}

// pending returns the roots without a value; roots itself if that is all of them.
func pending(roots []*ir.Node) []*ir.Node {
	all := true
	for _, r := range roots {
		retry(r)
		all = all && r.Value() == nil
	}
	if all {
		return roots
	}
	var todo []*ir.Node
	for _, r := range roots {
		if r.Value() == nil {
			todo = append(todo, r)
		}
	}
	return todo
}

// retry makes a node whose evaluation was interrupted one that was never evaluated.
func retry(n *ir.Node) {
	v := n.Value()
	if v != nil && v.Task != nil && v.Ready() && v.Err != nil && v.Err.Code == ir.CodeInterrupted {
		n.SetValue(nil)
	}
}

// evalNow computes roots on the calling goroutine.
func evalNow(ctx context.Context, roots []*ir.Node) error {
	j := jobs.Get().(*job)
	defer j.recycle()
	for again := true; again; {
		if err := j.plan(ctx, roots); err != nil {
			return asError(err)
		}
		again = false
		for _, d := range j.waitsFor() {
			if err := d.await(ctx); err != nil {
				if calledOff(ctx) || d.err.Code != ir.CodeInterrupted {
					return err
				}
				again = true // somebody has cancelled it: what it was to compute is computed here
			}
		}
		if again {
			j.forget()
		}
	}
	if err := j.prepare(); err != nil {
		j.letGo()
		return asError(err)
	}
	if !queue.enter(j) {
		j.letGo()
		return &ir.Error{Code: ir.CodeInterrupted, Op: "Eval", Msg: "interrupted", Err: context.Canceled}
	}
	err := j.run()
	queue.leave(j)
	if err == nil || j.committed {
		j.retire()
	}
	j.end(err)
	if err != nil {
		return err
	}
	j.store()
	return nil
}

func asError(err error) error {
	if e, ok := err.(*ir.Error); ok {
		return e
	}
	return &ir.Error{Code: ir.CodeDevice, Op: "Eval", Msg: err.Error(), Err: err}
}

// store puts the values on the nodes and lets go of recipes that nobody needs.
func (j *job) store() {
	if r := recycling.Load(); r != nil {
		r.made(j.outs)
	}
	for k, v := range j.outs {
		n := j.output(k)
		n.SetValue(v)
		if n.Flags&ir.Tracked == 0 && j.done == nil {
			n.DropInputs()
		}
	}
}

// Pending is the handle of an evaluation in progress.
type Pending struct {
	job   *job
	nodes []*ir.Node // roots that job computes
	need  []*ir.Node // roots that other evaluations compute
	err   *ir.Error  // of an evaluation that could not start
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Async starts the evaluation of roots and returns at once; it blocks only while
// too many evaluations are in progress. Ops may use the roots right away. What
// goes wrong is on the handle and on every value that depends on it.
func Async(ctx context.Context, roots ...*ir.Node) *Pending {
	p := &Pending{}
	todo := pending(roots)
	for _, r := range roots {
		if v := r.Value(); v != nil && v.Task != nil {
			p.need = append(p.need, r)
		}
	}
	if len(todo) == 0 {
		return p
	}
	j := &job{done: make(chan struct{})}
	fail := func(err error) *Pending {
		e := asError(err).(*ir.Error)
		p.err = e
		return p
	}
	if err := j.plan(ctx, todo); err != nil {
		return fail(err)
	}
	if err := queue.throttle(ctx); err != nil {
		return fail(err)
	}
	if err := j.prepare(); err != nil {
		j.letGo()
		return fail(err)
	}
	p.job, p.nodes = j, todo
	j.store()
	queue.add(j)
	return p
}

// Done is closed when the evaluation has ended.
func (p *Pending) Done() <-chan struct{} {
	if p.job == nil {
		return closed
	}
	return p.job.done
}

// Cancel ends the evaluation. Its values hold an error, and evaluating them
// again starts anew.
func (p *Pending) Cancel() {
	if p.job != nil {
		p.job.cancel()
	}
}

// Wait waits for the end of the evaluation and returns its error. If ctx ends
// first, the evaluation is cancelled, and Wait returns ctx's error once it has
// stopped. An interrupt of the cell that waits ends the waiting only: what the
// cell itself has started is stopped anyway, and what earlier cells have goes on.
func (p *Pending) Wait(ctx context.Context) error {
	if p.err != nil {
		return p.err
	}
	if p.job != nil {
		if err := p.job.await(ctx); err != nil {
			if ctx.Err() != nil && !interruptedCell() {
				p.job.cancel()
				<-p.job.done
			}
			return err
		}
		dropRecipes(p.nodes)
	}
	for _, n := range p.need {
		if err := waitFor(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// waitFor waits for the value of n.
func waitFor(ctx context.Context, n *ir.Node) error {
	v := n.Value()
	if j, ok := v.Task.(*job); ok {
		if err := j.await(ctx); err != nil {
			return err
		}
	}
	if v.Err != nil {
		return v.Err
	}
	dropRecipe(n)
	return nil
}

// dropRecipe lets go of the inputs of a node whose value is there, unless a
// gradient may be asked for.
func dropRecipe(n *ir.Node) {
	if n.Flags&ir.Tracked == 0 && len(n.Inputs()) > 0 {
		n.DropInputs()
	}
}

func dropRecipes(nodes []*ir.Node) {
	for _, n := range nodes {
		dropRecipe(n)
	}
}

// Plan returns the plan of roots without running it, for views of the graph
// before and after the passes. Roots with values are left out; nil if none is left.
func Plan(roots ...*ir.Node) (*plan.Plan, error) {
	todo := pending(roots)
	if len(todo) == 0 {
		return nil, nil
	}
	opt, err := options()
	if err != nil {
		return nil, err
	}
	return cache.Build(todo, opt)
}

// Match finds the cached plan of roots and does nothing with it: what an
// evaluation pays before it runs, for benchmarks.
func Match(roots ...*ir.Node) error {
	j := jobs.Get().(*job)
	defer j.recycle()
	return j.plan(context.Background(), roots)
}
