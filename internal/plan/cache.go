package plan

import (
	"bytes"
	"container/list"
	"hash/maphash"
	"sync"
	"time"

	"loris/internal/ir"
)

// Cache finds the plan of a graph by its structure, and builds it if it is new.
// It keeps the plans used last. It is safe for concurrent use.
type Cache struct {
	mu    sync.Mutex
	walk  walker
	seed  maphash.Seed
	plans map[uint64]*list.Element
	used  list.List // of *entry, last used first
	size  int
	stats CacheStats
}

type entry struct {
	hash uint64
	key  []byte
	plan *Plan
	exec []Executable
}

// CacheStats counts a cache's work.
type CacheStats struct {
	Hits, Misses, Evicted int64
	Plans                 int
	BuildNanos            int64 // spent on misses
}

// uncached is the length of a key beyond which a plan is not kept.
const uncached = 16 << 20

// NewCache returns a cache that keeps size plans.
func NewCache(size int) *Cache {
	return &Cache{seed: maphash.MakeSeed(), plans: map[uint64]*list.Element{}, size: size}
}

// Match is a plan with what a run of it is to bind.
type Match struct {
	Plan   *Plan
	Exec   []Executable // one for each device segment, compiled
	Values []*ir.Value  // of the leaves
	Offset []int        // of the leaves, in elements, beyond the value's own
	Consts []float64
	Draws  []ir.Attrs
	Kept   []*ir.Node // nodes whose values follow the roots' in Plan.Outputs
	Hit    bool
}

// Find fills m with the plan of roots, none of which has a value. The slices of
// m are reused. A *StepError is of a step of m.Plan, which could not be compiled.
func (c *Cache) Find(m *Match, roots []*ir.Node, opt Options) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.walk
	w.epoch = nextEpoch()
	w.key = append(w.key[:0], byte(opt.Precision))
	w.key = append(w.key, opt.Device.Name()...)
	defer w.forget()
	if err := w.walk(roots); err != nil {
		return err
	}
	e, err := c.entry(roots, opt, m)
	if err != nil {
		return err
	}
	m.Plan, m.Exec = e.plan, e.exec
	m.Values, m.Offset = m.Values[:0], m.Offset[:0]
	for _, l := range w.leaves {
		m.Values = append(m.Values, l.value)
		m.Offset = append(m.Offset, l.offset)
	}
	m.Consts = append(m.Consts[:0], w.consts...)
	for _, f := range e.plan.Folds {
		m.Consts = append(m.Consts, f.value(m.Consts))
	}
	m.Draws = append(m.Draws[:0], w.draws...)
	m.Kept = append(m.Kept[:0], w.kept...)
	return nil
}

// entry returns the cached entry of the walked graph, or builds and compiles it.
func (c *Cache) entry(roots []*ir.Node, opt Options, m *Match) (*entry, error) {
	if el := c.used.Front(); el != nil { // mostly the same graph again
		if e := el.Value.(*entry); bytes.Equal(e.key, c.walk.key) {
			c.stats.Hits++
			m.Hit = true
			return e, nil
		}
	}
	h := maphash.Bytes(c.seed, c.walk.key)
	if el, ok := c.plans[h]; ok {
		if e := el.Value.(*entry); bytes.Equal(e.key, c.walk.key) {
			c.used.MoveToFront(el)
			c.stats.Hits++
			m.Hit = true
			return e, nil
		}
	}
	m.Hit = false
	c.stats.Misses++
	start := time.Now()
	p, err := build(&c.walk, roots, opt)
	if err != nil {
		return nil, err
	}
	e := &entry{hash: h, plan: p}
	for _, g := range p.Segments {
		x, err := g.Device.Compile(p, g.From, g.To)
		if err != nil {
			m.Plan = p // to tell which ops the step is of
			return nil, err
		}
		e.exec = append(e.exec, x)
	}
	c.stats.BuildNanos += time.Since(start).Nanoseconds()
	if len(c.walk.key) > uncached {
		return e, nil
	}
	e.key = bytes.Clone(c.walk.key)
	if old, ok := c.plans[h]; ok {
		c.used.Remove(old)
	}
	c.plans[h] = c.used.PushFront(e)
	for c.used.Len() > c.size {
		last := c.used.Back()
		delete(c.plans, last.Value.(*entry).hash)
		c.used.Remove(last)
		c.stats.Evicted++
	}
	return e, nil
}

// Build returns the plan of roots without caching, compiling or running it.
func (c *Cache) Build(roots []*ir.Node, opt Options) (*Plan, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.walk.epoch = nextEpoch()
	c.walk.key = c.walk.key[:0]
	defer c.walk.forget()
	if err := c.walk.walk(roots); err != nil {
		return nil, err
	}
	return build(&c.walk, roots, opt)
}

// Order returns the nodes below roots in the order that Step.Origin counts in.
// Values that task computes count as not there yet.
func (c *Cache) Order(roots []*ir.Node, task any) []*ir.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.walk.task = task
	defer func() { c.walk.task = nil }()
	c.walk.epoch = nextEpoch()
	defer c.walk.forget()
	c.walk.key = c.walk.key[:0]
	if c.walk.walk(roots) != nil {
		return nil
	}
	return append([]*ir.Node(nil), c.walk.nodes...)
}

// Stats returns the counts so far.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Plans = c.used.Len()
	return s
}

// Clear drops all plans.
func (c *Cache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plans = map[uint64]*list.Element{}
	c.used.Init()
}

// forget drops the references to nodes and values, so that the cache keeps
// nothing of the graph alive, and memory that an unusually large graph needed.
func (w *walker) forget() {
	if cap(w.nodes) > 1<<16 {
		*w = walker{epoch: w.epoch}
		return
	}
	clear(w.nodes)
	clear(w.leaves)
	clear(w.draws)
	clear(w.kept)
	clear(w.stack[:w.deep])
	w.deep = 0
}
