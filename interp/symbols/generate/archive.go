package main

import (
	"bytes"
	"fmt"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/tools/go/gcexportdata"

	"loris/interp/symbols/archive"
)

func generate(kind, out string, patterns []string, wanted func(string) bool, on []platform) error {
	per := map[platform][]*loaded{}
	var shown []*loaded // packages behind aliases, of which only the texts are kept
	for _, p := range on {
		all, err := load(p, patterns)
		if err != nil {
			return err
		}
		per[p] = keep(all, wanted)
		if kind == "library" {
			shown = aliased(per[p], all)
		}
	}
	if err := samePackages(per, on); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := writeTables(out, per, on); err != nil {
		return err
	}
	return writeArchives(kind, out, per, shown, on)
}

func keep(all []*loaded, wanted func(string) bool) (kept []*loaded) {
	for _, l := range all {
		if wanted(l.pkg.Path()) {
			kept = append(kept, l)
		}
	}
	return sortedByPath(kept)
}

// aliased finds the packages that declare types which others show by an alias.
func aliased(kept, all []*loaded) (found []*loaded) {
	behind := map[*types.Package]bool{}
	for _, l := range kept {
		for _, name := range l.pkg.Scope().Names() {
			if t, ok := l.pkg.Scope().Lookup(name).(*types.TypeName); ok && t.Exported() && t.IsAlias() {
				if n, ok := types.Unalias(t.Type()).(*types.Named); ok && n.Obj().Pkg() != nil {
					behind[n.Obj().Pkg()] = true
				}
			}
		}
	}
	for _, l := range all {
		if behind[l.pkg] && !slices.Contains(kept, l) {
			found = append(found, l)
		}
	}
	return sortedByPath(found)
}

func samePackages(per map[platform][]*loaded, on []platform) error {
	for _, p := range on[1:] {
		if a, b := len(per[on[0]]), len(per[p]); a != b {
			return fmt.Errorf("%s has %d packages, %s has %d", on[0], a, p, b)
		}
		for i, l := range per[p] {
			if b := per[on[0]][i].pkg.Path(); b != l.pkg.Path() {
				return fmt.Errorf("%s exists only on one of %s, %s", l.pkg.Path(), on[0], p)
			}
		}
	}
	return nil
}

// writeArchives writes the base archive (export data and documentation) and,
// for each further platform, an archive of the export data that differs.
func writeArchives(kind, out string, per map[platform][]*loaded, shown []*loaded, on []platform) error {
	base := map[string][]byte{}
	for _, p := range on {
		var a archive.Writer
		for _, l := range per[p] {
			path := l.pkg.Path()
			data, err := exportData(l)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", path, p, err)
			}
			if p == on[0] {
				base[path] = data
				a.Add(archive.Export, path, data, nil)
				a.Add(archive.Doc, path, documentation(l), nil)
			} else if !bytes.Equal(data, base[path]) {
				a.Add(archive.Export, path, data, base[path])
			}
		}
		if kind == "std" && p == on[0] {
			doc, err := builtinDocumentation()
			if err != nil {
				return err
			}
			a.Add(archive.Doc, "builtin", doc, nil)
		}
		for _, l := range shown {
			a.Add(archive.Doc, l.pkg.Path(), documentation(l), nil)
		}
		if kind == "library" {
			for _, l := range append(per[p], shown...) {
				text, err := sources(l)
				if err != nil {
					return err
				}
				a.Add(archive.Source, l.pkg.Path(), text, nil)
			}
		}
		name := kind
		if p != on[0] {
			name += "_" + p.String()
		}
		data := a.Bytes()
		fmt.Printf("%-28s %8d bytes, export data %d, documentation %d, source %d (before compression)\n",
			name+".bin", len(data), a.Raw[archive.Export], a.Raw[archive.Doc], a.Raw[archive.Source])
		if err := os.WriteFile(filepath.Join(out, name+".bin"), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// exportData leaves positions out: they would name files of this machine.
func exportData(l *loaded) ([]byte, error) {
	var b bytes.Buffer
	err := gcexportdata.Write(&b, token.NewFileSet(), l.pkg)
	return b.Bytes(), err
}
