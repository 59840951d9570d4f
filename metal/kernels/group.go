package kernels

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Group is a fused group of elementwise operations and reductions of rows, in static single assignment form. Values
// are numbered: first the inputs, then the operations in order. It becomes one kernel.
//
// Without reductions every element of Shape is computed on its own. With them (see Op), the last axis of Shape is
// reduced: a threadgroup takes one row, a reduction's value is one number per row that later operations may use
// like any other, and outputs are per element or, if PerRow, per row. So softmax is x−max(x), exp, sum, divide.
type Group struct {
	Shape   []int // of the iteration, at most 8 axes
	Inputs  []Input
	Ops     []Op
	Outputs []Output
	Params  int // how many numbers a run sets, see the code "param" and ParamOffset
}

// Input is a tensor read with strides over the group's shape, in elements; 0 broadcasts.
type Input struct {
	Type    Type
	Strides []int
	Offset  int
	Size    int // elements of its storage
}

// Output is a value that is written, densely.
type Output struct {
	Value  int
	Type   Type
	PerRow bool
}

// Op computes one value. Type is what it computes in: F32 for all float tensors, or an integer type, or Bool.
type Op struct {
	Code    Code
	Args    []int
	Type    Type
	Literal float64 // of const; of param its number
}

// Code says what an operation does.
type Code string

// The codes that take arguments of the operation's type and give that type, with their MSL for floats and integers;
// a, b and c stand for the arguments.
var arithmetic = map[Code]struct {
	arity          int
	float, integer string
}{
	"add": {2, "a + b", "a + b"}, "sub": {2, "a - b", "a - b"}, "mul": {2, "a * b", "a * b"}, "div": {2, "a / b", "a / b"},
	"pow":     {2, "precise::pow(a, b)", "power(long(a), long(b))"},
	"mod":     {2, "a - b * floor(a / b)", "b == 0 ? 0 : ((a % b != 0 && (a < 0) != (b < 0)) ? a % b + b : a % b)"}, // sign of the divisor
	"minimum": {2, "isnan(a) || a < b ? a : b", "min(a, b)"}, "maximum": {2, "isnan(a) || a > b ? a : b", "max(a, b)"},
	"neg": {1, "-a", "-a"}, "abs": {1, "fabs(a)", "a < 0 ? -a : a"}, "sign": {1, "isnan(a) ? a : sign(a)", "a > 0 ? 1 : a < 0 ? -1 : 0"},
	"square": {1, "a * a", "a * a"}, "sqrt": {1, "precise::sqrt(a)", ""}, "rsqrt": {1, "precise::rsqrt(a)", ""}, "reciprocal": {1, "1.0f / a", ""},
	"exp": {1, "precise::exp(a)", ""}, "exp2": {1, "precise::exp2(a)", ""}, "expm1": {1, "expm1(a)", ""}, "log": {1, "precise::log(a)", ""}, "log2": {1, "precise::log2(a)", ""}, "log1p": {1, "log1p(a)", ""},
	"sin": {1, "precise::sin(a)", ""}, "cos": {1, "precise::cos(a)", ""}, "tan": {1, "precise::tan(a)", ""}, "tanh": {1, "precise::tanh(a)", ""},
	"asin": {1, "precise::asin(a)", ""}, "acos": {1, "precise::acos(a)", ""}, "atan": {1, "precise::atan(a)", ""}, "atan2": {2, "precise::atan2(a, b)", ""},
	"sinh": {1, "precise::sinh(a)", ""}, "cosh": {1, "precise::cosh(a)", ""},
	"erf": {1, "erf(a)", ""}, "sigmoid": {1, "sigmoid(a)", ""}, "relu": {1, "isnan(a) ? a : max(a, 0.0f)", "max(a, zero)"},
	"gelu": {1, "activate(kGelu, a)", ""}, "gelu_tanh": {1, "gelu_tanh(a)", ""}, "silu": {1, "a * sigmoid(a)", ""},
	"floor": {1, "floor(a)", "a"}, "ceil": {1, "ceil(a)", "a"}, "round": {1, "rint(a)", "a"}, "trunc": {1, "trunc(a)", "a"},
	"fma":    {3, "fma(a, b, c)", "a * b + c"},
	"bitand": {2, "", "a & b"}, "bitor": {2, "", "a | b"}, "bitxor": {2, "", "a ^ b"},
}

// comparisons take two arguments of Type and give Bool.
var comparisons = map[Code]string{"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

// Codes of another form: const; param (a number that the run sets); position (the element's number, an integer); cast (to Type); where (Bool, then two of Type); and, or, xor, not (of Bool); isnan,
// isinf, isfinite (of float, giving Bool); and the reductions of float rows.
var reductions = map[Code]Reduction{"reduce_sum": Sum, "reduce_mean": Mean, "reduce_max": Max, "reduce_min": Min, "reduce_product": Product}

// Codes lists every operation code, for tests.
func Codes() []Code {
	all := []Code{"const", "param", "position", "cast", "where", "and", "or", "xor", "not", "isnan", "isinf", "isfinite"}
	for c := range arithmetic {
		all = append(all, c)
	}
	for c := range comparisons {
		all = append(all, c)
	}
	for c := range reductions {
		all = append(all, c)
	}
	return all
}

// Supports says whether a code can be computed in a type.
func Supports(c Code, t Type) bool {
	if a, ok := arithmetic[c]; ok {
		if t.Float() {
			return a.float != ""
		}
		return a.integer != "" && t != Bool
	}
	if _, ok := comparisons[c]; ok {
		return true
	}
	if _, ok := reductions[c]; ok {
		return t.Float()
	}
	switch c {
	case "const", "cast", "where", "param":
		return true
	case "position":
		return t == I32 || t == I64
	case "isnan", "isinf", "isfinite":
		return t.Float()
	case "and", "or", "xor", "not":
		return t == Bool
	}
	return false
}

// computed is the type that values of t have inside a kernel.
func computed(t Type) string {
	if t.Float() {
		return "float"
	}
	return t.MSL()
}

// valueType is the MSL type of a value.
func (g *Group) valueType(v int) string {
	if v < len(g.Inputs) {
		return computed(g.Inputs[v].Type)
	}
	op := g.Ops[v-len(g.Inputs)]
	_, compares := comparisons[op.Code]
	if compares || op.Code == "isnan" || op.Code == "isinf" || op.Code == "isfinite" {
		return "bool"
	}
	return computed(op.Type)
}

// check refuses groups that cannot become a kernel.
func (g *Group) check() error {
	if len(g.Inputs)+len(g.Outputs) > 29 {
		return fmt.Errorf("kernels: a group of %d buffers, at most 29", len(g.Inputs)+len(g.Outputs))
	}
	if len(g.Shape) > 8 {
		return fmt.Errorf("kernels: a group of %d axes, at most 8", len(g.Shape))
	}
	for _, in := range g.Inputs {
		if len(in.Strides) != len(g.Shape) {
			return fmt.Errorf("kernels: an input with %d strides in a group of %d axes", len(in.Strides), len(g.Shape))
		}
	}
	for _, o := range g.Outputs {
		if o.Value < 0 || o.Value >= len(g.Inputs)+len(g.Ops) {
			return fmt.Errorf("kernels: output of value %d, which does not exist", o.Value)
		}
	}
	for n, op := range g.Ops {
		if !Supports(op.Code, op.Type) {
			return fmt.Errorf("kernels: %s of %v is not supported", op.Code, op.Type)
		}
		if want := arity(op.Code); len(op.Args) != want {
			return fmt.Errorf("kernels: %s takes %d arguments, not %d", op.Code, want, len(op.Args))
		}
		for _, a := range op.Args {
			if a < 0 || a >= len(g.Inputs)+n {
				return fmt.Errorf("kernels: operation %d uses value %d, which is not computed before it", n, a)
			}
		}
	}
	return nil
}

func arity(c Code) int {
	if a, ok := arithmetic[c]; ok {
		return a.arity
	}
	if _, ok := comparisons[c]; ok {
		return 2
	}
	return map[Code]int{"const": 0, "where": 3, "and": 2, "or": 2, "xor": 2}[c] + map[Code]int{"cast": 1, "not": 1, "isnan": 1, "isinf": 1, "isfinite": 1, "reduce_sum": 1, "reduce_mean": 1, "reduce_max": 1, "reduce_min": 1, "reduce_product": 1}[c]
}

// expression is the MSL of one operation on named values.
func (g *Group) expression(op Op) string {
	name := func(i int) string { return "v" + strconv.Itoa(op.Args[i]) }
	t := computed(op.Type)
	if a, ok := arithmetic[op.Code]; ok {
		text := a.float
		if !op.Type.Float() {
			text = a.integer
		}
		return t + "(" + substitute(text, t, op) + ")"
	}
	if c, ok := comparisons[op.Code]; ok {
		return name(0) + " " + c + " " + name(1)
	}
	switch op.Code {
	case "const":
		return literal(op.Literal, op.Type)
	case "param":
		return parameter(int(op.Literal), op.Type)
	case "position":
		return t + "(i)"
	case "cast":
		if t == "bool" {
			return name(0) + " != " + g.valueType(op.Args[0]) + "(0)"
		}
		from := g.valueType(op.Args[0])
		if from == "float" && !op.Type.Float() { // saturating, NaN as 0
			return "to_" + t + "(" + name(0) + ")"
		}
		return t + "(" + name(0) + ")"
	case "where":
		return name(0) + " ? " + name(1) + " : " + name(2)
	case "and", "or":
		return name(0) + map[Code]string{"and": " && ", "or": " || "}[op.Code] + name(1)
	case "xor":
		return name(0) + " != " + name(1)
	case "not":
		return "!" + name(0)
	}
	return string(op.Code) + "(" + name(0) + ")" // isnan, isinf, isfinite
}

// parameter is the MSL of a number that the run sets: two words of the parameters.
func parameter(n int, t Type) string {
	low := fmt.Sprintf("p.numbers[%d]", 2*n)
	switch {
	case t.Float():
		return "as_type<float>(" + low + ")"
	case t == I64:
		return fmt.Sprintf("long(ulong(%s) | ulong(p.numbers[%d]) << 32)", low, 2*n+1)
	case t == Bool:
		return low + " != 0"
	}
	return t.MSL() + "(" + low + ")"
}

// substitute puts value names for the one-letter words of a template.
func substitute(template, t string, op Op) string {
	var b strings.Builder
	for i := 0; i < len(template); {
		j := i
		for j < len(template) && (template[j] >= 'a' && template[j] <= 'z' || template[j] >= 'A' && template[j] <= 'Z' || template[j] >= '0' && template[j] <= '9' || template[j] == '_' || template[j] == '.' && j > i) {
			j++
		}
		switch word := template[i:j]; {
		case j == i:
			b.WriteByte(template[i])
			j++
		case len(word) == 1 && word[0] >= 'a' && word[0] <= 'c':
			b.WriteString("v" + strconv.Itoa(op.Args[word[0]-'a']))
		case word == "zero":
			b.WriteString(t + "(0)")
		default:
			b.WriteString(word)
		}
		i = j
	}
	return b.String()
}

// literal spells a number exactly: floats by their bits where decimal would not do.
func literal(v float64, t Type) string {
	switch {
	case t == Bool:
		return strconv.FormatBool(v != 0)
	case !t.Float():
		return fmt.Sprintf("%s(%d)", t.MSL(), int64(v))
	case math.IsInf(v, 1):
		return "INFINITY"
	case math.IsInf(v, -1):
		return "-INFINITY"
	case math.IsNaN(v):
		return "NAN"
	}
	s := strconv.FormatFloat(float64(float32(v)), 'e', -1, 32)
	return s + "f"
}
