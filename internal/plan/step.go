package plan

import (
	"loris/internal/ir"
)

// A Plan is a graph made ready to run: steps in order over numbered buffers.
// It holds no node and no value, so that a cached plan keeps nothing alive, and
// it is never written once built: any number of runs may share it.
type Plan struct {
	Device    string
	Precision Precision

	Leaves   []Leaf    // what a run binds: values, then constants and random draws
	Buffers  []Buffer  // leaves, temporaries in the arena, outputs
	Steps    []Step    // in order of execution
	Segments []Segment // which device runs which steps
	Outputs  []Operand // one for each requested root and kept node
	Arena    int       // bytes that hold all temporaries

	Consts []ir.DType // dtypes of the constants that a run binds
	Folds  []Fold     // how the last of them are computed from the others
	Draws  int        // random ops whose key and counter a run binds

	Commit int     // the first step that writes over a donated leaf: from there on a run is not stopped
	Nanos  float64 // rough time of a run on one CPU thread, to decide who runs it
	Nodes  int     // nodes of the graph before any pass
	Passes []PassInfo
}

// Leaf is an input of a plan: a value that exists before it runs.
type Leaf struct {
	DType   ir.DType
	Shape   ir.Shape
	Strides []int // in elements; nil means row-major
	Donated bool  // a result may take over the memory: nobody reads the value afterwards
}

// BufferKind tells who owns a buffer's memory.
type BufferKind uint8

// The kinds of buffers.
const (
	LeafBuffer   BufferKind = iota // bound from a leaf's value
	TempBuffer                     // lies in the plan's arena
	OutputBuffer                   // new for each run, becomes a value
)

// Buffer is memory that steps read and write.
type Buffer struct {
	Kind   BufferKind
	Index  int // which leaf, for a LeafBuffer; the first output in it, for an OutputBuffer
	Bytes  int
	Offset int // in the arena, for a TempBuffer
	Alias  int // the buffer whose memory this one takes over, or -1; for an OutputBuffer a donated leaf, if the run can
	First  int // step that writes it first, -1 for leaves
	Last   int // step that uses it last, len(Steps) for outputs
}

// Operand is a strided view of a buffer.
type Operand struct {
	Buffer int
	DType  ir.DType
	View
}

// StepKind selects how a device runs a step.
type StepKind uint8

// The kinds of steps. A device compiles each Fused program as one kernel, has a
// matrix product that takes a Program as its epilogue, and a table of kernels
// for everything else, keyed by op.
const (
	// OpStep runs one op of the table: Op, Attrs, In and Out as the op defines them.
	OpStep StepKind = iota
	// FusedStep runs Program over its rows.
	FusedStep
	// MatMulStep is Out = epilogue(In[0]@In[1] + Alpha * In[2]@In[3]), the
	// second product only where Own is 4. Factors are [batch… M K] and
	// [batch… K N] with equal batch dimensions (stride 0 where they broadcast).
	// Program, when set, is applied to the sum.
	MatMulStep
	// LoRAStep is Out = epilogue(x@W + Alpha * (z@A)@B) with In = x [… M K],
	// W [… K N], z [… M L], A [… L R], B [… R N]; z is x, or x after dropout.
	LoRAStep
	// CopyStep writes In[0] to Out[0] row-major.
	CopyStep
)

var stepKindNames = [...]string{"op", "fused", "matmul", "lora", "copy"}

// String returns the kind's name.
func (k StepKind) String() string { return stepKindNames[k] }

// Step is one unit of work of a device.
type Step struct {
	Kind    StepKind
	Op      ir.Op
	Attrs   ir.Attrs
	In      []Operand // a Program's inputs come after the step's own
	Own     int       // how many of In are the step's own (0 for a FusedStep)
	Out     []Operand
	Program *Program
	Alpha   Ref // a constant; Kind NoRef means 1
	Draw    int // index of the random draw bound to the step, -1 if none
	// Batch holds further operand sets of the same shapes: the step's program
	// runs once for each (an optimiser's update over many parameters).
	Batch []Operands

	Device string  // that runs the step
	Name   string  // for timings and errors: "add mul tanh", "matmul"
	Origin []int32 // nodes computed by the step, by their position in the graph
	Flops  int64
	Bytes  int64 // read and written
}

// Operands are the inputs and outputs of one member of a batch.
type Operands struct{ In, Out []Operand }

// RefKind tells what a Ref points to.
type RefKind uint8

// The kinds of references.
const (
	NoRef    RefKind = iota
	InputRef         // operand In[Own+Index] of the step, read at the element (or row)
	ConstRef         // constant Index, bound at run time
	InstrRef         // result of instruction Index
	AccRef           // result of the matrix product before the epilogue
)

// Ref is an argument of an instruction.
type Ref struct {
	Kind  RefKind
	Index int32
}

// Instr is one micro-operation in single-assignment form: instruction i defines
// result i. Op is an elementwise op, a reduction (element to row), or a row op
// such as Softmax (all elements of a row to all elements).
type Instr struct {
	Op    ir.Op
	DType ir.DType // of the result
	Row   bool     // the result is one value for each row
	Attrs ir.Attrs
	Args  [3]Ref
	NArgs int8
}

// Program is what a FusedStep does, or what a product's epilogue does. It runs
// over Rows x Cols elements in row-major order; element e belongs to row
// e / Cols. Row results and row inputs broadcast along their row.
type Program struct {
	Rows, Cols int
	Inputs     []Input
	Instrs     []Instr
	Stores     []Store // Stores[i] is written to Out[i]
}

// Input describes operand In[Own+i].
type Input struct {
	DType ir.DType
	Kind  InputKind
}

// InputKind tells how an input spreads over the rows and columns.
type InputKind uint8

// The kinds of inputs.
const (
	EachInput InputKind = iota // one value for each element
	RowInput                   // one for each row
	ColInput                   // one for each column: the weight of a row op
)

// Store writes a result to an output.
type Store struct {
	Ref Ref
	Row bool
}

// HasRows reports whether the program has results or inputs per row, or row ops.
func (p *Program) HasRows() bool {
	for i := range p.Instrs {
		if p.Instrs[i].Row || isRowOp(p.Instrs[i].Op) {
			return true
		}
	}
	return false
}

// Precision is how exact float32 products are, named as in PyTorch.
type Precision uint8

// The precisions.
const (
	Highest Precision = iota // float32 throughout
	High                     // three bfloat16 products may stand for one of float32
	Medium                   // one bfloat16 product
)

var precisionNames = [...]string{"highest", "high", "medium"}

// String returns the name that SetPrecision takes.
func (p Precision) String() string { return precisionNames[p] }

// ParsePrecision returns the precision of a name.
func ParsePrecision(s string) (Precision, bool) {
	for i, n := range precisionNames {
		if s == n {
			return Precision(i), true
		}
	}
	return Highest, false
}

// PassInfo tells what a pass did, for dumps.
type PassInfo struct {
	Name   string
	Values int // values in the graph after the pass
	Nanos  int64
}
