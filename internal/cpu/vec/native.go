package vec

import (
	"math"
	"os"
	"sync"

	"loris/internal/cpu/native"
)

// A program that has run for a while becomes machine code: its operations in one loop or
// a few, with intermediate values in vector registers instead of tiles. The values are
// the same to the last bit, but for those of NaN.

// nativeAfter is how many nanoseconds the kernel of a short program works before it is
// compiled, unless LORIS_NATIVE is "always" or "never".
var nativeAfter = func() float64 {
	switch os.Getenv("LORIS_NATIVE") {
	case "always":
		return 0
	case "never":
		return math.Inf(1)
	}
	return 1e6
}()

// coldNanos returns how many nanoseconds a kernel works before it is compiled: at least
// as long as that takes, which is more the more an element costs.
func (p *Program) coldNanos() float64 { return nativeAfter * max(1, 2*p.cost) }

// natives are a program's machine codes, by which inputs repeat one element; nil where
// there can be none.
type natives struct {
	sync.Mutex
	codes map[uint64]*machineCode
}

// machineCode is a program as loops that run one after the other over a block of
// elements.
type machineCode struct {
	loops []machineLoop
	kept  int // values that loops leave to later ones, at most at a time
}

type machineLoop struct {
	code     *native.Code
	operands []loopOperand
}

// loopOperand is an operand of a loop, in the order of its code.
type loopOperand struct {
	kind  loopOperandKind
	index int
}

type loopOperandKind uint8

const (
	inputOperand loopOperandKind = iota
	outputOperand
	sumOperand  // numbers that are added for a sum of rows; the index counts sums only
	keptOperand // what one loop leaves to later ones
)

// native returns the machine code for inputs of which those in the set repeat one
// element in a row, nil if the program has operations or operands that it cannot have.
func (p *Program) native(repeat uint64) *machineCode {
	if !native.Supported(level) || len(p.inputs) > 64 || len(p.outputs) >= native.MaxOperands { // the last loop writes all outputs
		return nil
	}
	p.natives.Lock()
	defer p.natives.Unlock()
	if c, known := p.natives.codes[repeat]; known {
		return c
	}
	if p.natives.codes == nil {
		p.natives.codes = map[uint64]*machineCode{}
	}
	c := p.compileNative(repeat)
	p.natives.codes[repeat] = c
	return c
}

// warm counts the work of a run, and compiles the kernel once it is worth it.
func (k *Kernel) warm(nanos float64) {
	if k.cold -= nanos; k.cold > 0 || k.compiled {
		return
	}
	k.compiled = true
	if k.p.sumsRows() && k.sumBlocks() == 0 {
		return
	}
	if g, ok := k.gridOf(k.p.sumsRows()); ok {
		if k.code = k.p.native(g.repeat); k.code != nil {
			k.grid = g
			return
		}
	}
	if k.p.sumsRows() {
		return
	}
	// Inputs that lie otherwise are gathered tile by tile.
	repeat := uint64(0)
	for i := range k.inputs {
		if k.inputs[i].kind == splat {
			repeat |= 1 << i
		}
	}
	k.gathers = true
	k.code = k.p.native(repeat)
}

// sumBlocks returns how many numbers are added for the sum of a row, 0 if it is summed
// as a whole. Where there may be machine code, tiles sum alike.
func (k *Kernel) sumBlocks() int {
	if !native.HasLevel(level) || k.cols%native.SumBlock != 0 {
		return 0
	}
	return k.cols / native.SumBlock
}
