package display

import (
	"fmt"
	"slices"
	"strings"
)

// collapse returns a graph of at most MaxNodes nodes, and a sentence about what
// stands for what, empty if nothing was changed. It folds the deepest scopes
// first, then groups, then runs of nodes with one input and one output, and
// in the end whole stretches of the order of evaluation.
func collapse(g *Graph) (*Graph, string) {
	limit := g.MaxNodes
	if limit <= 0 {
		limit = defaultMaxNodes
	}
	if len(g.Nodes) <= limit {
		return g, ""
	}
	total := len(g.Nodes)
	depth := 0
	for _, n := range g.Nodes {
		if n.Scope != "" {
			depth = max(depth, strings.Count(n.Scope, "/")+1)
		}
	}
	for ; depth > 0 && len(g.Nodes) > limit; depth-- {
		g = fold(g, func(n GraphNode) (string, string) {
			parts := strings.Split(n.Scope, "/")
			if n.Scope == "" || len(parts) < depth {
				return "", ""
			}
			scope := strings.Join(parts[:depth], "/")
			return "scope " + scope, scope
		})
	}
	if len(g.Nodes) > limit {
		labels := map[string]string{}
		for _, gr := range g.Groups {
			labels[gr.ID] = gr.Label
		}
		g = fold(g, func(n GraphNode) (string, string) {
			if n.Group == "" {
				return "", ""
			}
			return "group " + n.Group, cmpOr(labels[n.Group], n.Group)
		})
	}
	if len(g.Nodes) > limit {
		chain := chains(g, 2*((len(g.Nodes)+limit-1)/limit))
		g = fold(g, func(n GraphNode) (string, string) {
			if chain[n.ID] == "" {
				return "", ""
			}
			return "chain " + chain[n.ID], "chain"
		})
	}
	if len(g.Nodes) > limit {
		stretch := (len(g.Nodes) + limit - 1) / limit
		position := map[string]int{}
		for i, id := range topological(g) {
			position[id] = i / stretch
		}
		g = fold(g, func(n GraphNode) (string, string) {
			return fmt.Sprintf("stretch %d", position[n.ID]), fmt.Sprintf("nodes %d–%d", position[n.ID]*stretch, (position[n.ID]+1)*stretch-1)
		})
	}
	return g, fmt.Sprintf("%d nodes, drawn as %d: scopes, groups and chains are folded above %d nodes.", total, len(g.Nodes), limit)
}

// fold joins all nodes with the same key into one; nodes with an empty key and
// those alone with theirs stay as they are.
func fold(g *Graph, key func(GraphNode) (key, label string)) *Graph {
	count, kinds := map[string]int{}, map[string]map[string]int{}
	for _, n := range g.Nodes {
		k, _ := key(n)
		count[k]++
		if kinds[k] == nil {
			kinds[k] = map[string]int{}
		}
		kinds[k][n.Label]++
	}
	out := &Graph{Title: g.Title, MaxNodes: g.MaxNodes}
	renamed := map[string]string{}
	seen := map[string]bool{}
	usedGroups := map[string]bool{}
	for _, n := range g.Nodes {
		k, label := key(n)
		if k == "" || count[k] == 1 {
			renamed[n.ID] = n.ID
			out.Nodes = append(out.Nodes, n)
			usedGroups[n.Group] = true
			continue
		}
		renamed[n.ID] = k
		if seen[k] {
			continue
		}
		seen[k] = true
		scope := ""
		if s, ok := strings.CutPrefix(k, "scope "); ok {
			if i := strings.LastIndexByte(s, '/'); i >= 0 {
				scope = s[:i]
			}
		}
		out.Nodes = append(out.Nodes, GraphNode{ID: k, Label: label, Sub: fmt.Sprintf("%d nodes", count[k]), Kind: "collapsed",
			Scope: scope, Tooltip: label + "\n" + summary(kinds[k])})
	}
	type pair struct{ from, to string }
	drawn := map[pair]bool{}
	for _, e := range g.Edges {
		e.From, e.To = renamed[e.From], renamed[e.To]
		p := pair{e.From, e.To}
		if e.From == e.To || e.From == "" || e.To == "" || drawn[p] {
			continue
		}
		drawn[p] = true
		out.Edges = append(out.Edges, e)
	}
	for _, gr := range g.Groups {
		if usedGroups[gr.ID] {
			out.Groups = append(out.Groups, gr)
		}
	}
	return out
}

// summary lists the most frequent labels.
func summary(labels map[string]int) string {
	names := make([]string, 0, len(labels))
	for l := range labels {
		names = append(names, l)
	}
	slices.SortFunc(names, func(a, b string) int {
		if labels[a] != labels[b] {
			return labels[b] - labels[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for i, l := range names {
		if i == 8 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprintf("%d × %s", labels[l], l))
	}
	return strings.Join(parts, "\n")
}

// chains maps the nodes of each run without branches to the run's first node;
// runs longer than longest are cut.
func chains(g *Graph, longest int) map[string]string {
	in, out, size := map[string]int{}, map[string]int{}, map[string]int{}
	next := map[string]string{}
	for _, e := range g.Edges {
		in[e.To]++
		out[e.From]++
		next[e.From] = e.To
	}
	chain := map[string]string{}
	for _, id := range topological(g) {
		if out[id] != 1 || in[id] > 1 {
			continue
		}
		head := cmpOr(chain[id], id)
		if n := next[id]; in[n] == 1 && out[n] <= 1 && size[head] < longest-1 {
			chain[id], chain[n] = head, head
			size[head]++
		}
	}
	return chain
}

// topological returns the nodes' IDs so that inputs come first; nodes of a
// cycle come last, in their given order.
func topological(g *Graph) []string {
	in := map[string]int{}
	next := map[string][]string{}
	for _, e := range g.Edges {
		in[e.To]++
		next[e.From] = append(next[e.From], e.To)
	}
	var order []string
	done := map[string]bool{}
	visit := func(id string) {
		queue := []string{id}
		for len(queue) > 0 {
			id := queue[0]
			queue = queue[1:]
			order = append(order, id)
			done[id] = true
			for _, n := range next[id] {
				if in[n]--; in[n] == 0 {
					queue = append(queue, n)
				}
			}
		}
	}
	for _, n := range g.Nodes {
		if in[n.ID] == 0 && !done[n.ID] {
			visit(n.ID)
		}
	}
	for _, n := range g.Nodes {
		if !done[n.ID] {
			order = append(order, n.ID)
		}
	}
	return order
}
