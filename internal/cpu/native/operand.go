package native

import (
	"strconv"
	"strings"
)

// operand is a register, an immediate, or memory: n + base + index·scale, or a constant
// that lies behind the code.
type operand struct {
	kind               operandKind
	n                  int // register, immediate, displacement or a constant's bits
	width              int // bytes of a vector register
	base, index, scale int // index -1: none
}

type operandKind uint8

const (
	vector operandKind = iota
	maskRegister
	immediate
	memory
	constant
)

// general are the general registers by number.
var general = map[string]int{"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SP": 4, "BP": 5, "SI": 6, "DI": 7,
	"R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15}

// files are the files of registers by the letter of their names.
var files = map[byte]struct {
	kind         operandKind
	width, count int
}{'X': {vector, xmm, 16}, 'Y': {vector, ymm, 16}, 'Z': {vector, zmm, 32}, 'K': {maskRegister, 0, 8}}

func parseOperand(s string) (o operand, ok bool) {
	if s == "" {
		return operand{}, false
	}
	if f, ok := files[s[0]]; ok {
		n, err := strconv.Atoi(s[1:])
		if err != nil || n < 0 || n >= f.count {
			return operand{}, false
		}
		return operand{kind: f.kind, n: n, width: f.width}, true
	}
	if s[0] == '$' {
		n, err := strconv.ParseUint(s[1:], 0, 8)
		if err != nil {
			return operand{}, false
		}
		return operand{kind: immediate, n: int(n)}, true
	}
	if name, ok := strings.CutSuffix(s, "<>(SB)"); ok { // once_… or eight_…
		_, digits, _ := strings.Cut(name, "_")
		bits, err := strconv.ParseUint(digits, 16, 32)
		if err != nil {
			return operand{}, false
		}
		return operand{kind: constant, n: int(bits)}, true
	}
	return parseMemory(s)
}

// parseMemory reads "8(SI)" and "8(SI)(CX*4)".
func parseMemory(s string) (m operand, ok bool) {
	m = operand{kind: memory, index: -1}
	disp, rest, ok := strings.Cut(s, "(")
	if !ok || !strings.HasSuffix(rest, ")") {
		return m, false
	}
	if disp != "" {
		n, err := strconv.ParseInt(disp, 10, 32)
		if err != nil {
			return m, false
		}
		m.n = int(n)
	}
	base, index, two := strings.Cut(rest[:len(rest)-1], ")(")
	if m.base, ok = general[base]; !ok {
		return m, false
	}
	if two {
		name, scale, ok := strings.Cut(index, "*")
		n, err := strconv.Atoi(scale)
		if m.index, m.scale = general[name], n; !ok || err != nil || m.index == 0 || m.index == 4 || n != 1 && n != 2 && n != 4 && n != 8 {
			return m, false
		}
	}
	return m, true
}
