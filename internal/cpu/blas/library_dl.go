//go:build darwin || (linux && openblas)

package blas

import (
	"os"
	"sync"

	"github.com/ebitengine/purego"
)

// library opens the library once. LORIS_BLAS=none does without.
var library = sync.OnceValues(func() (string, sgemmFunc) {
	if os.Getenv("LORIS_BLAS") == "none" {
		return "", nil
	}
	for _, file := range files {
		handle, err := purego.Dlopen(file, purego.RTLD_NOW|purego.RTLD_GLOBAL)
		if err != nil {
			continue
		}
		symbol, err := purego.Dlsym(handle, "cblas_sgemm")
		if err != nil {
			continue
		}
		var f sgemmFunc
		purego.RegisterFunc(&f, symbol)
		return libraryName, f
	}
	return "", nil
})
