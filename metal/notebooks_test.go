//go:build darwin || softmetal

package metal_test

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// The notebooks, made small: text to replace, old and new in turn, and what is
// compared with the same notebook on the CPU.
var smallNotebooks = []struct {
	file    string
	replace []string
	numbers string
}{
	{"quickstart", []string{"const steps = 5000", "const steps = 20", "1024", "64", "256", "32"}, "losses[len(losses)-1], worst"},
	{"train_lora", []string{"const steps = 400", "const steps = 20", "Warmup: 20", "Warmup: 4", "256, 256", "48, 40", "rows    = 128", "rows    = 24", "Normal(512,", "Normal(32,"}, "after, before"},
	{"lora_lazy_vs_eager", []string{"512", "64", "Warmup: 10, Samples: 100", "Warmup: 1, Samples: 5", "{64, 128, 256}", "{16, 32, 48}", "1024", "128", "const repeat = 2000", "const repeat = 2"},
		"layer.Forward(x).Square().Mean().Item()"},
}

var number = regexp.MustCompile(`numbers \[(.*)\] on (\w+)`)

// Notebooks run as they are once lt.Use("metal") stands before them.
func TestNotebooksRunOnMetal(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	program := filepath.Join(t.TempDir(), "loris")
	args := []string{"build", "-o", program, "loris/cmd/loris"}
	if runtime.GOOS != "darwin" {
		args = []string{"build", "-tags", "softmetal", "-o", program, "loris/cmd/loris"}
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, n := range smallNotebooks {
		t.Run(n.file, func(t *testing.T) {
			var results [2][]float64
			for i, device := range []string{"cpu", "metal"} {
				source := smallNotebook(t, n.file, n.replace, device, n.numbers)
				out, err := exec.Command(program, "run", "--print", source).CombinedOutput()
				if err != nil {
					t.Fatalf("on %s: %v\n%s", device, err, out)
				}
				found := number.FindSubmatch(out)
				if found == nil || string(found[2]) != device {
					t.Fatalf("on %s, the last cell did not print what it should:\n%s", device, out)
				}
				for _, word := range strings.Fields(string(found[1])) {
					v, err := strconv.ParseFloat(word, 64)
					if err != nil {
						t.Fatal(err)
					}
					results[i] = append(results[i], v)
				}
			}
			for k, want := range results[0] {
				if got := results[1][k]; !(math.Abs(got-want) <= 1e-3*math.Abs(want)+1e-6) {
					t.Errorf("%v on Metal, %v on the CPU", got, want)
				}
			}
		})
	}
}

// smallNotebook writes the notebook with a cell before it that chooses the device, and one behind it that prints.
func smallNotebook(t *testing.T, name string, replace []string, device, numbers string) (path string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "notebooks", name+".ipynb"))
	if err != nil {
		t.Fatal(err)
	}
	var notebook map[string]any
	if err := json.Unmarshal(data, &notebook); err != nil {
		t.Fatal(err)
	}
	code := func(id, source string) any {
		return map[string]any{"cell_type": "code", "id": id, "source": source, "metadata": map[string]any{}, "outputs": []any{}, "execution_count": nil}
	}
	cells := []any{code("device", `lt.Use("`+device+`")`)}
	used := map[string]bool{}
	for _, c := range notebook["cells"].([]any) {
		cell := c.(map[string]any)
		if cell["cell_type"] != "code" || strings.Contains(joined(cell), "Printn") || strings.Contains(joined(cell), "lt.Zeros(64, 32)") {
			continue // text, and cells that show errors
		}
		source := joined(cell)
		for i := 0; i < len(replace); i += 2 {
			if strings.Contains(source, replace[i]) {
				used[replace[i]] = true
				source = strings.ReplaceAll(source, replace[i], replace[i+1])
			}
		}
		cells = append(cells, code(cell["id"].(string), source))
	}
	for i := 0; i < len(replace); i += 2 {
		if !used[replace[i]] {
			t.Fatalf("%s has no %q any more: make it small in another way", name, replace[i])
		}
	}
	notebook["cells"] = append(cells, code("numbers", "fmt.Println(\"numbers\", []float64{"+numbers+"}, \"on\", lt.GetStats().Device)"))
	if data, err = json.Marshal(notebook); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name+".ipynb")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// joined is a cell's source, which notebooks keep as a text or as its lines.
func joined(cell map[string]any) string {
	if lines, ok := cell["source"].([]any); ok {
		var b strings.Builder
		for _, l := range lines {
			b.WriteString(l.(string))
		}
		return b.String()
	}
	return cell["source"].(string)
}
