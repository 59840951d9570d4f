package machine

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFactsAreComplete(t *testing.T) {
	t.Setenv("LORIS_CPU", "generic")
	f := Read("cpu", "")
	if f.CPU.Logical != runtime.NumCPU() || f.CPU.Usable < 1 || f.Memory.Total == 0 || f.OS.Name != runtime.GOOS || f.Go.Version != runtime.Version() || f.Version != Version() || f.Version == "" || f.Device != "cpu" || f.Settings["LORIS_CPU"] != "generic" {
		t.Errorf("%+v", f)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var back Facts
	if err := json.Unmarshal(b, &back); err != nil || back.CPU.Model != f.CPU.Model {
		t.Errorf("%v: %s", err, b)
	}
	if s := f.String(); !strings.Contains(s, runtime.Version()) {
		t.Error(s)
	}
}

// The kernel's own list is written by others from the same instruction.
func TestFeaturesAgreeWithTheKernel(t *testing.T) {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || runtime.GOARCH != "amd64" {
		t.Skip("needs /proc/cpuinfo of amd64")
	}
	flags := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if name, list, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "flags" {
			for _, f := range strings.Fields(list) {
				flags[f] = true
			}
			break
		}
	}
	have := Read("", "").CPU.Features
	for name, flag := range map[string]string{"AVX2": "avx2", "FMA3": "fma", "AVX512F": "avx512f", "AVX512BF16": "avx512_bf16", "AMX-TILE": "amx_tile", "F16C": "f16c"} {
		if slices.Contains(have, name) != flags[flag] {
			t.Errorf("%s: we say %v, the kernel says %v", name, slices.Contains(have, name), flags[flag])
		}
	}
}

func TestGitStateOfAFolder(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	dir := t.TempDir()
	if g := ReadGit(dir); g != nil {
		t.Fatalf("outside a repository: %v", g)
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	file := filepath.Join(dir, "f")
	os.WriteFile(file, []byte("1"), 0o644)
	git("init", "-q", "-b", "trunk")
	git("add", "f")
	git("commit", "-q", "-m", "first")
	if g := ReadGit(dir); g == nil || len(g.Revision) < 40 || g.Branch != "trunk" || g.Dirty {
		t.Errorf("%+v", g)
	}
	os.WriteFile(file, []byte("22"), 0o644)
	if g := ReadGit(dir); g == nil || !g.Dirty || !strings.HasSuffix(g.String(), " with changes") {
		t.Errorf("%+v", g)
	}
}

func TestLoadOfABusyInterval(t *testing.T) {
	end := Watch()
	x, own := 1.0, ownSeconds()
	for start := time.Now(); time.Since(start) < 300*time.Millisecond || ownSeconds()-own < 0.1; {
		x = x*1.0000001 + 1e-9
	}
	l := end()
	if l.Seconds < 0.3 || x == 0 {
		t.Errorf("%+v", l)
	}
	for _, share := range []float64{l.Busy, l.Own, l.Stolen, l.Others()} {
		if share < 0 || share > 1 {
			t.Errorf("%+v", l)
		}
	}
	if runtime.GOOS == "linux" && l.Own == 0 {
		t.Errorf("a busy process used nothing: %+v", l)
	}
}

func TestChosenWord(t *testing.T) {
	for in, want := range map[string]string{"always [madvise] never": "madvise", "plain": "plain", "": "", "[": ""} {
		if got := chosen(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
