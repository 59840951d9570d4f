// Package lane writes kernels once for all vector units. A kernel's body is
// straight-line code over one vector of 32-bit lanes ([Builder]); [Compiler] gives out
// registers and interleaves copies of it, and an [ISA] writes the instructions in the
// syntax of Go's assembler. Command asmgen makes the assembly files of the CPU kernels
// of it; package vec makes machine code of chains while a program runs.
package lane

//go:generate go run loris/internal/cpu/asmgen lane
