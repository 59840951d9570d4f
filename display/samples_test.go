package display

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
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

func sampleTable() *Table {
	t := &Table{Title: "steps <per kernel>", Columns: []Column{{Name: "kernel"}, {Name: "ops", Tooltip: "operations fused"}, {Name: "median", Bar: true}, {Name: "GFLOP/s", Bar: true}, {Name: "of peak"}, {Name: "live"}, {Name: "note"}},
		Note: "times are medians of 30 samples"}
	t.Add("gemm_64x512x512", 1, 112*time.Microsecond+300, 298.4, "91 %", Bytes(1<<20), "packed")
	t.Add("lora_down", 3, 9*time.Microsecond+120, 57.25, "17 %", Bytes(2048), nil)
	t.Add(Cell{Value: "chain6 <script>alert(1)</script>", Tooltip: `"quoted" & escaped`, Strong: true}, 12345, 18600*time.Nanosecond, 3.0, "1 %", Bytes(131072), "a\nb")
	t.Add("нан 日本", 7, time.Duration(840), math.NaN(), "", Bytes(0), true)
	t.Add("inf", -7, 2*time.Millisecond, math.Inf(-1), "", Bytes(-5), 0.00001)
	t.Foot = []any{"total", 12349, 2140 * time.Microsecond, 358.65, "", Bytes(1<<20 + 2048)}
	return t
}

func sampleCharts() []*Chart {
	n := 60
	loss, smooth, low, high := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		smooth[i] = 2.4*math.Exp(-float64(i)/18) + 0.2
		loss[i] = smooth[i] * (1 + 0.15*r.NormFloat64())
		low[i], high[i] = smooth[i]*0.85, smooth[i]*1.15
	}
	loss[20], loss[21] = math.NaN(), math.Inf(1)
	xs, ys := make([]float64, 80), make([]float64, 80)
	for i := range xs {
		xs[i] = math.Pow(10, 1+4*r.Float64())
		ys[i] = xs[i] * 0.02 * math.Exp(0.3*r.NormFloat64())
	}
	return []*Chart{
		{Title: "training", XLabel: "step", YLabel: "loss", Series: []Series{{Name: "loss", Y: loss}, {Name: "smoothed <ema>", Y: smooth, Low: low, High: high}}},
		{Title: "lazy against eager", YLabel: "µs", Categories: []string{"forward", "train step", "chain of ten ops", "AdamW"}, Measured: true,
			Series: []Series{{Name: "lazy", Mark: Bar, Y: []float64{120, 410, 19, 31}, Low: []float64{117, 400, 18, 30}, High: []float64{125, 430, 22, 33}}, {Name: "eager", Mark: Bar, Y: []float64{131, 470, 44, 140}}}},
		{Title: "elements and time", XLabel: "elements", YLabel: "ns", LogX: true, LogY: true, Series: []Series{{Mark: Scatter, X: xs, Y: ys}}},
		{Title: "nothing finite", Series: []Series{{Name: "y", Y: []float64{math.NaN(), math.Inf(1)}}}},
	}
}

func sampleTimeline() *Timeline {
	t := &Timeline{Title: "one training step"}
	at := time.Duration(0)
	for i, name := range []string{"gemm", "lora_down", "chain", "gemm", "softmax", "gemm_backward", "adamw"} {
		d := time.Duration(20+37*i%90) * time.Microsecond
		t.Spans = append(t.Spans, Span{Lane: "cpu worker 0", Name: name, Start: at, Duration: d, Args: map[string]any{"gflops": 12.5, "nan": math.NaN()}})
		t.Spans = append(t.Spans, Span{Lane: "cpu worker 1", Name: name, Start: at + 3*time.Microsecond, Duration: d - 5*time.Microsecond})
		at += d
	}
	t.Spans = append(t.Spans, Span{Lane: "build", Name: "graph <&>", Start: 0, Duration: at / 8, Tooltip: "cell 3"}, Span{Lane: "build", Name: "plan", Start: at / 16, Duration: at / 6})
	return t
}

func sampleHeatMap() *HeatMap {
	h := &HeatMap{Title: "W[16 24]"}
	for y := range 16 {
		row := make([]float64, 24)
		for x := range row {
			row[x] = math.Sin(float64(x)/4) * math.Cos(float64(y)/3)
		}
		h.Values = append(h.Values, row)
	}
	h.Values[3][5], h.Values[4][6] = math.NaN(), math.Inf(1)
	return h
}

func sampleHistogram() *Histogram {
	r := rand.New(rand.NewPCG(5, 6))
	values := make([]float64, 5000)
	for i := range values {
		values[i] = r.NormFloat64()*0.02 + 0.004
	}
	values[7] = math.NaN()
	return NewHistogram(values, 0)
}

func sampleProgress() []Part {
	return []Part{
		&progressState{label: "training", unit: "it", total: 300, done: 112, elapsed: 12 * time.Second, rate: 9.4, note: "loss 0.4312"},
		&progressState{label: "training", unit: "it", total: 300, done: 300, elapsed: 32 * time.Second, rate: 9.4, note: "loss 0.1201", final: true},
		&progressState{label: "loading", unit: "MB", done: 5120, elapsed: 4 * time.Second, rate: 0.25},
		&progressState{label: "training", unit: "it", total: 300, done: 40, elapsed: 4 * time.Second, final: true, err: "loss is NaN at step 40"},
	}
}
