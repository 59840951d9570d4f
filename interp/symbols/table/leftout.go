package table

// LeftOut names the packages of the standard library that have no table, each
// with the reason that a user gets to read. The type checker itself provides
// unsafe.
var LeftOut = map[string]string{
	"plugin":           "needs cgo and the dynamic linker, which a static binary has not",
	"runtime/cgo":      "needs cgo, which a static binary has not",
	"runtime/coverage": "reads the counters of a binary built with -cover",
	"runtime/race":     "is part of the race detector and has no symbols",
	"testing/synctest": "needs the goroutines of a compiled test",
	"unsafe":           "is part of the language and has no symbols",
}
