package msl

import (
	"embed"
	"strings"
)

//go:embed emit.go program.go stdlib.go token.go
var files embed.FS

// Source is the text of this package: what was compiled from its output is out of date when it differs.
func Source() string {
	var b strings.Builder
	entries, _ := files.ReadDir(".") // of a folder that is built in
	for _, e := range entries {
		text, _ := files.ReadFile(e.Name())
		b.Write(text)
	}
	return b.String()
}
