package symbols

import (
	"slices"
	"strings"
	"sync"

	"loris/interp/symbols/nearest"
)

// An Import is a package as a cell names it.
type Import struct{ Name, Path string }

// shortNames are names that Loris gives to its own packages.
var shortNames = map[string]string{"lt": "loris/tensorlib"}

// ShortName is what cells call a package: lt for loris/tensorlib, else its name.
func ShortName(path, name string) string {
	for short, p := range shortNames {
		if p == path {
			return short
		}
	}
	return name
}

// preferred settles names that several packages share: the first path that has
// all the members a cell uses wins. Every shared name has a row.
var preferred = map[string][]string{
	"embed":    {"loris/tensorlib/embed", "embed"},
	"pprof":    {"runtime/pprof", "net/http/pprof"},
	"rand":     {"math/rand/v2", "math/rand", "crypto/rand"},
	"scanner":  {"text/scanner", "go/scanner"},
	"template": {"text/template", "html/template"},
	"trace":    {"runtime/trace"},
}

var byName = sync.OnceValue(func() map[string][]string {
	m := map[string][]string{}
	for _, path := range paths {
		name := packages[path].table.Name
		m[name] = append(m[name], path)
	}
	for name, path := range shortNames {
		if _, ok := packages[path]; ok {
			m[name] = []string{path}
		}
	}
	for name, order := range preferred {
		slices.SortStableFunc(m[name], func(a, b string) int { return rank(order, a) - rank(order, b) })
	}
	return m
})

func rank(order []string, path string) int {
	if i := slices.Index(order, path); i >= 0 {
		return i
	}
	return len(order)
}

// Candidates lists the packages that an identifier may mean, best first.
func Candidates(name string) []string { return byName()[name] }

// Resolve finds the package for an undeclared identifier of which the given
// members are used. Where several packages share the name, the first one that
// has all members is taken: rand.IntN is math/rand/v2, rand.Seed is math/rand.
func Resolve(name string, members ...string) (path string, ok bool) {
	candidates := byName()[name]
	if len(candidates) == 0 {
		return "", false
	}
	if len(candidates) == 1 {
		return candidates[0], true
	}
	for _, path := range candidates {
		if hasAll(path, members) {
			return path, true
		}
	}
	return candidates[0], true
}

func hasAll(path string, members []string) bool {
	pkg, err := imports.Import(path)
	if err != nil {
		return false
	}
	for _, m := range members {
		if obj := pkg.Scope().Lookup(m); obj == nil || !obj.Exported() {
			return false
		}
	}
	return true
}

// Preloaded lists what each identifier means by itself, sorted by name: the
// packages that a cell may use without importing them.
func Preloaded() []Import {
	var list []Import
	for name, candidates := range byName() {
		list = append(list, Import{name, candidates[0]})
	}
	slices.SortFunc(list, func(a, b Import) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// nearestPath is the known path most like an unknown one, or "".
func nearestPath(path string) string {
	base := path[strings.LastIndexByte(path, '/')+1:]
	if c := Candidates(base); len(c) > 0 {
		return c[0]
	}
	return nearest.One(path, paths)
}
