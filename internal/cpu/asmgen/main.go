// Command asmgen writes the assembly of the CPU kernels. It is run by go
// generate in the packages beside it:
//
//	go run loris/internal/cpu/asmgen TARGET…
//
// where a target is a row of the table below and its file is written to the
// working directory.
package main

import (
	"fmt"
	"os"
	"slices"
)

// target is one file to generate.
type target struct {
	name string // also the file's folder, see files
	file string
	make func() string
}

var targets = []target{
	{"gemm", "kernel_amd64.s", gemmX86},
	{"gemm", "kernel_arm64.s", gemmNEON},
}

func main() {
	for _, name := range os.Args[1:] {
		if !slices.ContainsFunc(targets, func(t target) bool { return t.name == name }) {
			fmt.Fprintf(os.Stderr, "asmgen: no target %q\n", name)
			os.Exit(2)
		}
		for _, t := range targets {
			if t.name != name {
				continue
			}
			if err := os.WriteFile(t.file, []byte(t.make()), 0o644); err != nil {
				fmt.Fprintln(os.Stderr, "asmgen:", err)
				os.Exit(1)
			}
		}
	}
}
