// Package library holds the generated symbol tables of Loris's own packages
// and adds them to package symbols. A program imports it for that effect.
package library

import (
	_ "embed"

	"loris/interp/symbols"
)

//go:embed library.bin
var archived string

func init() {
	if err := symbols.Add(Packages, archived, ""); err != nil {
		panic(err)
	}
}
