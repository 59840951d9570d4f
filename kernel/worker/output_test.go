package worker

import (
	"math"
	"os"
	"strings"
	"testing"
)

func TestSplitRune(t *testing.T) {
	for _, c := range []struct{ in, whole string }{
		{"", ""}, {"a", "a"}, {"é", "é"}, {"a\xc3", "a"}, {"漢\xe6\xbc", "漢"}, {"\xf0\x9f\x98", ""}, {"😀", "😀"},
		{"bad\xff", "bad\xff"}, {"\x80\x80\x80\x80", "\x80\x80\x80\x80"},
	} {
		whole, rest := splitRune([]byte(c.in))
		if string(whole) != c.whole || string(whole)+string(rest) != c.in {
			t.Errorf("%q: %q + %q", c.in, whole, rest)
		}
	}
}

func TestUnshowableRepresentationLeavesTheOthers(t *testing.T) {
	got := string(appendObject(nil, map[string]any{"text/html": "<b>", "application/json": make(chan int), "application/x+json": math.NaN()}))
	for _, want := range []string{`"text/html":"<b>"`, `"application/x+json":"NaN"`, `"text/plain":"cannot be shown as application/json`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}

func TestTailIsSharedThroughItsFile(t *testing.T) {
	front, file, err := createTail()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer front.close()
	worker, err := openTail(file)
	if err != nil {
		t.Fatal(err)
	}
	defer worker.close()
	worker.begin(7, "cell", "stderr")
	if !worker.append("a") || !worker.append("b") || worker.append(strings.Repeat("x", tailBytes)) {
		t.Error("append")
	}
	if number, cell, name, text := front.load(); number != 7 || cell != "cell" || name != "stderr" || text != "ab" {
		t.Error(number, cell, name, text)
	}
	worker.size().Store(1 << 40) // damaged
	if number, _, _, text := front.load(); number != 0 || text != "" {
		t.Error("damaged memory was believed")
	}
	empty, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if _, err := openTail(empty); err == nil {
		t.Error("a file of another size was mapped")
	}
}

func TestCausesAreRecognised(t *testing.T) {
	state := &os.ProcessState{}
	for trace, want := range map[string]string{
		"runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n":       "StackOverflow",
		"fatal error: concurrent map read and map write\n\ngoroutine 5 [running]:\n":                  "FatalError",
		"fatal error: runtime: cannot allocate memory\n":                                              "OutOfMemory",
		"runtime: out of memory: cannot allocate 8589934592-byte block\nfatal error: out of memory\n": "OutOfMemory",
		"fatal error: all goroutines are asleep - deadlock!\n":                                        "Deadlock",
		"SIGSEGV: segmentation violation\nPC=0x0\n":                                                   "Crash",
		"panic: runtime error: index out of range [5]\n":                                              "Panic",
	} {
		if d := explain(state, trace, "", false, nil); d.Name != want || d.Value == "" {
			t.Errorf("%.40q: %s, want %s", trace, d.Name, want)
		}
	}
	if d := explain(state, "panic: x\n", "asked for", false, nil); d.Name != "WorkerKilled" || !strings.Contains(d.Value, "asked for") {
		t.Errorf("a kill of ours: %v", d)
	}
}

func TestTracesAreShortened(t *testing.T) {
	trace := "fatal error: x\n\ngoroutine 1 [running]:\n" + strings.Repeat("some.f()\n\t/x.go:1\n", 100) + "\ngoroutine 2 [running]:\nmain.other()\n"
	short := shorten(trace)
	if len(short) > 40 || short[0] != "fatal error: x" || strings.Contains(strings.Join(short, "\n"), "main.other") {
		t.Errorf("%d lines: %q", len(short), short)
	}
	trace = "fatal error: x\n\ngoroutine 1 [running]:\nsync.(*Mutex).Unlock(0x0?)\n\t/m.go:65\nreflect.Value.Call({0x1})\n\t/v.go:1\nloris/interp/run.(*Frame).Invoke(0x1)\n\t/f.go:2\ncreated by loris/interp/run.(*Task).Run in goroutine 9\n\t/t.go:3\n"
	if got := strings.Join(shorten(trace), "\n"); got != "fatal error: x\n\ngoroutine 1 [running]:\nsync.(*Mutex).Unlock(0x0?)\n\t/m.go:65" {
		t.Errorf("%q", got)
	}
	if got := shorten(""); got != nil {
		t.Errorf("%q", got)
	}
}
