// Command version prints the version that it was linked with, as programs and as
// provenance state it.
package main

import (
	"fmt"

	"loris/internal/machine"
)

func main() { fmt.Println(machine.Version(), machine.Read("", "").Version) }
