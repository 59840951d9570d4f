package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionOfABuild(t *testing.T) {
	build := func(path, version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: path, Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123"}
	for _, c := range []struct {
		name, release string
		info          *debug.BuildInfo
		want          string
	}{
		{"the release wins", "v1.2.3", build("loris", "v0.0.1", revision), "v1.2.3"},
		{"a module version", "", build("loris", "v0.9.0"), "v0.9.0"},
		{"a commit", "", build("loris", "(devel)", revision), "devel 0123456789ab"},
		{"a commit and more", "", build("loris", "", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "devel 0123456789ab with changes"},
		{"no repository", "", build("loris", "(devel)"), "devel"},
		{"no build information", "", nil, "devel"},
		{"inside another program", "", build("example.com/app", "v3.0.0", revision), "devel"},
	} {
		if got := versionOf(c.release, c.info); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// The linker silently ignores a name that does not exist, so the name that the
// Makefile gives is linked here and asked for.
func TestTheMakefileSetsTheVersion(t *testing.T) {
	root := filepath.Join("..", "..")
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\nLDFLAGS := ")
	if !ok {
		t.Fatal("the Makefile has no LDFLAGS")
	}
	line, _, _ := strings.Cut(rest, "\n")
	flags := strings.ReplaceAll(line, "$(VERSION)", "v9.8.7-planted")
	bin := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-o", bin, "-ldflags", flags, "./internal/machine/testdata/version")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(bin).CombinedOutput()
	if want := "v9.8.7-planted v9.8.7-planted"; err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("%v: got %q, want %q", err, out, want)
	}
}
