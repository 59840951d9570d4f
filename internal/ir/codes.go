package ir

// The codes of errors. The comment of each shows code that raises it.
const (
	// CodeShape: shapes do not fit: Ones(2, 3).Add(Ones(4)).
	CodeShape Code = "shape"
	// CodeDType: an op does not take this dtype: Ones(2).Quantize(Q8).Exp().
	CodeDType Code = "dtype"
	// CodeAxis: an axis that the tensor does not have: Ones(2).Sum(1).
	CodeAxis Code = "axis"
	// CodeIndex: an index outside of the axis: Ones(2).At(5).
	CodeIndex Code = "index"
	// CodeValue: a parameter out of its range: Ones(2).TopK(3).
	CodeValue Code = "value"
	// CodeType: an operand of a Go type that is no tensor or number: Ones(2).Add("a").
	CodeType Code = "type"
	// CodeNil: a nil tensor: (*Tensor)(nil).Exp().
	CodeNil Code = "nil"
	// CodeGradient: an op on the way has no derivative, or the loss does not depend on the tensor.
	CodeGradient Code = "gradient"
	// CodeFreed: the recipe of an evaluated tensor is gone: y.Eval(); Grads(y, x).
	CodeFreed Code = "freed"
	// CodeDonated: the memory of the tensor was given to the result of an update.
	CodeDonated Code = "donated"
	// CodeInterrupted: the cell was interrupted while it waited.
	CodeInterrupted Code = "interrupted"
	// CodeMemory: a device or the limit has no room left.
	CodeMemory Code = "memory"
	// CodeDevice: a device that is not here, or that failed.
	CodeDevice Code = "device"
	// CodeFormat: a file that is not what it should be: Load("x.txt").
	CodeFormat Code = "format"
	// CodeNumber: a NaN or Inf where none may be: the optimiser met a NaN gradient.
	CodeNumber Code = "number"
	// CodeUser: a function given to the library failed: a kernel that panics.
	CodeUser Code = "user"
)
