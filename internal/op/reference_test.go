package op

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"loris/internal/ir"
)

var update = flag.Bool("update", false, "write docs/OPS.md anew")

// sections of the reference, by the kinds of rows they hold.
var sections = []struct {
	title string
	kinds []Kind
}{
	{"Shapes and places", []Kind{View, Copy, Index, Identity}},
	{"Element by element", []Kind{Elementwise}},
	{"Reductions and scans", []Kind{Reduction, Scanning}},
	{"Products", []Kind{Contract}},
	{"Rows: softmax, norms, losses", []Kind{Rowwise}},
	{"Linear algebra", []Kind{Linalg}},
	{"Updates and kernels", []Kind{Multi, Fused, UserKernel}},
	{"Calls made of the above", []Kind{Composition}},
}

// reference is docs/OPS.md: what each op that cells can call computes.
func reference() string {
	var w strings.Builder
	w.WriteString(`# Ops

Every op that a cell can call, made from the table in ` + "`internal/op`" + ` that also holds
its checks, its derivative and its cost (` + "`go test ./internal/op -update`" + ` writes this
page). Shapes broadcast as in NumPy, axes may be negative, and a wrong shape or
dtype is an error at the line of the call. Gradients flow through all of them but
where the text says otherwise.
`)
	for _, s := range sections {
		fmt.Fprintf(&w, "\n## %s\n\n| op | example |\n|---|---|\n", s.title)
		for _, kind := range s.kinds {
			for id := ir.Op(1); id < NumOps; id++ {
				if r := &Table[id]; r.Kind == kind && r.API != "" {
					fmt.Fprintf(&w, "| %s | `%s` |\n", cell(text(r)), cell(r.Example))
				}
			}
		}
	}
	return w.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func text(r *Row) string {
	if r.NoGrad == "" {
		return r.Doc
	}
	return r.Doc + " No gradient: " + r.NoGrad + "."
}

func TestTheReferenceOfOpsIsCurrent(t *testing.T) {
	const page = "../../docs/OPS.md"
	want := reference()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the table says: run go test ./internal/op -update", page)
	}
}

func TestTheReferenceHasEveryOpThatCellsCanCall(t *testing.T) {
	shown := map[Kind]bool{}
	for _, s := range sections {
		for _, k := range s.kinds {
			shown[k] = true
		}
	}
	for id := ir.Op(1); id < NumOps; id++ {
		if r := &Table[id]; r.API != "" && !shown[r.Kind] {
			t.Errorf("%s, of kind %s, is in no section", r.API, r.Kind)
		}
	}
}
