package softmetal

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// BuildLibrary compiles the software Metal for a GOARCH ("" is this machine's) and returns its path. The path of
// mslc, which it calls to compile MSL, must stand in SOFTMETAL_MSLC or beside it: see BuildCompiler.
func (t *Toolchain) BuildLibrary(arch string) (string, error) {
	if arch == "" {
		arch = runtime.GOARCH
	}
	dir := filepath.Join(t.Dir, t.key("library", arch))
	path := filepath.Join(dir, "libsoftmetal.so")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	args := append([]string{t.clang, "-std=c++17", "-O2", "-Wall", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-static-libstdc++", "-static-libgcc"}, architectureFlags(arch)...)
	args = append(args, filepath.Join(t.includeDir(), "objc_runtime.cpp"), filepath.Join(t.includeDir(), "metal_objects.cpp"),
		filepath.Join(t.includeDir(), "metal_library.cpp"), "-o", temporary)
	if _, err := t.run(args...); err != nil {
		return "", fmt.Errorf("building the software Metal: %w", err)
	}
	return path, os.Rename(temporary, path)
}

// BuildCompiler builds the program mslc and returns its path. Other versions of the sources, and other processes that
// build it at the same time, are not disturbed.
func (t *Toolchain) BuildCompiler() (string, error) {
	path := filepath.Join(t.Dir, "mslc-"+t.digest)
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.Command("go", "build", "-o", temporary, "loris/metal/softmetal/mslc")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=", "GOARCH=", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building mslc: %w\n%s", err, out)
	}
	return path, os.Rename(temporary, path)
}

// Setup builds all that a test needs and names it in the environment: LORIS_METAL_LIBRARY, which the host code
// loads, and SOFTMETAL_MSLC. It leaves what is set already as it is.
func Setup() error {
	if os.Getenv("LORIS_METAL_LIBRARY") != "" {
		return nil
	}
	t, err := NewToolchain("")
	if err != nil {
		return err
	}
	library, err := t.BuildLibrary("")
	if err != nil {
		return err
	}
	compiler, err := t.BuildCompiler()
	if err != nil {
		return err
	}
	os.Setenv("SOFTMETAL_MSLC", compiler)
	return os.Setenv("LORIS_METAL_LIBRARY", library)
}
