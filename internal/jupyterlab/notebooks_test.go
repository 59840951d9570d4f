package jupyterlab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	labOutputs    = ".jp-OutputArea-output"
	exportOutputs = ".loris"
)

// notebooks names what a reader must find in each of ours, at least.
var notebooks = []struct {
	name                             string
	graphs, charts, tables, heatMaps int
	pictures                         []int // code cells that shootOutput takes for docs/images
}{
	{name: "quickstart", graphs: 3, charts: 1, tables: 1, heatMaps: 4, pictures: []int{8, 9, 11, 12, 16}},
	{name: "lora_lazy_vs_eager", graphs: 1, charts: 1, tables: 3, pictures: []int{3, 4, 6}},
	{name: "train_lora", graphs: 1, charts: 1, pictures: []int{4, 5, 8}},
}

func TestNotebooksRunInJupyterLab(t *testing.T) {
	e := lookup(t)
	dir := t.TempDir()
	for _, nb := range notebooks {
		copyFile(t, notebookFile(nb.name), filepath.Join(dir, nb.name+".ipynb"))
	}
	base := startLab(t, e, dir)
	for _, nb := range notebooks {
		t.Run(nb.name, func(t *testing.T) {
			p := browse(t, e)
			p.open(base, nb.name+".ipynb")
			p.start()
			p.finish()
			checkCells(t, p.cells())

			count := func(what, selector string, atLeast int) {
				t.Helper()
				n := get[int](p, `document.querySelectorAll(`+quote(labOutputs+" "+selector)+`).length`)
				if n < atLeast {
					t.Errorf("%d %s in the page, want %d or more", n, what, atLeast)
				}
			}
			count("graphs", "svg.l-graph", nb.graphs)
			count("charts", ":is(svg.l-svg:not(.l-graph), .vega-embed)", nb.charts)
			count("tables", "table", nb.tables)
			count("heat maps", "img", nb.heatMaps)

			for _, theme := range []string{"Light", "Dark"} {
				p.theme(theme)
				p.checkLayout(theme, labOutputs)
				p.shoot(nb.name + "-" + strings.ToLower(theme))
				for _, n := range nb.pictures {
					p.shootOutput(n, fmt.Sprintf("%s-%d-%s", nb.name, n, strings.ToLower(theme)))
				}
			}
		})
	}
}

// watchProgress counts the states of progress bars until all cells have run.
func (p *page) watchProgress() int {
	p.t.Helper()
	seen := map[string]bool{}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		state := get[struct {
			Done bool
			Text string
		}](p, `{Done: Boolean(`+done+`), Text: Array.from(document.querySelectorAll('`+labOutputs+` .l-pr')).map(e => e.innerText).join()}`)
		if state.Text != "" {
			seen[state.Text] = true
		}
		if state.Done {
			break
		}
	}
	return len(seen)
}

// checkCells holds every cell to what its tags promise.
func checkCells(t *testing.T, cells []cell) {
	t.Helper()
	for i, c := range cells {
		if c.Count != i+1 {
			t.Errorf("code cell %d has the execution count %d", i+1, c.Count)
		}
		failed := ""
		for _, o := range c.Outputs {
			if o.Type == "error" {
				failed = o.EName + ": " + o.EValue
			}
		}
		if expected := slices.Contains(c.Tags, "raises-exception"); (failed != "") != expected {
			t.Errorf("code cell %d: error %q, expected one: %v\n%s", i+1, failed, expected, c.Source)
		}
	}
}

// The switch between two views is CSS only, so that it works in pages without
// scripts too.
func TestGraphSwitchShowsTheOtherView(t *testing.T) {
	e := lookup(t)
	p := browse(t, e)
	p.navigate("file://" + export(t, e, `x := lt.Ones(4, 4)
lt.Graph(x.Add(1).Mul(2).Tanh())`))
	const boxes = `Array.from(document.querySelectorAll('svg.l-graph .gr rect')).filter(e => e.getClientRects().length > 0).length`
	if n := get[int](p, boxes); n != 0 {
		t.Errorf("%d fused steps are boxed in the graph as built", n)
	}
	p.run(`document.querySelector('.l-sw').click()`)
	if n := get[int](p, boxes); n != 1 {
		t.Errorf("%d fused steps are boxed after fusion, want 1", n)
	}
}

func TestProgressMovesWhileACellRuns(t *testing.T) {
	e := lookup(t)
	dir := t.TempDir()
	// Slow enough to be seen moving on a busy machine too.
	writeNotebook(t, filepath.Join(dir, "progress.ipynb"),
		"p := display.NewProgress(\"steps\", 12)\nfor range 12 {\n\ttime.Sleep(500 * time.Millisecond)\n\tp.Add(1)\n}\np.Done()")
	p := browse(t, e)
	p.open(startLab(t, e, dir), "progress.ipynb")
	p.start()
	if states := p.watchProgress(); states < 3 {
		t.Errorf("the progress bar was seen in %d states while the cell ran, want 3 or more", states)
	}
	p.finish()
}

func TestInterruptButtonStopsACellAndKeepsVariables(t *testing.T) {
	e := lookup(t)
	dir := t.TempDir()
	writeNotebook(t, filepath.Join(dir, "loop.ipynb"), "turns := 0\nfor {\n\tif turns++; turns == 1 {\n\t\tfmt.Println(\"turning\")\n\t}\n}", "turns > 0")
	p := browse(t, e)
	p.open(startLab(t, e, dir), "loop.ipynb")
	p.start()
	p.wait(`document.querySelector('`+labOutputs+`')?.innerText.includes('turning')`, patience)
	p.run(`window.jupyterapp.commands.execute('notebook:interrupt-kernel')`)
	p.finish()
	first := p.cells()[0]
	if n := len(first.Outputs); n == 0 || first.Outputs[n-1].Type != "error" {
		t.Fatalf("the interrupted cell shows %v", first.Outputs)
	}
	// An error ends "run all"; the second cell runs by itself.
	p.run(`window.lorisDone = false; ` + panel + `.content.activeCellIndex = 1; window.jupyterapp.commands.execute('notebook:run-cell').finally(() => { window.lorisDone = true })`)
	p.finish()
	second := p.cells()[1]
	if len(second.Outputs) != 1 || second.Outputs[0].Data["text/plain"] != "true" {
		t.Errorf("after the interrupt `turns > 0` shows %v, want true", second.Outputs)
	}
}

func TestExportedPagesShowGraphsTablesAndCharts(t *testing.T) {
	e := lookup(t)
	p := browse(t, e)
	dir := t.TempDir()
	for _, nb := range notebooks {
		file := filepath.Join(dir, nb.name+".html")
		cmd := exec.Command(e.python, "-m", "nbconvert", "--to", "html", "--log-level", "ERROR", "--output", file, notebookFile(nb.name))
		cmd.Env = append(os.Environ(), "JUPYTER_CONFIG_DIR="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("nbconvert: %v\n%s", err, out)
		}
		p.navigate("file://" + file)
		where := "nbconvert " + nb.name
		if n := get[int](p, `document.querySelectorAll('svg.l-graph').length`); n < nb.graphs {
			t.Errorf("%s: %d graphs, want %d or more", where, n, nb.graphs)
		}
		// Without Vega the picture form of a chart stands in.
		if n := get[int](p, `document.querySelectorAll('svg.l-svg:not(.l-graph), .jp-RenderedSVG svg, .jp-RenderedSVG img').length`); n < nb.charts {
			t.Errorf("%s: %d charts, want %d or more", where, n, nb.charts)
		}
		if n := get[int](p, `document.querySelectorAll('.loris table').length`); n < nb.tables {
			t.Errorf("%s: %d tables, want %d or more", where, n, nb.tables)
		}
		p.checkLayout(where, exportOutputs)
		p.resize(9000)
		p.shoot("nbconvert-" + nb.name)
	}
}

func notebookFile(name string) string { return filepath.Join("..", "..", "notebooks", name+".ipynb") }

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// writeNotebook writes a notebook of code cells that have not run.
func writeNotebook(t *testing.T, file string, sources ...string) {
	t.Helper()
	var cells []map[string]any
	for i, s := range sources {
		cells = append(cells, map[string]any{"cell_type": "code", "id": "cell-" + string(rune('a'+i)), "metadata": map[string]any{},
			"source": s, "outputs": []any{}, "execution_count": nil})
	}
	b, err := json.Marshal(map[string]any{"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": map[string]any{
		"kernelspec": map[string]any{"name": "loris", "display_name": "Go (Loris)", "language": "go"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// export runs one cell without Jupyter and returns the exported page.
func export(t *testing.T, e environment, source string) string {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.ipynb"), filepath.Join(dir, "out.html")
	writeNotebook(t, in, source)
	if text, err := exec.Command(e.binary, "run", in, "--html", out).CombinedOutput(); err != nil {
		t.Fatalf("loris run: %v\n%s", err, text)
	}
	return out
}
