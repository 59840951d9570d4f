package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"loris/internal/cpu/lane"
)

// TestFilesAreCurrent makes every file anew and compares it with the one in the repository.
func TestFilesAreCurrent(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("another processor may round the fitted coefficients differently")
	}
	for _, target := range targets {
		have, err := os.ReadFile(filepath.Join("..", target.name, target.file))
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(have, target.content()) {
			t.Errorf("%s/%s is out of date: run go generate ./internal/cpu/...", target.name, target.file)
		}
	}
}

var word = regexp.MustCompile(`WORD \$0x([0-9a-f]{8}) // (.*)`)

// TestWordsAreTheInstructionsTheyClaim disassembles every word of the arm64 files
// and compares it with the comment beside it.
func TestWordsAreTheInstructionsTheyClaim(t *testing.T) {
	objdump, err := exec.LookPath("aarch64-linux-gnu-objdump")
	if err != nil {
		t.Skip("no aarch64-linux-gnu-objdump (Debian: binutils-aarch64-linux-gnu)")
	}
	claims := map[string]string{}
	for _, target := range targets {
		if strings.HasSuffix(target.file, "_arm64.s") {
			for _, m := range word.FindAllStringSubmatch(target.make(), -1) {
				claims[m[1]] = m[2]
			}
		}
	}
	if len(claims) < 100 {
		t.Fatalf("only %d words", len(claims))
	}
	var code []byte
	var words []string
	for w := range claims {
		words = append(words, w)
		for i := 6; i >= 0; i -= 2 {
			code = append(code, hex(w[i])<<4|hex(w[i+1]))
		}
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "aarch64", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	line := regexp.MustCompile(`(?m)^\s*[0-9a-f]+:\s+([0-9a-f]{8})\s+(.*)$`)
	seen := 0
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		seen++
		if got, want := normal(m[2]), normal(claims[m[1]]); got != want {
			t.Errorf("%s is %q, said to be %q", m[1], got, want)
		}
	}
	if seen != len(words) {
		t.Errorf("%d of %d words disassembled", seen, len(words))
	}
}

var longWord = regexp.MustCompile(`LONG \$0x([0-9a-f]{8}); WORD \$0x([0-9a-f]{4}) // (.*)`)

// TestBytesAreTheInstructionsTheyClaim does the same for amd64.
func TestBytesAreTheInstructionsTheyClaim(t *testing.T) {
	objdump, err := exec.LookPath("x86_64-linux-gnu-objdump")
	if err != nil {
		t.Skip("no x86_64-linux-gnu-objdump (Debian: binutils-x86-64-linux-gnu)")
	}
	all := lane.NewText()
	for _, op := range []evexOp{vdpbf16ps, vcvtne2ps2bf16} {
		for r := range 32 {
			evex(all, op, r, 1, 2)
			evex(all, op, 1, r, 2)
			evex(all, op, 1, 2, r)
		}
	}
	var code []byte
	var claims []string
	for _, m := range longWord.FindAllStringSubmatch(all.String(), -1) {
		for i := 6; i >= 0; i -= 2 {
			code = append(code, hex(m[1][i])<<4|hex(m[1][i+1]))
		}
		code = append(code, hex(m[2][2])<<4|hex(m[2][3]), hex(m[2][0])<<4|hex(m[2][1]))
		claims = append(claims, m[3])
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "i386:x86-64", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	line := regexp.MustCompile(`(?m)^\s*[0-9a-f]+:\s+(?:[0-9a-f]{2} ){6}\s*(\S+)\s+%(zmm\d+),%(zmm\d+),%(zmm\d+)$`)
	read := line.FindAllStringSubmatch(string(out), -1)
	if len(read) != len(claims) {
		t.Fatalf("%d of %d instructions disassembled\n%s", len(read), len(claims), out)
	}
	for i, m := range read {
		got := strings.ReplaceAll(strings.ToUpper(m[1]+" "+m[2]+", "+m[3]+", "+m[4]), "ZMM", "Z")
		if got != claims[i] {
			t.Errorf("%q is said to be %q", got, claims[i])
		}
	}
}

func hex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// normal evens out spaces and the aliases a disassembler prefers.
func normal(s string) string {
	s = strings.Join(strings.Fields(strings.Split(s, "//")[0]), " ")
	s = regexp.MustCompile(`^ushll(.*), #0$`).ReplaceAllString(s, "uxtl$1")
	s = regexp.MustCompile(`^sshll(.*), #0$`).ReplaceAllString(s, "sxtl$1")
	s = regexp.MustCompile(`^orr (v\d+\.16b), (v\d+\.16b), (v\d+\.16b)$`).ReplaceAllStringFunc(s, func(o string) string {
		f := strings.Fields(o)
		if strings.TrimSuffix(f[2], ",") == f[3] {
			return "mov " + f[1] + " " + f[3]
		}
		return o
	})
	return s
}
