package softmetal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"loris/metal/softmetal/msl"
)

//go:embed runtime
var runtimeFiles embed.FS

//go:embed toolchain.go
var ownSource string // what is compiled depends on the flags in it

// ErrNoCompiler says that clang 19, which everything here is built with, is not installed.
var ErrNoCompiler = errors.New("clang++-19 is not installed (Debian: apt-get install clang-19 lld-19)")

// Toolchain compiles MSL and the software Metal itself. Results are kept in Dir by the hash of all that went in.
type Toolchain struct {
	Dir    string // where results and the runtime's files are kept
	clang  string
	digest string // of the runtime files and of what turns MSL into C++
}

// NewToolchain finds clang 19 and unpacks the runtime under dir; "" is a folder of the user's cache.
func NewToolchain(dir string) (*Toolchain, error) {
	clang, err := exec.LookPath("clang++-19")
	if err != nil {
		return nil, ErrNoCompiler
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		dir = filepath.Join(cache, "loris", "softmetal")
	}
	t := &Toolchain{Dir: dir, clang: clang}
	hash := sha256.New()
	err = fs.WalkDir(runtimeFiles, "runtime", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := runtimeFiles.ReadFile(path)
		hash.Write([]byte(path))
		hash.Write(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, text := range []string{msl.StrictHeader(), msl.Source(), ownSource} {
		hash.Write([]byte(text))
	}
	t.digest = hex.EncodeToString(hash.Sum(nil))[:16]
	return t, t.unpack()
}

func (t *Toolchain) includeDir() string { return filepath.Join(t.Dir, "runtime-"+t.digest) }

func (t *Toolchain) unpack() error {
	if _, err := os.Stat(filepath.Join(t.includeDir(), "complete")); err == nil {
		return nil
	}
	if err := os.MkdirAll(t.includeDir(), 0o755); err != nil {
		return err
	}
	entries, err := runtimeFiles.ReadDir("runtime")
	if err != nil {
		return err
	}
	for _, e := range entries {
		data, err := runtimeFiles.ReadFile("runtime/" + e.Name())
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(t.includeDir(), e.Name()), data); err != nil {
			return err
		}
	}
	if err := writeFile(filepath.Join(t.includeDir(), "msl_strict.h"), []byte(msl.StrictHeader())); err != nil {
		return err
	}
	return writeFile(filepath.Join(t.includeDir(), "complete"), nil)
}

// writeFile is atomic, since several tests may build the same thing at once.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (t *Toolchain) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		if messages.Len() == 0 {
			return "", fmt.Errorf("%s: %w", args[0], err)
		}
		return "", errors.New(strings.TrimSpace(messages.String()))
	}
	return out.String(), nil
}

var metalHeader = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*<metal_\w+>`)

// Parse preprocesses MSL source and reads it. Errors name lines of program_source, as Apple's compiler does.
func (t *Toolchain) Parse(source string) (*msl.Program, error) {
	source = metalHeader.ReplaceAllString(source, "") // their contents are built in
	dir, err := os.MkdirTemp("", "msl-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	in := filepath.Join(dir, "in.metal")
	if err := os.WriteFile(in, []byte("#line 1 \"program_source\"\n"+source+"\n"), 0o644); err != nil {
		return nil, err
	}
	text, err := t.run(t.clang, "-E", "-x", "c++", "-std=c++17", "-undef", "-nostdinc", "-nostdinc++", "-w",
		"-include", filepath.Join(t.includeDir(), "msl_predefined.h"), in)
	if err != nil {
		return nil, err
	}
	return msl.Parse(text)
}

// HostOptions choose how MSL is compiled for the CPU.
type HostOptions struct {
	Arch   string // GOARCH to compile for; "" is this machine's
	Racing bool   // an executable under ThreadSanitizer instead of a shared library
}

// architectureFlags target a GOARCH; another than this machine's needs lld and that architecture's headers.
func architectureFlags(arch string) []string {
	if arch == "" {
		arch = runtime.GOARCH
	}
	flags := map[string][]string{"amd64": {"-march=x86-64-v3"}, "arm64": {"-march=armv8.2-a+fp16"}}[arch]
	if arch != runtime.GOARCH {
		flags = append(flags, "--target="+map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[arch], "-fuse-ld=lld")
	}
	return flags
}

// hostFlags: calls are convergent, since the optimiser must not split the places where lanes meet; half rounds
// after each operation, as on the GPU; nothing is contracted, so results do not depend on the optimiser.
func hostFlags(o HostOptions) []string {
	flags := append([]string{"-std=c++17", "-O1", "-w", "-fPIC", "-pthread", "-ffp-contract=off", "-fconvergent-functions", "-fno-exceptions",
		"-Xclang", "-ffloat16-excess-precision=none", "-fvisibility=hidden", "-ferror-limit=20"}, architectureFlags(o.Arch)...)
	if o.Racing {
		flags = append(flags, "-fsanitize=thread", "-gdwarf-4", "-fno-omit-frame-pointer")
	}
	return flags
}

// CompileHost compiles MSL for the CPU and returns the path of the shared library (or race executable).
func (t *Toolchain) CompileHost(source string, o HostOptions) (string, error) {
	path := filepath.Join(t.Dir, t.key("host", o.Arch, fmt.Sprint(o.Racing), source)+".so")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	p, err := t.Parse(source)
	if err != nil {
		return "", err
	}
	code, err := p.HostSource()
	if err != nil {
		return "", err
	}
	header, err := t.precompiled(o)
	if err != nil {
		return "", err
	}
	threads, err := t.threads(o)
	if err != nil {
		return "", err
	}
	args := append([]string{t.clang}, hostFlags(o)...)
	args = append(args, "-include-pch", header, "-I", t.includeDir())
	switch {
	case o.Racing:
		return path, t.produce(path, ".cpp", code, args, []string{threads, filepath.Join(t.includeDir(), "race_main.cpp")}, nil)
	case o.Arch != "" && o.Arch != runtime.GOARCH:
		return path, t.produce(path, ".cpp", code, args, []string{threads, "-shared", "-lm"}, nil)
	}
	// The linker by itself: clang would take as long to call it as to compile a small kernel.
	builtins, err := t.builtins()
	if err != nil {
		return "", err
	}
	return path, t.produce(path, ".cpp", code, args, []string{"-c"}, []string{"ld", "-shared", threads, builtins, "-lm", "-lc"})
}

// builtins is the compiler's own library, for conversions that have no instruction.
func (t *Toolchain) builtins() (string, error) {
	note := filepath.Join(t.includeDir(), "builtins-"+runtime.GOARCH)
	if path, err := os.ReadFile(note); err == nil {
		return string(path), nil
	}
	path, err := t.run(t.clang, "-print-libgcc-file-name")
	if err != nil {
		return "", err
	}
	path = strings.TrimSpace(path)
	return path, writeFile(note, []byte(path))
}

// produce writes code to a file, compiles it with args and extra, links that with a linker if one is given, and moves
// the result to path.
func (t *Toolchain) produce(path, ext, code string, args, extra, linker []string) error {
	dir, err := os.MkdirTemp(t.Dir, "build-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "program"+ext), filepath.Join(dir, "out")
	if err := os.WriteFile(in, []byte(code), 0o644); err != nil {
		return err
	}
	args = append(args, in)
	args = append(args, extra...)
	if _, err := t.run(append(args, "-o", out)...); err != nil {
		return err
	}
	if linker != nil {
		object := out
		out = filepath.Join(dir, "linked")
		// The object stands before the libraries that it needs.
		command := append([]string{linker[0], object}, linker[1:]...)
		if _, err := t.run(append(command, "-o", out)...); err != nil {
			return err
		}
	}
	return os.Rename(out, path)
}

// precompiled returns the runtime's header, compiled once for these options.
func (t *Toolchain) precompiled(o HostOptions) (string, error) {
	return t.once(o, ".pch", "-x", "c++-header", filepath.Join(t.includeDir(), "msl_threads.h"))
}

// threads returns what runs the threads of a dispatch as an object file, compiled once for these options.
func (t *Toolchain) threads(o HostOptions) (string, error) {
	return t.once(o, ".o", "-O2", "-c", filepath.Join(t.includeDir(), "msl_threads.cpp"))
}

// once compiles a part of the runtime unless that has been done.
func (t *Toolchain) once(o HostOptions, ext string, what ...string) (string, error) {
	path := filepath.Join(t.Dir, t.key("runtime", o.Arch, fmt.Sprint(o.Racing))+ext)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	dir, err := os.MkdirTemp(t.Dir, "build-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "out")
	args := append([]string{t.clang}, hostFlags(o)...)
	args = append(args, what...)
	if _, err := t.run(append(args, "-o", out)...); err != nil {
		return "", err
	}
	return path, os.Rename(out, path)
}

func (t *Toolchain) key(parts ...string) string {
	h := sha256.New()
	for _, p := range append(parts, t.digest) {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:24]
}

var (
	genericPointer = regexp.MustCompile(`(ParmVarDecl|VarDecl|FieldDecl).*?\b([A-Za-z_]\w*) '([^']*__generic[^']*)'`)
	astLine        = regexp.MustCompile(`<(?:([^:<>]+\.metal|kernel body|kernel header|program_source|line)):(\d+)`)
)

// TypeCheck checks MSL strictly: address spaces, overloads, vector sizes. It returns nil for a clean program.
func (t *Toolchain) TypeCheck(source string) error {
	mark := filepath.Join(t.Dir, t.key("check", source)+".ok")
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	p, err := t.Parse(source)
	if err != nil {
		return err
	}
	code, err := p.CheckSource()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(t.Dir, "check-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	in := filepath.Join(dir, "program.clcpp")
	if err := os.WriteFile(in, []byte("#include \"msl_strict.h\"\n"+code), 0o644); err != nil {
		return err
	}
	tree, err := t.run(t.clang, "-x", "clcpp", "-cl-std=clc++2021", "-target", "x86_64-linux-gnu", "-Xclang", "-ffake-address-space-map",
		"-isystem", t.includeDir(), "-cl-no-stdinc", "-fsyntax-only", "-ferror-limit=20", "-Wno-everything",
		"-Werror=pre-c++17-compat", // MSL 3.1 is C++14; the declarations of its library are not, and count as a system's
		"-Xclang", "-ast-dump", "-Xclang", "-ast-dump-filter=metal_program", in)
	if err != nil {
		return err
	}
	file, at := "program_source", "?"
	var found []string
	for _, l := range strings.Split(tree, "\n") {
		if m := astLine.FindStringSubmatch(l); m != nil {
			if at = m[2]; m[1] != "line" {
				file = m[1]
			}
		}
		m := genericPointer.FindStringSubmatch(l)
		if m != nil && m[2] != "used" && m[2] != "referenced" && !strings.Contains(m[3], "(") { // implicit members have no names
			found = append(found, fmt.Sprintf("%s:%s:1: error: pointer or reference '%s' must have an explicit address space (%s)", file, at, m[2], strings.ReplaceAll(m[3], "__generic ", "")))
		}
	}
	if len(found) > 0 {
		return errors.New(strings.Join(found, "\n"))
	}
	return writeFile(mark, nil)
}

// PTX compiles MSL for NVIDIA GPUs (compute capability 8.0 and above); every kernel k is an entry metal_k.
func (t *Toolchain) PTX(source string, constants map[int]string) (string, error) {
	path := filepath.Join(t.Dir, t.key("ptx", fmt.Sprint(constants), source)+".ptx")
	if data, err := os.ReadFile(path); err == nil {
		return string(data), nil
	}
	p, err := t.Parse(source)
	if err != nil {
		return "", err
	}
	code, err := p.CUDASource(constants)
	if err != nil {
		return "", err
	}
	args := []string{t.clang, "-x", "cuda", "-nocudainc", "-nocudalib", "--cuda-device-only", "--cuda-gpu-arch=sm_80",
		"-Xclang", "-target-feature", "-Xclang", "+ptx80", "-std=c++17", "-O3", "-S", "-w", "-ffp-contract=off", "-I", t.includeDir()}
	if err := t.produce(path, ".cu", code, args, nil, nil); err != nil {
		return "", err
	}
	data, err := os.ReadFile(path)
	return string(data), err
}
