// Package tensorlib is the tensor library of Loris, imported as lt: calls of
// its methods go in, lazy tensors come out, and what is evaluated shows itself.
//
// A call such as x.MatMul(w).Add(b).Gelu() checks shapes and dtypes at once and
// computes nothing. Work is done by Eval and EvalAsync, when numbers are read
// (Item, Floats) and when a tensor is shown; until then the graph may be
// inspected with Graph.
//
// Ops panic with *Error when their operands do not fit, as slices do when an
// index is out of range; Try turns that into an error. What depends on the
// outside world (files, waiting) returns an error.
//
// An operand is a *Tensor or a Go number or bool; numbers take the dtype of the
// tensor they meet (a float against integers becomes f32). Axes count from the
// front, or from the end if negative.
//
// # Dtypes
//
// Two operands of different dtypes meet in the wider one: a float wins over an
// integer, f64 over f32 over f16 and bf16, which together give f32; among integers
// i64 over i32 over u8 over bool. Go numbers are weak: they take the tensor's dtype,
// but for a float beside integers (f32) and an integer that does not fit (i64).
// Arithmetic of bools is that of i64. Functions such as Exp and Div make f32 of
// integers; x.Div(y).Floor() is a division that rounds down, exact below 2²⁴.
// Sum, Prod and CumSum of bools and small integers are i64.
//
// Integers wrap around on overflow, as Go's do; Mod has the sign of the divisor
// (Python's), and by 0 gives 0. Floats follow IEEE 754: NaN goes through every
// op, Max, Min, Maximum, Minimum and Clip included, sorts last, and is the largest for ArgMax
// and the smallest for ArgMin. Casts of floats to integers truncate and saturate,
// NaN gives 0. Halves are computed in f32 and rounded when they are stored.
//
// # Shapes
//
// Sizes may be 0, and there may be no axes. Shapes broadcast by NumPy's rules.
// Reductions of nothing give their neutral element (a sum 0, a mean NaN); Max and
// Min of nothing are errors. Indices may be negative and repeat; gradients of
// repeated ones add up, and of repeated writes the last wins.
package tensorlib
