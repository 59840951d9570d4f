package kernelspec

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Place says where a kernelspec lives. At most one of User, Prefix and SysPrefix
// is set; none means User.
type Place struct {
	User      bool
	Prefix    string // directory above share/jupyter
	SysPrefix bool   // the active Python environment
	Name      string // "" means DefaultName
}

// Dir is the kernelspec's directory.
func (p Place) Dir() (string, error) {
	name := p.Name
	if name == "" {
		name = DefaultName
	}
	if err := checkName(name); err != nil {
		return "", err
	}
	data, err := p.dataDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(data, "kernels", name), nil
}

func (p Place) dataDir() (string, error) {
	switch {
	case p.Prefix != "":
		abs, err := filepath.Abs(p.Prefix)
		if err != nil {
			return "", err
		}
		if st, err := os.Stat(abs); err == nil && !st.IsDir() {
			return "", fmt.Errorf("--prefix %s is not a directory", p.Prefix)
		}
		return filepath.Join(abs, "share", "jupyter"), nil
	case p.SysPrefix:
		prefix, err := pythonPrefix()
		if err != nil {
			return "", err
		}
		return filepath.Join(prefix, "share", "jupyter"), nil
	}
	return userDataDir()
}

// userDataDir is where Jupyter looks for a user's files on each platform.
func userDataDir() (string, error) {
	if dir := os.Getenv("JUPYTER_DATA_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory (%w): set JUPYTER_DATA_DIR, or choose a place with --prefix DIR", err)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Jupyter"), nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "jupyter"), nil
	}
	return filepath.Join(home, ".local", "share", "jupyter"), nil
}

// pythonPrefix is sys.prefix of the Python environment that is active.
func pythonPrefix() (string, error) {
	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if dir := os.Getenv(name); dir != "" {
			return dir, nil
		}
	}
	for _, python := range []string{"python3", "python"} {
		out, err := exec.Command(python, "-c", "import sys; print(sys.prefix)").Output()
		if prefix := strings.TrimSpace(string(out)); err == nil && prefix != "" {
			return prefix, nil
		}
	}
	return "", errors.New("--sys-prefix: no Python environment found: activate one, or name it with --prefix DIR")
}
