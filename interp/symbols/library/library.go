// Package library holds the generated symbol tables of Loris's own packages
// and the archive of their export data, documentation and source.
package library

import _ "embed"

//go:embed library.bin
var Archive string
