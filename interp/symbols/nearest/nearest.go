// Package nearest finds what a mistyped name was meant to be: a name and
// candidates in, the likeliest candidates out.
package nearest

import (
	"cmp"
	"slices"
	"strings"
)

// Names returns up to three candidates that are most like name, best first.
// The same name in another case comes before any other; beyond that, a
// candidate may differ in about a third of the letters. The order depends on
// the set of candidates only.
func Names(name string, candidates []string) []string {
	type scored struct {
		name  string
		score int
	}
	var near []scored
	limit := limit(name)
	lower := strings.ToLower(name)
	for _, c := range candidates {
		if c == name || c == "" || c == "_" {
			continue
		}
		other := strings.ToLower(c)
		d := 0
		if other != lower {
			// Twice the distance leaves room for case between the steps.
			if d = 2 * Distance(lower, other, limit); d > 2*limit {
				continue
			}
			if c[0] != name[0] {
				d++ // the first letter is rarely wrong
			}
		}
		near = append(near, scored{c, d})
	}
	slices.SortFunc(near, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.score, b.score), strings.Compare(a.name, b.name))
	})
	var names []string
	for _, s := range slices.Compact(near) {
		if len(names) == 3 || s.score > near[0].score+1 {
			break
		}
		names = append(names, s.name)
	}
	return names
}

// One returns the likeliest candidate, or "".
func One(name string, candidates []string) string {
	if names := Names(name, candidates); len(names) > 0 {
		return names[0]
	}
	return ""
}

func limit(name string) int {
	switch n := len(name); {
	case n <= 1:
		return 0
	case n <= 4:
		return 1
	case n <= 8:
		return 2
	default:
		return n / 3
	}
}

// Distance counts the insertions, deletions, substitutions and swaps of
// neighbouring bytes that turn a into b. Above limit it only says so.
func Distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		best := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			best = min(best, row[j])
		}
		if best > limit+1 {
			return limit + 1
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
