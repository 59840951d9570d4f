package native

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"loris/internal/cpu/lane"
)

// The encoding of every instruction, with all kinds of operands, is the one that Go's
// assembler makes of the same line.
func TestEncodingsAreThoseOfGoAssembler(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("Go's assembler for amd64 is asked by a build for this machine")
	}
	lines := linesOfFunctions()
	for name, e := range encodings {
		lines = append(lines, linesOf(name, e)...)
	}
	lines = append(lines, linesOf("VMOVUPS", storeUnaligned)...)
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if len(lines) < 1000 {
		t.Fatalf("only %d lines", len(lines))
	}
	want := goAssembler(t, lines)
	for _, line := range lines {
		var a assembler
		if err := a.vectorLine(line); err != nil {
			t.Fatal(err)
		}
		got := hex.EncodeToString(a.code)
		if !strings.HasPrefix(want, got) {
			t.Fatalf("%s\ngot  %s\nwant %s…", line, got, want[:min(len(want), 24)])
		}
		want = want[len(got):]
	}
	if want != "c3" {
		t.Errorf("bytes are left: %s", want)
	}
}

// What is not an instruction of these lines is refused instead of becoming another one.
func TestLinesThatAreRefused(t *testing.T) {
	for _, line := range []string{
		"VADDPD Y1, Y2, Y3", "VADDPS", "VADDPS Y1, Y2", "VADDPS Y1, Z2, Y3", "VADDPS X1, X2, X3", "VADDPS Y1, Y2, Y16", "VADDPS Y1, Y2, Y-1",
		"VADDPS.BCST (SI), Y2, Y3", "VPANDD Y1, Y2, Y3", "VPAND Z1, Z2, Z3", "VPSLLD Y1, Y2", "VPSLLD $256, Y1, Y2", "VMOVUPS (SI)(SP*1), Y1",
		"VMOVUPS (SI)(CX*3), Y1", "VMOVUPS (XX), Y1", "VMOVUPS eight_xyz<>(SB), Y1", "VMOVUPS 4(SI, Y1",
	} {
		var a assembler
		if err := a.vectorLine(line); err == nil {
			t.Errorf("%s is %x", line, a.code)
		}
	}
}

// linesOfFunctions returns the lines of all functions but those that read constants
// from memory, whose place only a linker knows.
func linesOfFunctions() (lines []string) {
	for _, u := range units {
		for _, f := range lane.Functions {
			b := f.BodyOf()
			in := make([]Operand, len(f.In))
			for i, e := range f.In {
				in[i] = Operand{Elem: e, Repeat: i == 1}
			}
			l := loop{body: b, in: in, out: []Operand{{Elem: f.Out}}, isa: repeating{u, in}}
			for n := 1; n <= 2; n++ {
				if most, _ := lane.Fits(l.isa, nil, n, b); most < n {
					continue
				}
				var text lane.Text
				c := lane.Compiler{T: &text, ISA: l.isa, Use: map[uint32]bool{}, Addr: l.address}
				c.Compile(b, n)
				l.fold(&text, 0)
				for line := range strings.Lines(text.String()) {
					if !strings.Contains(line, "(SB)") {
						lines = append(lines, strings.TrimSpace(line))
					}
				}
			}
		}
	}
	return lines
}

// linesOf returns an instruction with many operands.
func linesOf(name string, e encoding) (lines []string) {
	r := rand.New(rand.NewPCG(1, 2))
	registers := slices.Sorted(maps.Keys(general))
	k := func() string { return fmt.Sprintf("K%d", 1+r.IntN(7)) }
	memory := func() string {
		s := "(" + registers[r.IntN(len(registers))] + ")"
		if d := []int{0, 16, 32, 64, 256, 4096, 7, -64, -100, 1 << 20}[r.IntN(10)]; d != 0 {
			s = fmt.Sprint(d) + s
		}
		if i := registers[r.IntN(len(registers))]; i != "SP" && r.IntN(3) > 0 && i != "AX" {
			s += fmt.Sprintf("(%s*%d)", i, 1<<r.IntN(4))
		}
		return s
	}
	for letter, f := range files {
		if f.width == 0 || int(e.widths)&f.width == 0 {
			continue
		}
		v := func() string { return fmt.Sprintf("%c%d", letter, r.IntN(f.count)) }
		compares := f.width == zmm && (strings.HasPrefix(name, "VPCMP") || name == "VCMPPS")
		for range 40 {
			dst, src := v(), v()
			if compares || name == "VPMOVD2M" {
				dst = k()
			}
			if name == "VMOVUPS" || e.bytes < 64 || r.IntN(3) == 0 && e.form != shift && !strings.HasPrefix(name, "VPMOV") {
				src = memory()
			}
			imm := ""
			if e.immediate {
				imm = fmt.Sprintf("$%d, ", r.IntN(32))
			}
			switch e.form {
			case threeOperands:
				lines = append(lines, fmt.Sprintf("%s %s%s, %s, %s", name, imm, src, v(), dst))
			case twoOperands, shift:
				if name == "VPMOVM2D" {
					src = k()
				}
				lines = append(lines, fmt.Sprintf("%s %s%s, %s", name, imm, src, dst))
			case store:
				lines = append(lines, fmt.Sprintf("%s %s%s, %s", name, imm, v(), memory()))
			case blend:
				lines = append(lines, fmt.Sprintf("%s %s, %s, %s, %s", name, src, v(), k(), dst))
			case blendLanes:
				lines = append(lines, fmt.Sprintf("%s %s, %s, %s, %s", name, v(), src, v(), dst))
			}
		}
	}
	return lines
}

// goAssembler returns what Go's assembler makes of the lines and a RET, in hexadecimal.
func goAssembler(t *testing.T, lines []string) string {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module encodings\n\ngo 1.26\n")
	write("main.go", "package main\n\nfunc lines()\n\nfunc main() { lines() }\n")
	write("lines.s", "TEXT ·lines(SB), 4, $0-0\n\t"+strings.Join(lines, "\n\t")+"\n\tRET\n")
	run := func(args ...string) string {
		c := exec.Command("go", args...)
		c.Dir, c.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("build", "-o", "encodings", ".")
	var code strings.Builder // the disassembler does not know where lines begin
	for line := range strings.Lines(run("tool", "objdump", "-s", "^main.lines", "encodings")) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(f[0], "lines.s:") {
			code.WriteString(f[2])
		}
	}
	return code.String()
}
