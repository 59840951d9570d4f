package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestInstallAndUninstall(t *testing.T) {
	for name, c := range map[string]struct{ flags []string }{
		"prefix": {[]string{"--prefix", "place"}},
		"named":  {[]string{"--prefix", "place", "--name", "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			spec := filepath.Join(dir, "place", "share", "jupyter", "kernels", "loris")
			if len(c.flags) > 2 {
				spec = filepath.Join(filepath.Dir(spec), "other")
			}
			r := loris(t, dir, append([]string{"install", "--display-name", "Go here"}, c.flags...)...)
			if r.code != 0 || !strings.Contains(r.stdout, spec) {
				t.Fatalf("%+v", r)
			}
			b, err := os.ReadFile(filepath.Join(spec, "kernel.json"))
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Argv          []string
				DisplayName   string `json:"display_name"`
				Language      string
				InterruptMode string `json:"interrupt_mode"`
			}
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if want := []string{"kernel", "-f", "{connection_file}"}; !slices.Equal(got.Argv[1:], want) || !filepath.IsAbs(got.Argv[0]) ||
				got.DisplayName != "Go here" || got.Language != "go" || got.InterruptMode != "message" {
				t.Errorf("%s", b)
			}
			for _, logo := range []string{"logo-32x32.png", "logo-64x64.png", "logo-svg.svg"} {
				if _, err := os.Stat(filepath.Join(spec, logo)); err != nil {
					t.Error(err)
				}
			}
			if r := loris(t, dir, append([]string{"uninstall"}, c.flags...)...); r.code != 0 || !strings.Contains(r.stdout, spec) {
				t.Errorf("%+v", r)
			}
			if _, err := os.Stat(spec); !os.IsNotExist(err) {
				t.Errorf("%s is still there (%v)", spec, err)
			}
			loris(t, dir, append([]string{"uninstall"}, c.flags...)...).wants(t, "no kernelspec", "--prefix")
		})
	}
}

func TestInstallForTheUserAndTheEnvironment(t *testing.T) {
	home := t.TempDir()
	env := []string{"JUPYTER_DATA_DIR=" + filepath.Join(home, "data"), "VIRTUAL_ENV=" + filepath.Join(home, "venv")}
	for _, c := range []struct{ flag, spec string }{
		{"--user", "data/kernels/loris"}, {"--sys-prefix", "venv/share/jupyter/kernels/loris"},
	} {
		for _, command := range []string{"install", "install", "uninstall"} { // twice: a second install replaces the first
			if r := lorisWith(t, home, env, command, c.flag); r.code != 0 {
				t.Errorf("%s %s: %+v", command, c.flag, r)
			}
			_, err := os.Stat(filepath.Join(home, c.spec, "kernel.json"))
			if there := err == nil; there != (command == "install") {
				t.Errorf("%s %s: kernel.json there: %v", command, c.flag, there)
			}
		}
	}
}

func TestInstallWhereNobodyCanWrite(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	loris(t, dir, "install", "--prefix", "file").wants(t, "--prefix file", "not a directory")
	loris(t, dir, "install", "--prefix", "file/below").wants(t, "file", "--user")
	loris(t, dir, "install", "--prefix", "/proc/loris").wants(t, "/proc/loris", "--user")
	if os.Getuid() != 0 { // nothing is unwritable for root
		if err := os.Mkdir(filepath.Join(dir, "locked"), 0o500); err != nil {
			t.Fatal(err)
		}
		loris(t, dir, "install", "--prefix", "locked").wants(t, "permission denied", "--user")
	}
}

func TestDoctorTellsWhatWouldStopIt(t *testing.T) {
	home := t.TempDir()
	env := []string{"JUPYTER_DATA_DIR=" + filepath.Join(home, "data"), "VIRTUAL_ENV=" + filepath.Join(home, "venv")}
	line := func(text, topic string) string {
		for l := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimLeft(l, "! "), topic+" ") {
				return strings.TrimSpace(l)
			}
		}
		return ""
	}
	r := lorisWith(t, home, env, "doctor")
	if r.code != 1 || !strings.Contains(r.stderr, "lines marked !") {
		t.Errorf("%+v", r)
	}
	for topic, want := range map[string]string{"loris": "go1", "machine": "cores", "device": "cpu", "interpreter": "a cell runs",
		"kernelspec": "not installed", "sockets": "127.0.0.1", "temporary files": os.TempDir()} {
		l := line(r.stdout, topic)
		if !strings.Contains(l, want) || strings.HasPrefix(l, "!") != (topic == "kernelspec") {
			t.Errorf("%s: %q, want %q in\n%s", topic, l, want, r.stdout)
		}
	}
	if !strings.Contains(r.stdout, "→ run: loris install --user") {
		t.Errorf("no remedy:\n%s", r.stdout)
	}

	if r := lorisWith(t, home, env, "install", "--user"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if r := lorisWith(t, home, env, "doctor"); r.code != 0 || !strings.Contains(line(r.stdout, "kernelspec"), filepath.Join(home, "data")) {
		t.Errorf("after install: %+v", r)
	}

	spec := filepath.Join(home, "data", "kernels", "loris", "kernel.json")
	for damage, want := range map[string]string{`{`: "damaged", `{"argv":["/nowhere/loris"]}`: "/nowhere/loris, which is not there"} {
		if err := os.WriteFile(spec, []byte(damage), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := lorisWith(t, home, env, "doctor"); r.code != 1 || !strings.Contains(r.stdout, want) {
			t.Errorf("kernel.json %s: %+v", damage, r)
		}
	}
	if r := lorisWith(t, home, append(env, "LORIS_CPU=abacus"), "doctor"); r.code != 1 || !strings.Contains(r.stdout, "LORIS_CPU") {
		t.Errorf("LORIS_CPU=abacus: %+v", r)
	}
	if r := lorisWith(t, home, append(env, "TMPDIR="+filepath.Join(home, "gone")), "doctor"); r.code != 1 || !strings.Contains(r.stdout, "set TMPDIR") {
		t.Errorf("TMPDIR gone: %+v", r)
	}
}
