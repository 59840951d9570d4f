package display

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

// golden compares got with a file in testdata. The .html and .svg files there
// open in a browser as they are.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from its golden file; look at both, then run go test ./display -run %s -update\ngot %d bytes, want %d", name, t.Name(), len(got), len(want))
	}
}

func TestGraphsMatchTheirGoldenFiles(t *testing.T) {
	golden(t, "graph5.html", Page(Toggle("As written", loraGraph(false), "Fused", loraGraph(true))))
	golden(t, "graph20.html", Page(mlpGraph()))
	golden(t, "graph20.svg", mlpGraph().MIME()[MIMESVG].(string))
	golden(t, "graph80.html", Page(layersGraph(80)))
	golden(t, "graph1000.html", Page(layersGraph(1000)))
}

func TestPartsMatchTheirGoldenFiles(t *testing.T) {
	golden(t, "table.html", Page(sampleTable()))
	golden(t, "table.txt", sampleTable().Text()+"\n")
	var charts []Part
	for _, c := range sampleCharts() {
		charts = append(charts, c)
	}
	golden(t, "charts.html", Page(charts...))
	golden(t, "charts.txt", Stack("charts", charts...).Text()+"\n")
	vega, err := MarshalJSON(sampleCharts()[0].VegaLite())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "chart.vl.json", indentJSON(vega)+"\n")
	golden(t, "timeline.html", Page(sampleTimeline()))
	golden(t, "progress.html", Page(sampleProgress()...))
	golden(t, "progress.txt", Stack("", sampleProgress()...).Text()+"\n")
	tensor := Row(Facts{{"shape", "[16 24]"}, {"dtype", "f32"}, {"device", "cpu"}, {"min / max / mean", "-1 / 1 / 0.02"}, {"NaN", "1"}}, sampleHistogram(), sampleHeatMap())
	// The encoded picture may change with the compressor of a Go version.
	golden(t, "tensor.html", pngData.ReplaceAllString(Page(tensor), "(picture)"))
}

var pngData = regexp.MustCompile(`data:image/png;base64,[A-Za-z0-9+/=]+`)
