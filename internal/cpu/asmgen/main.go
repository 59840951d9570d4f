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
	"go/format"
	"os"
	"slices"
	"strings"

	"loris/internal/cpu/lane"
)

// target is one file to generate.
type target struct {
	name string // also the file's folder, see files
	file string
	make func() string
}

var targets = []target{
	{"lane", "coefficients.go", coefficients},
	{"gemm", "kernel_amd64.s", gemmX86},
	{"gemm", "pairs_amd64.s", pairsX86},
	{"gemm", "double_amd64.s", doubleX86},
	{"gemm", "kernel_arm64.s", gemmNEON},
	{"vec", "elementwise_avx512_amd64.s", func() string { return vecX86(lane.X86{Wide: true}, "AVX512") }},
	{"vec", "elementwise_avx2_amd64.s", func() string { return vecX86(lane.X86{}, "AVX2") }},
	{"vec", "elementwise_arm64.s", vecNEON},
	{"gemv", "kernel_amd64.s", func() string { return gemvFile("amd64") }},
	{"gemv", "kernel_arm64.s", func() string { return gemvFile("arm64") }},
	{"quant", "kernel_amd64.s", quantX86},
	{"quant", "kernel_arm64.s", quantNEON},
	{"limit", "loops_amd64.s", limitX86},
	{"limit", "loops_arm64.s", limitNEON},
	{"vec", "rows_avx512_amd64.s", func() string { return rowsX86(lane.X86{Wide: true}, "AVX512") }},
	{"vec", "rows_avx2_amd64.s", func() string { return rowsX86(lane.X86{}, "AVX2") }},
	{"vec", "rows_arm64.s", rowsNEON},
	{"vec", "rows_names.go", rowsNames},
	{"vec", "rows_amd64.go", func() string { return rowsTable("AVX512", "AVX2") }},
	{"vec", "rows_arm64.go", func() string { return rowsTable("NEON") }},
	{"vec", "elementwise_names.go", vecNames},
	{"vec", "elementwise_amd64.go", func() string { return vecTable("AVX512", "AVX2") }},
	{"vec", "elementwise_arm64.go", func() string { return vecTable("NEON") }},
}

// content makes the file; Go code is formatted.
func (t target) content() []byte {
	b := []byte(t.make())
	if strings.HasSuffix(t.file, ".go") {
		formatted, err := format.Source(b)
		if err != nil {
			panic(err)
		}
		return formatted
	}
	return b
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
			if err := os.WriteFile(t.file, t.content(), 0o644); err != nil {
				fmt.Fprintln(os.Stderr, "asmgen:", err)
				os.Exit(1)
			}
		}
	}
}
