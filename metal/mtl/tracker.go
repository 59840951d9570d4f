package mtl

import "loris/metal/objc"

// use is a byte range of a Metal buffer that a dispatch reads or writes.
type use struct {
	buffer     objc.ID
	start, end int
	writes     bool
}

// tracker knows what the dispatches since the last barrier touch. It errs on the side of a barrier.
type tracker struct{ uses []use }

// mostTracked bounds the search: past it a barrier is cheaper.
const mostTracked = 256

// needsBarrier says whether a dispatch with these bindings must wait for earlier ones: it writes what they touch, or
// reads what they write. It records the bindings, after forgetting the earlier ones if so.
func (t *tracker) needsBarrier(bindings []Binding) bool {
	conflict := len(t.uses)+len(bindings) > mostTracked
	for i := range bindings {
		if conflict {
			break
		}
		conflict = t.conflicts(bindings[i].use())
	}
	if conflict {
		t.reset()
	}
	for i := range bindings {
		t.uses = append(t.uses, bindings[i].use())
	}
	return conflict
}

func (t *tracker) conflicts(u use) bool {
	for i := range t.uses {
		e := &t.uses[i]
		if e.buffer == u.buffer && e.start < u.end && u.start < e.end && (e.writes || u.writes) {
			return true
		}
	}
	return false
}

func (t *tracker) reset() { t.uses = t.uses[:0] }
