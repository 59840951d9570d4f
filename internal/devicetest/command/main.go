// Command command runs the conformance suite on a device, the CPU if none is
// named, and prints its failures and a summary.
package main

import (
	"fmt"
	"os"

	_ "loris/internal/cpu"
	"loris/internal/devicetest"
)

func main() {
	device := "cpu"
	if len(os.Args) > 1 {
		device = os.Args[1]
	}
	s, err := devicetest.RunAll(device, func(failure string) { fmt.Println(failure) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s)
	if s.Failed > 0 {
		os.Exit(1)
	}
}
