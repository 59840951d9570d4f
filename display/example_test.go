package display_test

import (
	"fmt"
	"os"
	"time"

	"loris/display"
)

func ExampleTable() {
	t := &display.Table{Columns: display.Columns("kernel", "calls", "median", "GFLOP/s")}
	t.Add("gemm", 12, 112*time.Microsecond, 298.4)
	t.Add("softmax", 3, 9120*time.Nanosecond, 3.0)
	fmt.Println(t)
	// Output:
	// kernel   calls   median  GFLOP/s
	// ───────  ─────  ───────  ───────
	// gemm        12   112 µs    298.4
	// softmax      3  9.12 µs      3
}

func ExampleGraph() {
	g := &display.Graph{
		Nodes: []display.GraphNode{
			{ID: "x", Label: "x", Sub: "f32[2 3]", Kind: "leaf"},
			{ID: "y", Label: "Tanh", Sub: "f32[2 3]", Kind: "pending"},
		},
		Edges: []display.GraphEdge{{From: "x", To: "y"}},
	}
	fmt.Println(g)
	// Output:
	// x = x  f32[2 3]  [leaf]
	// y = Tanh(x)  f32[2 3]  [pending]
}

func ExampleChart() {
	c := &display.Chart{Title: "training", XLabel: "step", YLabel: "loss", Series: []display.Series{{Name: "loss", Y: []float64{2, 1, 0.5, 0.25}}}}
	fmt.Println(c)
	// Output:
	// training
	// loss  █▄▂▁  min 0.25  max 2  last 0.25
}

func ExampleNewHistogram() {
	fmt.Println(display.NewHistogram([]float64{1, 2, 2, 3, 3, 3, 4, 4, 5}, 5))
	// Output: 1 ▃▆█▆▃ 5
}

func ExampleTimeline_WriteTrace() {
	t := &display.Timeline{Title: "step", Spans: []display.Span{{Lane: "cpu", Name: "gemm", Start: time.Microsecond, Duration: 2 * time.Microsecond}}}
	if err := t.WriteTrace(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output: {"displayTimeUnit":"ns","traceEvents":[{"name":"process_name","ph":"M","ts":0,"pid":1,"tid":0,"args":{"name":"step"}},{"name":"thread_name","ph":"M","ts":0,"pid":1,"tid":1,"args":{"name":"cpu"}},{"name":"gemm","ph":"X","ts":1,"dur":2,"pid":1,"tid":1}]}
}

func ExampleFinite() {
	b, err := display.MarshalJSON(map[string]float64{"loss": 1 / zero})
	fmt.Println(string(b), err)
	// Output: {"loss":"Infinity"} <nil>
}

var zero float64

func ExampleNumber() {
	fmt.Println(display.Number(3.14159, 3), display.Number(1234567, 3), display.Bytes(1536), display.FormatDuration(1500*time.Microsecond))
	// Output: 3.14 1.23e+06 1.5 KiB 1.50 ms
}
