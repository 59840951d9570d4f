// Package vec takes numbers by address and gives elementwise functions, row
// reductions, norms, attention and optimiser steps of them, in assembly for each
// instruction set and in plain Go as its twin. It knows nothing of tensors.
//
// # Elementwise
//
// A [Program] is a chain of micro-operations over tiles that stay in the L1
// cache: inputs are read once, outputs written once, nothing in between leaves
// the cache, and running it allocates nothing. [Unary], [Binary] and [Ternary]
// run a single operation over slices.
//
// Float32 results of Add, Sub, Mul, Div, Sqrt, MulAdd and the casts are correctly
// rounded; the other functions are within 4 units in the last place of the exact
// value. Float16 and bfloat16 are computed in float32.
package vec

//go:generate go run loris/internal/cpu/asmgen vec
