// Command command compares the library with what PyTorch recorded in a fixture
// and prints the differences and a summary.
package main

import (
	"fmt"
	"os"

	"loris/internal/parity"
)

func main() {
	path := "internal/parity/testdata/parity.jsonl.gz"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var s parity.Summary
		if s, err = parity.Run(f, func(failure string) { fmt.Println(failure) }); err == nil {
			fmt.Println("recorded by PyTorch", s.PyTorch)
			fmt.Println(s)
			if s.Failed > 0 {
				os.Exit(1)
			}
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
