//go:build darwin || softmetal

package metal

import (
	"os"
	"path/filepath"
	"runtime"

	"loris/internal/plan"
	"loris/metal/mtl"
)

// On macOS the device is always known; elsewhere it is where a software Metal is named.
func init() {
	if runtime.GOOS != "darwin" && os.Getenv("LORIS_METAL_LIBRARY") == "" {
		return
	}
	plan.Register(New(mtl.Options{CacheDir: cacheDir()}).CompileAhead())
}

// cacheDir is where machine code of compiled kernels is kept between runs.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "loris")
}
