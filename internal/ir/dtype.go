package ir

import "fmt"

// DType is the element type of a tensor.
type DType uint8

// The element types. Q8 and Q4 are weight-only storage types of matrices
// (group-wise scales); every other op refuses them.
const (
	Invalid DType = iota
	F32
	F16
	BF16
	F64
	I32
	I64
	U8
	Bool
	Q8
	Q4
)

type dtypeRow struct {
	name  string
	bytes int // size of one element, 0 for packed quantised types
	float bool
	rank  int // place in the promotion order
}

var dtypeRows = [...]dtypeRow{
	Invalid: {"invalid", 0, false, -1},
	F32:     {"f32", 4, true, 6},
	F16:     {"f16", 2, true, 4},
	BF16:    {"bf16", 2, true, 5},
	F64:     {"f64", 8, true, 7},
	I32:     {"i32", 4, false, 2},
	I64:     {"i64", 8, false, 3},
	U8:      {"u8", 1, false, 1},
	Bool:    {"bool", 1, false, 0},
	Q8:      {"q8", 0, false, -1},
	Q4:      {"q4", 0, false, -1},
}

// row returns the facts of d; numbers that are no dtype count as Invalid.
func (d DType) row() *dtypeRow {
	if int(d) < len(dtypeRows) {
		return &dtypeRows[d]
	}
	return &dtypeRows[Invalid]
}

// String returns the short name used everywhere in messages and displays: "f32".
func (d DType) String() string {
	if int(d) < len(dtypeRows) {
		return dtypeRows[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Bytes returns the size of one element in bytes, 0 for Q8 and Q4.
func (d DType) Bytes() int { return d.row().bytes }

// IsFloat reports whether d is a floating-point type.
func (d DType) IsFloat() bool { return d.row().float }

// IsInt reports whether d is an integer type; Bool is not.
func (d DType) IsInt() bool { return d == I32 || d == I64 || d == U8 }

// Promote returns the dtype of a binary op on a and b. Among floats the wider
// wins (f16 with bf16 gives f32, which holds both); a float wins over an
// integer; among integers the wider wins.
func Promote(a, b DType) DType {
	if a == b {
		return a
	}
	if (a == F16 && b == BF16) || (a == BF16 && b == F16) {
		return F32
	}
	if a.row().rank > b.row().rank {
		return a
	}
	return b
}
