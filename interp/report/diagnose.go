package report

import (
	"errors"
	"go/scanner"
	"go/token"
	"go/types"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// FromError turns what the parser and the type checker return into
// diagnostics: a scanner.ErrorList, types.Errors, or any other error, alone or
// joined.
func FromError(fset *token.FileSet, err error) (ds []Diagnostic) {
	if err == nil {
		return nil
	}
	var list scanner.ErrorList
	var one *scanner.Error
	var typ types.Error
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case ok:
		for _, e := range joined.Unwrap() {
			ds = append(ds, FromError(fset, e)...)
		}
		return fold(ds)
	case errors.As(err, &list):
		// One error per line: what follows on it is mostly confusion.
		list = slices.Clone(list)
		list.RemoveMultiples()
		for _, e := range list {
			ds = append(ds, Diagnostic{Pos: e.Pos, Msg: syntaxError(e.Msg)})
		}
		return ds
	case errors.As(err, &one):
		return []Diagnostic{{Pos: one.Pos, Msg: syntaxError(one.Msg)}}
	case errors.As(err, &typ):
		return []Diagnostic{FromTypes(typ)}
	}
	return []Diagnostic{{Msg: err.Error()}}
}

// syntaxError says the word that the compiler says.
func syntaxError(msg string) string {
	if strings.HasPrefix(msg, "syntax error") || strings.HasPrefix(msg, "//go:") {
		return msg
	}
	return "syntax error: " + msg
}

// libraryName matches what go/types calls things of the tensor library, which
// cells know as lt.
var libraryName = regexp.MustCompile(`\btensorlib\.([A-Z])`)

// FromTypes turns an error of the type checker into a diagnostic.
func FromTypes(e types.Error) Diagnostic {
	d := Diagnostic{Msg: libraryName.ReplaceAllString(e.Msg, "lt.$1")}
	if e.Fset != nil && e.Pos.IsValid() {
		d.Pos = e.Fset.Position(e.Pos)
		if end := errorEnd(e); end > e.Pos {
			d.End = e.Fset.Position(end)
		}
	}
	return d
}

// errorEnd reads the end of an error, which go/types keeps for its own tools
// in a field without a getter. Without it only a token is underlined.
func errorEnd(e types.Error) token.Pos {
	if f := reflect.ValueOf(e).FieldByName("go116end"); f.IsValid() && f.CanInt() {
		return token.Pos(f.Int())
	}
	return token.NoPos
}

// Hinted turns the errors that a types.Config.Error function collected into
// diagnostics, with what unknown names may have been meant to be. Continuations,
// which go/types marks with a tab ("other declaration of x"), become notes of the
// error before them.
func Hinted(errs []types.Error, in Scope) (ds []Diagnostic) {
	for _, e := range errs {
		d := FromTypes(e)
		d.Hint = Suggest(e, in)
		ds = append(ds, d)
	}
	return fold(ds)
}

func fold(ds []Diagnostic) (out []Diagnostic) {
	for _, d := range ds {
		if msg, ok := strings.CutPrefix(d.Msg, "\t"); ok && len(out) > 0 {
			last := &out[len(out)-1]
			last.Notes = append(last.Notes, Note{Pos: d.Pos, Msg: msg})
			continue
		}
		out = append(out, d)
	}
	return out
}
