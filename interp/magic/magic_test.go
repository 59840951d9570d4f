package magic

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"loris/display"
)

// host records what magics do.
type host struct {
	mu     sync.Mutex
	out    strings.Builder
	ran    []string
	pages  []display.Bundle
	shown  []display.Bundle
	next   string
	forgot [][]string
	limits Limits
	runErr error
}

func (h *host) Write(stream, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if stream == "stderr" {
		text = "err:" + text
	}
	h.out.WriteString(text)
}
func (h *host) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.out.String()
}
func (h *host) Show(b display.Bundle)                 { h.shown = append(h.shown, b) }
func (h *host) Page(b display.Bundle)                 { h.pages = append(h.pages, b) }
func (h *host) SetNextInput(text string, _ bool)      { h.next = text }
func (h *host) Run(_ context.Context, c string) error { h.ran = append(h.ran, c); return h.runErr }
func (h *host) Repeat(code string) (func(context.Context, int) error, error) {
	if strings.Contains(code, "bad") {
		return nil, errors.New("does not compile")
	}
	return func(_ context.Context, n int) error {
		h.ran = append(h.ran, code)
		time.Sleep(time.Duration(n) * 50 * time.Microsecond)
		return h.runErr
	}, nil
}
func (h *host) Inspect(name string, level int) (display.Bundle, bool) {
	return display.Bundle{Data: map[string]any{"text/plain": name}}, name == "x"
}
func (h *host) Variables() []Variable {
	return []Variable{{Name: "n", Type: "int", Summary: "3", Cell: "cell 1"}, {Name: "xs", Type: "[]string", Summary: "[a\nb]", Cell: "cell 2", Bytes: 2048}}
}
func (h *host) Reset(names []string) error { h.forgot = append(h.forgot, names); return nil }
func (h *host) Stale() []Stale             { return []Stale{{"cell 3", "n changed in cell 5"}} }
func (h *host) Limits() Limits             { return h.limits }
func (h *host) SetLimits(l Limits) error   { h.limits = l; return nil }
func (h *host) Version() string            { return "loris 1" }

// do runs a cell of magics.
func do(t *testing.T, h *host, cell string) error {
	t.Helper()
	list, err := Parse(cell)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Call != nil {
			if err := Run(context.Background(), h, *s.Call); err != nil {
				return err
			}
		}
	}
	return nil
}

// Every row of the table is complete, and the rows are in the words of %help.
func TestTable(t *testing.T) {
	h := &host{}
	if err := do(t, h, "%help"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range Table() {
		if m.Name == "" || m.Summary == "" || m.run == nil || seen[m.Name] {
			t.Errorf("row %+v is incomplete or double", m)
		}
		seen[m.Name] = true
		if !strings.Contains(h.text(), m.Summary) {
			t.Errorf("%%help does not list %s", m.Name)
		}
		if strings.HasSuffix(m.Summary, ".") || strings.Contains(m.Summary, "\n") {
			t.Errorf("the summary of %s is not one plain line", m.Name)
		}
		other := &host{}
		if err := do(t, other, "%help "+m.Name); err != nil || !strings.Contains(other.text(), m.Summary) {
			t.Errorf("%%help %s: %v %s", m.Name, err, other.text())
		}
	}
	for name := range elsewhere {
		if seen["%"+name] || seen["%%"+name] {
			t.Errorf("%s is both a magic and not there", name)
		}
	}
}

func TestMagics(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("LORIS_TEST", "old")
	for _, c := range []struct{ cell, want, err string }{
		{cell: "%who", want: "n  xs\n"},
		{cell: "%who int", want: "n\n"},
		{cell: "%who float64", want: "no variables\n"},
		{cell: "%whos", want: "name  type      size     cell    value\nn     int                cell 1  3\nxs    []string  2.0 KiB  cell 2  [a b]\n"},
		{cell: "%stale", want: "cell 3  n changed in cell 5\n"},
		{cell: "%stale now", err: "takes no arguments"},
		{cell: "%reset -x", err: "does not know the option"},
		{cell: "%limit", want: "mem=off  time=off\n"},
		{cell: "%limit mem=4G time=1h30m", want: "mem=4.0 GiB  time=1h30m0s\n"},
		{cell: "%limit mem=off", want: "mem=off  time=1h30m0s\n"},
		{cell: "%limit off", want: "mem=off  time=off\n"},
		{cell: "%limit mem=lots", err: "not an amount of memory"},
		{cell: "%limit time=-3s", err: "not a duration"},
		{cell: "%limit cpu=3", err: `mem and time, not "cpu"`},
		{cell: "%limit 4G", err: "does not understand"},
		{cell: "%%writefile a.txt\nline 1\nline 2", want: "wrote a.txt\n"},
		{cell: "%%writefile -a a.txt\nline 3\n", want: "appended to a.txt\n"},
		{cell: "!cat a.txt", want: "line 1\nline 2\nline 3\n"},
		{cell: "%%writefile a.txt\nnew", want: "overwrote a.txt\n"},
		{cell: "%%writefile", err: "needs the name of a file"},
		{cell: "%%writefile /no/such/dir/x\n", err: "no such file"},
		{cell: "!echo out; exit 3", want: "out\n", err: "exit status 3"},
		{cell: "!echo bad >&2", want: "err:bad\n"},
		{cell: "!no-such-command-at-all 2>/dev/null", err: "to negate a Go value"},
		{cell: "%%bash\nx=$((2+3))\necho \"five: $x\"", want: "five: 5\n"},
		{cell: "%%sh -e\nfalse\necho no", err: "exit status 1"},
		{cell: "%%script cat -\nbody\n", want: "body\n"},
		{cell: "%%script", err: "needs a program"},
		{cell: "%%script no-such-program\nx", err: "not found"},
		{cell: "!kill -TERM $$", err: "signal: terminated"},
		{cell: "!printf 'a\\303'; sleep 0.05; printf '\\244b\\377'", want: "aäb\uFFFD"},
		{cell: "%env LORIS_TEST", want: "old\n"},
		{cell: "%env LORIS_TEST=new value\n!echo $LORIS_TEST", want: "new value\n"},
		{cell: "%env LORIS_NOT_SET", err: "is not set"},
		{cell: "!mkdir -p 'a b'\n%cd \"a b\"", want: filepath.Join(dir, "a b") + "\n"},
		{cell: "%pwd", want: filepath.Join(dir, "a b") + "\n"},
		{cell: "%cd ..", want: dir + "\n"},
		{cell: "%cd nowhere", err: "no such file"},
		{cell: "%packages encoding/js", want: "encoding/json  Package json implements encoding and decoding of JSON as defined in RFC 7159\n"},
		{cell: "%packages no such thing", err: "no package"},
		{cell: "%version", want: "loris 1\n"},
		{cell: "%help nothing", err: "unknown magic"},
		{cell: "y?", err: "nothing is known about y"},
		{cell: "%time", err: "needs Go code"},
		{cell: "%%time now\nx", err: "takes no arguments"},
		{cell: "%%timeit -n 3 x\ny", err: "stands on the lines below"},
		{cell: "%timeit -n 0 x", err: "needs a number above 0"},
		{cell: "%timeit bad", err: "does not compile"},
		{cell: "%run", err: "needs the name"},
		{cell: "%run nothing.go", err: "no such file"},
	} {
		h := &host{limits: limitsSoFar}
		err := do(t, h, c.cell)
		limitsSoFar = h.limits
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: error %v, want %q", c.cell, err, c.err)
		}
		if c.want != "" && h.text() != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.cell, h.text(), c.want)
		}
	}
}

var limitsSoFar Limits

func TestCodeMagics(t *testing.T) {
	h := &host{}
	if err := do(t, h, "x := 1\n%time f(x)"); err != nil || h.ran[0] != "      \n      f(x)" || !strings.HasPrefix(h.text(), "wall time ") {
		t.Errorf("%%time: %v %q %q", err, h.ran, h.text())
	}
	h = &host{runErr: errors.New("failed")}
	if err := do(t, h, "%%time\nf(x)"); err == nil || !strings.Contains(h.text(), "wall time") {
		t.Errorf("%%%%time of failing code: %v %q", err, h.text())
	}
	h = &host{}
	if err := do(t, h, "%timeit -n 2 -r 3 f(x)"); err != nil || len(h.ran) != 3 || !strings.Contains(h.text(), "of 3 runs, 2 loops each") {
		t.Errorf("%%timeit: %v %q %q", err, h.ran, h.text())
	}
	h = &host{}
	if err := do(t, h, "%%timeit -r1\nf(x)"); err != nil || !strings.Contains(h.text(), "of 1 runs") {
		t.Errorf("%%%%timeit: %v %q", err, h.text())
	}
	h = &host{}
	if err := do(t, h, "x?\nx??\n%time?\n%reset a b\n%reset -f"); err != nil || len(h.pages) != 3 || len(h.forgot) != 2 || len(h.forgot[0]) != 2 || len(h.forgot[1]) != 0 {
		t.Errorf("%v %v %v", err, h.pages, h.forgot)
	}
	name := filepath.Join(t.TempDir(), "a.go")
	if err := os.WriteFile(name, []byte("y := 2"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := do(t, h, "%run "+name+"\n%load "+name); err != nil || h.ran[len(h.ran)-1] != "y := 2" || h.next != "y := 2" {
		t.Errorf("%v %v %q", err, h.ran, h.next)
	}
	if err := do(t, h, "%%html\n<b>x</b>"); err != nil || h.shown[0].Data[display.MIMEHTML] != "<b>x</b>" {
		t.Errorf("%v %v", err, h.shown)
	}
}

func TestInterruptEndsCommands(t *testing.T) {
	for _, cell := range []string{
		"!sleep 30 & sleep 30",
		"!trap '' INT; while true; do sleep 0.1; done", // does not heed the first signal
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		list, err := Parse(cell)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- Run(ctx, &host{}, *list[0].Call) }()
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%q: %v", cell, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q goes on after the interrupt", cell)
		}
		cancel()
	}
}

func TestFormat(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ns", 12: "12 ns", 1500: "1.5 µs", 999_600: "1 ms", 23_456_789: "23.5 ms", 1_234_000_000: "1.23 s", 100 * time.Second: "1m40s",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("formatDuration(%d) = %q, want %q", d, got, want)
		}
	}
	for s, want := range map[string]int64{"1": 1, "512M": 512 << 20, "1.5GiB": 3 << 29, "2kb": 2048, "4T": 4 << 40} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "G", "-1G", "0", "1e300G", "NaN", "Inf", "4 G"} {
		if n, err := parseSize(s); err == nil {
			t.Errorf("parseSize(%q) = %d", s, n)
		}
	}
}
