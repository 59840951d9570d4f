// Package std holds the generated symbol tables of the standard library and
// the archives of its export data and documentation.
package std

import _ "embed"

// Archive is the export data and documentation of linux/amd64; Delta holds the
// export data of the packages that look different on this platform.
//
//go:embed std.bin
var Archive string
