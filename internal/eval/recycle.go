package eval

import (
	"sync"
	"sync/atomic"

	"loris/internal/ir"
)

// recycling is set while Recycle runs.
var recycling atomic.Pointer[recycler]

// recycler notes values that evaluations make.
type recycler struct {
	mu     sync.Mutex
	values []*ir.Value
}

var recyclers = sync.Pool{New: func() any { return new(recycler) }}

// Recycle runs f and then releases every value that evaluations have made
// meanwhile, except those that leaves hold, as parameters and the state of
// optimisers do. So memory is reused while it is in a cache, as where references
// are counted. It is for benchmarks: it holds for all goroutines, and reading
// one of those values afterwards is an error.
func Recycle(f func()) {
	r := recyclers.Get().(*recycler)
	outer := recycling.Swap(r)
	defer func() {
		recycling.Store(outer)
		r.release()
		recyclers.Put(r)
	}()
	f()
}

// made notes values of evaluated nodes.
func (r *recycler) made(values []*ir.Value) {
	r.mu.Lock()
	r.values = append(r.values, values...)
	r.mu.Unlock()
}

// recycled is the error of all values that Recycle has released.
var recycled = &ir.Error{Code: ir.CodeFreed, Op: "Recycle", Msg: "this tensor was released"}

func (r *recycler) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, v := range r.values {
		if !v.Held && v.Ready() && v.Err == nil {
			b := v.Buffer.(*Buffer)
			v.Err, v.Buffer = recycled, nil
			b.drop()
		}
		r.values[i] = nil
	}
	r.values = r.values[:0]
}
