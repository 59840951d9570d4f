// Package kernelspec installs and removes the kernelspec: the directory with
// kernel.json and logos through which Jupyter finds the kernel.
package kernelspec

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"loris/internal/lazy"
)

//go:generate go run ./logogen

//go:embed logo-32x32.png logo-64x64.png logo-svg.svg
var logos embed.FS

// Names of the kernel.
const (
	DefaultName = "loris"
	DisplayName = "Go (Loris)"
)

// spec is kernel.json.
type spec struct {
	Argv          []string       `json:"argv"`
	DisplayName   string         `json:"display_name"`
	Language      string         `json:"language"`
	InterruptMode string         `json:"interrupt_mode"`
	Protocol      string         `json:"kernel_protocol_version"`
	Metadata      map[string]any `json:"metadata"`
}

// Options is what goes into kernel.json.
type Options struct {
	Binary      string // absolute path of the loris binary
	DisplayName string
}

// Install writes the kernelspec and returns its directory. An older one of the
// same name is replaced as a whole: Jupyter sees the old or the new.
func Install(p Place, o Options) (string, error) {
	if !filepath.IsAbs(o.Binary) {
		return "", fmt.Errorf("install: the path of the binary must be absolute, not %q", o.Binary)
	}
	dir, err := p.Dir()
	if err != nil {
		return "", err
	}
	if err := install(dir, o); err != nil {
		return "", explain("install", p, err)
	}
	return dir, nil
}

func install(dir string, o Options) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, ".loris-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil { // other users read a system-wide kernelspec
		return err
	}
	if err := write(tmp, o); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); err == nil {
		if err := isKernelspec(dir); err != nil {
			return err
		}
		old := tmp + "-old"
		if err := os.Rename(dir, old); err != nil {
			return err
		}
		defer os.RemoveAll(old)
	}
	return os.Rename(tmp, dir)
}

func write(dir string, o Options) error {
	b, err := json.MarshalIndent(spec{
		Argv:          []string{o.Binary, "kernel", "-f", "{connection_file}"},
		DisplayName:   o.DisplayName,
		Language:      "go",
		InterruptMode: "message",
		Protocol:      "5.5",
		Metadata:      map[string]any{"debugger": false, "supported_encryption": []string{"curve"}},
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "kernel.json"), append(b, '\n'), 0o644); err != nil {
		return err
	}
	return fs.WalkDir(logos, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := logos.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), content, 0o644)
	})
}

// Uninstall removes the kernelspec and returns the directory it was in.
func Uninstall(p Place) (string, error) {
	dir, err := p.Dir()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("uninstall: there is no kernelspec in %s: `jupyter kernelspec list` shows where it is; name that place with --user, --prefix or --sys-prefix", dir)
	}
	if err := isKernelspec(dir); err != nil {
		return "", err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", explain("uninstall", p, err)
	}
	return dir, nil
}

// isKernelspec keeps us from removing a directory that is something else.
func isKernelspec(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "kernel.json")); err != nil {
		return fmt.Errorf("%s exists but holds no kernel.json: move it away, or choose another --name", dir)
	}
	return nil
}

func explain(what string, p Place, err error) error {
	// A read-only file system, or a file where a folder should be, is as
	// unwritable as a folder without permission.
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrNotExist) {
		fix := "choose --user, another place with --prefix DIR, or a user who may write there"
		if p.Prefix == "" && !p.SysPrefix {
			fix = "correct the permissions, or choose another place with --prefix DIR or the variable JUPYTER_DATA_DIR"
		}
		return fmt.Errorf("%s: %w: %s", what, err, fix)
	}
	return fmt.Errorf("%s: %w", what, err)
}

var validName = lazy.Regexp(`^[a-z0-9._-]+$`)

func checkName(name string) error {
	if !validName().MatchString(name) || strings.Trim(name, ".") == "" {
		return fmt.Errorf("--name %q: use lower-case letters, digits, '.', '_' and '-' only", name)
	}
	return nil
}
