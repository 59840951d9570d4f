package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"loris/internal/machine"
)

// The test binary is also loris: with LORIS_TEST_MAIN set it is the command,
// the kernel that `loris run` starts, and that kernel's worker.
func TestMain(m *testing.M) {
	if os.Getenv("LORIS_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// result is what a command has printed and how it ended.
type result struct {
	stdout, stderr string
	code           int
}

// loris runs the command in a folder with nothing of the user's Jupyter in reach.
func loris(t *testing.T, dir string, args ...string) result {
	t.Helper()
	return lorisWith(t, dir, nil, args...)
}

func lorisWith(t *testing.T, dir string, env []string, args ...string) result {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LORIS_TEST_MAIN=1", "LORIS_HISTORY=off", "HOME="+home,
		"JUPYTER_DATA_DIR="+filepath.Join(home, "jupyter"), "VIRTUAL_ENV="+filepath.Join(home, "venv"))
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// wants checks that a command failed with one line that says what, where and
// what to do.
func (r result) wants(t *testing.T, parts ...string) {
	t.Helper()
	if r.code != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "loris: ") {
		t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
	}
	for _, p := range parts {
		if !strings.Contains(r.stderr, p) {
			t.Errorf("stderr %q lacks %q", r.stderr, p)
		}
	}
}

func TestWrongCommandLinesSayWhatIsRight(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		line  string
		wants []string
	}{
		{"instal", []string{`"instal"`, "did you mean install?"}},
		{"fly", []string{`"fly"`, "loris --help"}},
		{"run", []string{"name a notebook"}},
		{"run --fast a.ipynb", []string{"--fast", "loris run --help"}},
		{"run a.ipynb b.ipynb -o c.ipynb", []string{"one notebook"}},
		{"run --timeout soon a.ipynb", []string{"soon", "loris run --help"}},
		{"install here", []string{"flags only", `"here"`, "loris install --help"}},
		{"install --user --prefix p", []string{"prefix", "user"}},
		{"bench --suite speed", []string{`"speed"`, "seed, async"}},
		{"kernel", []string{"connection file", "-f"}},
		{"kernel -f none.json", []string{"none.json"}},
		{"kernel -f none.json --log loud", []string{"--log loud", "debug, info, warn or error"}},
		{"worker", []string{"loris kernel", "not by hand"}},
	} {
		t.Run(c.line, func(t *testing.T) {
			loris(t, dir, strings.Fields(c.line)...).wants(t, c.wants...)
		})
	}
}

func TestHelpListsEveryCommand(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}} {
		r := loris(t, t.TempDir(), args...)
		if r.code != 0 || r.stderr != "" {
			t.Errorf("%q: code %d, %s", args, r.code, r.stderr)
		}
		for _, c := range rootCommand().Commands() {
			if listed := strings.Contains(r.stdout, "\n  "+c.Name()+" "); listed == c.Hidden {
				t.Errorf("%q: %s is hidden: %v, listed: %v", args, c.Name(), c.Hidden, listed)
			}
			if c.Short == "" {
				t.Errorf("%s has no description", c.Name())
			}
		}
	}
}

func TestVersionIsTheOneOfTheBuild(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if r := loris(t, t.TempDir(), args...); r.code != 0 || !strings.Contains(r.stdout, machine.Version()+"\n") {
			t.Errorf("%q: %q %q", args, r.stdout, r.stderr)
		}
	}
}
