//go:build !(linux && softmetal)

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "cudarun: built without -tags softmetal, or not for Linux")
	os.Exit(1)
}
