// Command generate writes the symbol tables and the archive of export data and
// documentation that package symbols embeds. It needs the Go toolchain and its
// source tree; the programs that use the result need neither.
//
//	go run ./generate -kind std       # tables of the standard library
//	go run ./generate -kind library   # tables of our own library packages
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"time"

	"loris/interp/symbols/table"
)

// A platform is a pair that releases are built for. Tables and export data
// that differ between platforms are written once for each.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

// The first platform is the base: the others store only how they differ.
var platforms = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

func main() {
	log.SetFlags(0)
	log.SetPrefix("generate: ")
	kind := flag.String("kind", "std", "which tables to write: std or library")
	out := flag.String("out", "", "folder of the generated package (default: the name of the kind)")
	flag.Parse()
	if *out == "" {
		*out = *kind
	}
	started := time.Now()
	var err error
	switch *kind {
	case "std":
		err = generate(*kind, *out, stdPatterns, stdWanted, platforms)
	case "library":
		// Our own packages look the same on every platform; the tables are
		// checked for that by building them for each.
		err = generate(*kind, *out, existing(libraryPackages), libraryWanted, platforms[:1])
	default:
		err = fmt.Errorf("unknown kind %q: use std or library", *kind)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.1f s\n", *kind, time.Since(started).Seconds())
}

var stdPatterns = []string{"std"}

func stdWanted(path string) bool {
	if _, ok := table.LeftOut[path]; ok {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "internal" || part == "vendor" || part == "cmd" {
			return false
		}
	}
	return true
}

// libraryPackages are the packages of this module that cells may import, and
// the third-party ones that their API mentions.
var libraryPackages = []string{
	"loris/display",
	"loris/tensorlib",
	"loris/tensorlib/nn",
	"loris/tensorlib/lora",
	"loris/tensorlib/lm",
	"loris/tensorlib/embed",
	"loris/tensorlib/bench",
}

func libraryWanted(path string) bool {
	for _, p := range libraryPackages {
		if p == path {
			return true
		}
	}
	return false
}

// existing drops the packages that are not there (yet) or have no Go files.
func existing(paths []string) (found []string) {
	for _, p := range paths {
		cmd := exec.Command("go", "list", p)
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "generate: %s is not there, left out\n", p)
			continue
		}
		found = append(found, p)
	}
	return found
}
