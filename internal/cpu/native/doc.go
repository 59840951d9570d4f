// Package native makes machine code while a program runs: it assembles the lines that
// package lane writes for AVX2 and AVX-512, in the syntax of Go's assembler, puts them into
// executable memory, and calls them.
//
// Code is a leaf: it leaves the stack and the registers of the Go runtime alone, so
// that a fault in it (an operand in a file that was cut short) is a panic of its caller
// as in any other assembly, and it ends soon, since it cannot be interrupted.
package native
