package vec

import "fmt"

// Type is the type of elements in memory and in a program's registers.
type Type uint8

// The types. Programs compute in F32, F64, I32, I64 and Bool; F16, BF16 and U8 exist
// in memory only and become F32 or I32 when read.
const (
	F32 Type = iota
	F64
	I32
	I64
	Bool // one byte, 0 or 1, in memory
	F16
	BF16
	U8

	typeCount
)

// String returns the type's name, such as "f32".
func (t Type) String() string {
	if t >= typeCount {
		return fmt.Sprintf("Type(%d)", t)
	}
	return [...]string{"f32", "f64", "i32", "i64", "bool", "f16", "bf16", "u8"}[t]
}

// Size returns the bytes of one element in memory.
func (t Type) Size() int { return [...]int{4, 8, 4, 8, 1, 2, 2, 1}[t] }

// register returns the type that elements of t have in a register.
func (t Type) register() Type { return [...]Type{F32, F64, I32, I64, Bool, F32, F32, I32}[t] }

// lane returns the bytes of one element in a register.
func (t Type) lane() int {
	if t == F64 || t == I64 {
		return 8
	}
	return 4
}
