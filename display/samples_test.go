package display

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// loraGraph is a graph of five nodes, before and after fusion.
func loraGraph(fused bool) *Graph {
	g := &Graph{Title: "y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ"}
	g.Nodes = []GraphNode{
		{ID: "x", Label: "x", Sub: "f32[4 16 512]", Kind: "leaf"},
		{ID: "w", Label: "W", Sub: "f32[512 512]", Kind: "leaf", Tooltip: "frozen, packed once\ncell 3, line 2"},
		{ID: "mm", Label: "MatMul", Sub: "f32[4 16 512]", Kind: "pending"},
		{ID: "lo", Label: "LoRA <A·B>", Sub: "f32[4 16 512]", Kind: "pending"},
		{ID: "y", Label: "Add", Sub: "f32[4 16 512]", Kind: "ready"},
	}
	g.Edges = []GraphEdge{{From: "x", To: "mm"}, {From: "w", To: "mm"}, {From: "x", To: "lo"}, {From: "mm", To: "y"}, {From: "lo", To: "y"}}
	if fused {
		g.Groups = []GraphGroup{{ID: "k", Label: "kernel 1: lora_linear", Tooltip: "1 dispatch\n33.6 MFLOP"}}
		for i := 2; i < 5; i++ {
			g.Nodes[i].Group = "k"
			g.Nodes[i].Kind = "fused"
		}
	}
	return g
}

// mlpGraph has twenty nodes in three groups, a view, a constant and a long
// edge around them.
func mlpGraph() *Graph {
	g := &Graph{Title: "gated MLP with residual"}
	node := func(id, label, sub, kind, group string) {
		g.Nodes = append(g.Nodes, GraphNode{ID: id, Label: label, Sub: sub, Kind: kind, Group: group})
	}
	edge := func(from, to, label string) {
		g.Edges = append(g.Edges, GraphEdge{From: from, To: to, Label: label})
	}
	g.Groups = []GraphGroup{
		{ID: "n", Label: "rmsnorm_residual"}, {ID: "m", Label: "gated_mlp", Tooltip: "two GEMMs share one read of h"}, {ID: "d", Label: "gemm + residual"},
	}
	node("x", "x", "f32[64 512]", "leaf", "")
	node("eps", "1e-6", "", "constant", "n")
	node("sq", "Square", "", "pending", "n")
	node("mean", "Mean", "axis=-1", "pending", "n")
	node("add", "Add", "", "pending", "n")
	node("rs", "Rsqrt", "", "pending", "n")
	node("mul", "Mul", "", "pending", "n")
	node("g", "gain", "f32[512]", "leaf", "")
	node("h", "Mul", "f32[64 512]", "pending", "n")
	node("wg", "W_gate", "f32[1376 512]", "leaf", "")
	node("wu", "W_up", "f32[1376 512]", "leaf", "")
	node("mg", "MatMul", "f32[64 1376]", "pending", "m")
	node("mu", "MatMul", "f32[64 1376]", "pending", "m")
	node("silu", "Silu", "", "pending", "m")
	node("gate", "Mul", "f32[64 1376]", "pending", "m")
	node("wd", "W_down", "f32[512 1376]", "leaf", "")
	node("t", "Transpose", "f32[1376 512]", "view", "d")
	node("md", "MatMul", "f32[64 512]", "pending", "d")
	node("res", "Add", "f32[64 512]", "ready", "d")
	node("bad", "Check", "", "failed", "")
	for _, e := range [][3]string{{"x", "sq", "f32[64 512]"}, {"sq", "mean", "f32[64 512]"}, {"mean", "add", "f32[64 1]"}, {"eps", "add", ""}, {"add", "rs", ""}, {"x", "mul", "f32[64 512]"}, {"rs", "mul", "f32[64 1]"},
		{"mul", "h", ""}, {"g", "h", ""}, {"h", "mg", ""}, {"h", "mu", ""}, {"wg", "mg", ""}, {"wu", "mu", ""}, {"mg", "silu", ""}, {"silu", "gate", "f32[64 1376]"}, {"mu", "gate", ""},
		{"gate", "md", ""}, {"wd", "t", ""}, {"t", "md", ""}, {"md", "res", ""}, {"x", "res", "f32[64 512]"}, {"res", "bad", ""}} {
		edge(e[0], e[1], e[2])
	}
	return g
}

// layersGraph has n nodes of random structure, in groups of neighbours.
func layersGraph(n int) *Graph {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	g := &Graph{Title: fmt.Sprintf("%d nodes", n)}
	labels := strings.Fields("MatMul Add Mul Gelu Softmax Transpose Reshape Sum Exp Sub Tanh LayerNorm")
	kinds := []string{"pending", "pending", "pending", "ready", "view"}
	for i := range n {
		node := GraphNode{ID: fmt.Sprintf("n%d", i), Label: labels[r.IntN(len(labels))], Sub: fmt.Sprintf("f32[%d %d]", 8<<r.IntN(5), 16<<r.IntN(5)), Kind: kinds[r.IntN(len(kinds))]}
		node.Scope = fmt.Sprintf("model/layer%d", i/20)
		if i < n/10+2 {
			node.Kind, node.Label = "leaf", fmt.Sprintf("w%d", i)
		} else {
			for range 1 + r.IntN(2) {
				from := max(0, i-1-r.IntN(8))
				g.Edges = append(g.Edges, GraphEdge{From: fmt.Sprintf("n%d", from), To: node.ID})
			}
			if r.IntN(12) == 0 {
				g.Edges = append(g.Edges, GraphEdge{From: fmt.Sprintf("n%d", r.IntN(i)), To: node.ID})
			}
		}
		g.Nodes = append(g.Nodes, node)
	}
	// Chains of three are fused.
	for i := n / 4; i+3 < n; i += 9 {
		id := fmt.Sprintf("g%d", i)
		g.Groups = append(g.Groups, GraphGroup{ID: id, Label: "fused " + id})
		for j := i; j < i+3; j++ {
			g.Nodes[j].Group = id
			if j > i {
				g.Edges = append(g.Edges, GraphEdge{From: g.Nodes[j-1].ID, To: g.Nodes[j].ID})
			}
		}
	}
	return g
}
