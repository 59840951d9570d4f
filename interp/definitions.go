package interp

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"sort"
	"strings"

	"loris/interp/check"
)

// A definition is what a cell declared: a function, a method, a type or
// constants.
type definition struct {
	key    string   // "f", "T", "T.M" or "A, B" of a group of constants
	names  []string // under which it is found
	cell   string   // "cell 3"
	order  int
	source string // the cell's text with all but the declaration blanked
	line   int
	end    int
	doc    string
	uses   map[string]bool // names of the session; what they mean may change
	isType bool
}

// A cellRun is the last run of a cell, for %stale.
type cellRun struct {
	name     string
	order    int
	uses     map[string]bool
	declares map[string]bool
}

// A change is when a name last got another value or meaning.
type change struct {
	cell  string
	order int
}

// record remembers what a checked cell declares, uses and changes.
func (s *Session) record(name, id string, cell *check.Cell) {
	s.runs++
	r := &cellRun{name: name, order: s.runs, uses: map[string]bool{}, declares: map[string]bool{}}
	for _, o := range cell.Info.Uses {
		if s.global(o) {
			r.uses[o.Name()] = true
		}
	}
	for _, n := range cell.Declared {
		r.declares[n] = true
		s.changes[n] = change{name, s.runs}
		s.declaredIn[n] = name
	}
	for _, item := range cell.Items {
		if item.Stmt != nil {
			s.recordAssignments(name, item.Stmt, cell)
		}
	}
	if id == "" {
		id = name
	}
	s.lastRun[id] = r
	for _, d := range cell.Decls {
		s.recordDecl(name, d, cell)
	}
}

func (s *Session) global(o types.Object) bool {
	return o != nil && o.Pkg() == s.scope.Pkg && o.Parent() == s.scope.Pkg.Scope()
}

// recordAssignments notes the variables that a statement at the top level may
// change.
func (s *Session) recordAssignments(name string, stmt ast.Stmt, cell *check.Cell) {
	mark := func(e ast.Expr) {
		for {
			switch x := ast.Unparen(e).(type) {
			case *ast.SelectorExpr:
				e = x.X
				continue
			case *ast.IndexExpr:
				e = x.X
				continue
			case *ast.StarExpr:
				e = x.X
				continue
			case *ast.Ident:
				if o := cell.Info.Uses[x]; s.global(o) {
					s.changes[o.Name()] = change{name, s.runs}
				}
			}
			return
		}
	}
	ast.Inspect(stmt, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				mark(e)
			}
		case *ast.IncDecStmt:
			mark(n.X)
		}
		return true
	})
}

func (s *Session) recordDecl(name string, d ast.Decl, cell *check.Cell) {
	add := func(names []string, node ast.Node, doc *ast.CommentGroup, isType bool) {
		def := &definition{key: strings.Join(names, ", "), names: names, cell: name, order: s.runs, uses: map[string]bool{}, isType: isType}
		def.line, def.end = s.position(node.Pos()).Line, s.position(node.End()).Line
		if text, ok := s.source(name); ok {
			def.source = keepOnly(text, s.position(node.Pos()), s.position(node.End()))
		}
		if doc != nil {
			def.doc = doc.Text()
		}
		ast.Inspect(node, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if o := cell.Info.Uses[id]; s.global(o) {
					def.uses[o.Name()] = true
				}
			}
			return true
		})
		for _, n := range names {
			s.definitions[n] = def
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		key := d.Name.Name
		if d.Recv != nil && len(d.Recv.List) > 0 {
			key = receiverBase(d.Recv.List[0].Type) + "." + key
		}
		if key != "init" {
			add([]string{key}, d, d.Doc, false)
		}
	case *ast.GenDecl:
		if d.Tok == token.CONST {
			if names := constants(d); len(names) > 0 {
				add(names, d, d.Doc, false)
			}
			return
		}
		if d.Tok != token.TYPE {
			return
		}
		for _, spec := range d.Specs {
			doc := d.Doc
			if ts := spec.(*ast.TypeSpec); ts.Doc != nil {
				doc = ts.Doc
			}
			// A type of a group is kept with the whole group.
			add([]string{spec.(*ast.TypeSpec).Name.Name}, d, doc, true)
		}
	}
}

// constants names what a declaration of constants declares.
func constants(d *ast.GenDecl) (names []string) {
	for _, spec := range d.Specs {
		for _, id := range spec.(*ast.ValueSpec).Names {
			if id.Name != "_" {
				names = append(names, id.Name)
			}
		}
	}
	return names
}

func receiverBase(e ast.Expr) string {
	switch e := ast.Unparen(e).(type) {
	case *ast.StarExpr:
		return receiverBase(e.X)
	case *ast.IndexExpr:
		return receiverBase(e.X)
	case *ast.IndexListExpr:
		return receiverBase(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// keepOnly blanks a cell's text except for a range, so that positions stay.
func keepOnly(text string, from, to token.Position) string {
	start, end := offsetAt(text, from), offsetAt(text, to)
	return blanks(text[:start]) + text[start:end]
}

func offsetAt(text string, p token.Position) int {
	off := 0
	for range p.Line - 1 {
		i := strings.IndexByte(text[off:], '\n')
		if i < 0 {
			return len(text)
		}
		off += i + 1
	}
	return min(off+p.Column-1, len(text))
}

func blanks(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return ' '
	}, s)
}

// stale lists the cells whose inputs changed since they ran.
func (s *Session) stale() (list []staleCell) {
	for _, r := range s.lastRun {
		for _, n := range sortedKeys(r.uses) {
			if ch, ok := s.changes[n]; ok && ch.order > r.order && !r.declares[n] {
				list = append(list, staleCell{r.order, r.name, n + " changed in " + ch.cell})
				break
			}
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].order < list[j].order })
	return list
}

type staleCell struct {
	order     int
	name, why string
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
