package tensorlib_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"loris/internal/ir"
	"loris/internal/op"
)

// index reads testdata/api_index.txt: names, and whether they are ops.
func index(t *testing.T) map[string]bool {
	text, err := os.ReadFile("testdata/api_index.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		group, list, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		for _, n := range strings.Fields(list) {
			if strings.HasPrefix(group, "tensor") || group == "info" || group == "run" {
				if n != "Eval" && n != "EvalAsync" && !strings.HasPrefix(n, "Tensor.") {
					n = "Tensor." + n
				}
			}
			names[n] = strings.HasSuffix(group, " ops")
		}
	}
	return names
}

// exported lists the functions, types, values and methods of Tensor, Rand and
// Kernel in the source of the package.
func exported(t *testing.T) map[string]bool {
	fset := token.NewFileSet()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	add := func(n string) {
		if ast.IsExported(n[strings.Index(n, ".")+1:]) {
			names[n] = true
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add(d.Name.Name)
					continue
				}
				recv := d.Recv.List[0].Type
				if star, ok := recv.(*ast.StarExpr); ok {
					recv = star.X
				}
				switch name := recv.(*ast.Ident).Name; name {
				case "Tensor", "Rand", "Kernel":
					add(name + "." + d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						add(s.Name.Name)
					case *ast.ValueSpec:
						for _, n := range s.Names {
							add(n.Name)
						}
					}
				}
			}
		}
	}
	return names
}

func TestIndexNamesWhatIsExported(t *testing.T) {
	want, have := index(t), exported(t)
	for n := range want {
		if !have[n] {
			t.Errorf("%s is in the index but not exported", n)
		}
	}
	for n := range have {
		if _, ok := want[n]; !ok {
			t.Errorf("%s is exported but not in the index", n)
		}
	}
}

func TestIndexAndOpTableAreEqual(t *testing.T) {
	rows := map[string]ir.Op{}
	for id := ir.Op(1); id < op.NumOps; id++ {
		row := &op.Table[id]
		if row.API == "" {
			continue
		}
		name := "Tensor." + row.API
		switch {
		case row.Function:
			name = row.API
		case row.Op >= op.Normal && row.Op <= op.Permutation:
			name = "Rand." + row.API
		case row.Op == op.Custom:
			name = "Kernel." + row.API
		}
		if _, twice := rows[name]; twice {
			t.Errorf("two rows for %s", name)
		}
		rows[name] = id
	}
	for name, isOp := range index(t) {
		if _, ok := rows[name]; ok != isOp {
			t.Errorf("%s: op in the index %v, row in the table %v", name, isOp, ok)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s has a row but is not in the index", name)
	}
}

// Every example of the table compiles as a cell's expression would.
func TestExamplesCompile(t *testing.T) {
	var src strings.Builder
	src.WriteString("package p\n\nimport lt \"loris/tensorlib\"\n\nfunc use(...any) {}\n\nfunc f() {\n")
	var names []string
	for id := ir.Op(1); id < op.NumOps; id++ {
		if e := op.Table[id].Example; e != "" {
			names = append(names, op.Table[id].Name)
			fmt.Fprintf(&src, "use(%s)\n", e)
		}
	}
	sort.Strings(names)
	src.WriteString("}\n")
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "examples.go", src.String(), 0)
	if err != nil {
		t.Fatal(err)
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil), Error: func(err error) { t.Error(err) }}
	conf.Check("p", fset, []*ast.File{f}, nil)
	if len(names) < 100 {
		t.Errorf("%d examples only", len(names))
	}
}
