// Package plan turns a graph of nodes into a plan: steps in order over numbered
// buffers, which a device compiles and runs. The work is done by named passes,
// each a plain function in a file of its own, over a flat graph of values:
//
//	cse        equal values are computed once
//	simplify   identities that hold for every bit pattern, constants of constants
//	dead       what no output needs is dropped
//	rows       softmax and norms of rows, written out, become ops; few elements are picked first
//	loss       picking from a log-softmax becomes cross-entropy, as does its gradient
//	attention  softmax of a product, times another, becomes one op
//	products   sums of matrix products, LoRA linears, and scattered sums become one value
//	row sums   the sum of what follows from a product becomes a sum of sums of rows
//	views      reshapes, transposes, slices, broadcasts become strides
//	fuse       values are grouped into steps
//	order      steps are put in order, so that little is held at a time
//	emit       steps over buffers, with their programs
//	batch      optimiser updates of many parameters become one step
//	donate     updates write over the memory of donated leaves
//	memory     temporaries are placed in one arena, in place where possible
//	place      each step gets the device that can run it
//
// Plans are cached by the structure of the graph, see [Cache]. What may change
// from run to run without changing the work stays out of the key and is bound
// instead: values, constants other than those that rules look at, keys and
// counters of random draws, and where slices of leaves begin. So a training loop
// with a learning-rate schedule, dropout and batches of a data set plans once.
//
// # What a device has to do
//
// A [Device] hands out memory that the CPU sees too, says by Supports which ops
// it has kernels for (what it lacks is placed on the CPU), and compiles a range
// of steps once for each plan. There are five kinds of steps:
//
//   - [FusedStep]: one kernel for a [Program], whose instructions are in
//     single-assignment form. Thread e computes element e of Rows x Cols; operand
//     views give strides for exactly that many elements in row-major order, under
//     whatever shape is convenient. With reductions or row ops, a row belongs to
//     one group of threads.
//   - [MatMulStep] and [LoRAStep]: products with the program as their epilogue,
//     AccRef being the product. They have results per row, of reductions, only for
//     a [RowReducer].
//   - [CopyStep]: a strided operand, row-major.
//   - [OpStep]: any other op of the table, by a kernel keyed by op.
//
// Outputs are always row-major. An output whose buffer has an Alias lies on the
// memory of an input that is read element by element and dies in the step; a
// thread must read its elements before it writes them, no more. Steps of one
// executable run as if one after the other. Constants come from Binding.Consts
// by index, with the dtypes of Plan.Consts; a step with Draw ≥ 0 takes its
// attributes from Binding.Draws. From step Commit on a run is not stopped.
// Halves may be computed in float32 within a step; a Cast to a half rounds.
package plan
