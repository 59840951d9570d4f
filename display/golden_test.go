package display

import (
	"flag"
	"os"
	"path/filepath"
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
