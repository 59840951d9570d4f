package mtl

import (
	"math/rand/v2"
	"testing"

	"loris/metal/objc"
)

// The tracker against a slow account of every byte: it may ask for a barrier too many, never for one too few.
func TestTrackerMissesNoConflict(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	blocks := []*block{{id: 1}, {id: 2}}
	for range 200 {
		var tr tracker
		type byteState struct{ read, written bool }
		bytes := map[objc.ID]*[64]byteState{1: {}, 2: {}}
		for range 30 {
			var bindings []Binding
			for range 1 + r.IntN(3) {
				start := r.IntN(60)
				bindings = append(bindings, Binding{Buffer: &Buffer{block: blocks[r.IntN(2)], offset: start / 2, length: 64}, Offset: start - start/2, Length: 1 + r.IntN(64-start), Writes: r.IntN(3) == 0})
			}
			conflict := false
			for _, b := range bindings {
				u := b.use()
				for i := u.start; i < min(u.end, 64); i++ {
					s := bytes[u.buffer][i]
					conflict = conflict || s.written || s.read && u.writes
				}
			}
			barrier := tr.needsBarrier(bindings)
			if conflict && !barrier {
				t.Fatal("a dispatch that conflicts with an earlier one got no barrier")
			}
			if barrier {
				bytes[1], bytes[2] = new([64]byteState), new([64]byteState)
			}
			if barrier && !conflict {
				t.Fatal("a barrier without a conflict")
			}
			for _, b := range bindings {
				u := b.use()
				for i := u.start; i < min(u.end, 64); i++ {
					s := &bytes[u.buffer][i]
					s.read, s.written = s.read || !u.writes, s.written || u.writes
				}
			}
		}
	}
}
