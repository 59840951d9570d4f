package metal

import (
	"errors"
	"fmt"
	"math"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
)

// elementTypes are the dtypes that kernels read and write.
var elementTypes = map[ir.DType]kernels.Type{ir.F32: kernels.F32, ir.F16: kernels.F16, ir.BF16: kernels.BF16,
	ir.I32: kernels.I32, ir.I64: kernels.I64, ir.U8: kernels.U8, ir.Bool: kernels.Bool}

// errNoKernel says that a step has no form on Metal: it is planned onto the CPU.
var errNoKernel = errors.New("no Metal kernel for this step")

// space says what a place is relative to.
type space uint8

const (
	nowhere     space = iota // an argument that is not used
	planSpace                // a buffer of the plan
	scratch                  // the step's own memory
	statusSpace              // the words that kernels report bad indices in
)

// place is where an argument of a launch lies.
type place struct {
	space  space
	index  int // buffer of the plan
	offset int // bytes
}

// patch writes a constant of the run into the parameters of a launch.
type patch struct {
	at       int
	constant int32
	dtype    kernels.Type
}

// command is a launch with the places of its arguments.
type command struct {
	launch  *kernels.Launch
	args    []place
	patches []patch
	group   *kernels.Group // that the launch is of, nil for others
	draw    int            // index of the random draw whose key and counter go into the parameters, -1 if none
}

// check is an index that was out of range: which operand, and how long its axis is.
type check struct {
	operand *plan.Operand
	axis    int
	ignored int64 // never out of range; math.MinInt64 if there is none
	least   int64 // the smallest index: -axis where negative ones count from the end
	host    bool  // no kernel reports it: all indices are looked at afterwards
	status  int   // the word that a kernel reports in
}

// lowered is a step as launches.
type lowered struct {
	commands []command
	checks   []check
	scratch  int // bytes
	statuses int
}

// lowering turns one step into launches.
type lowering struct {
	lowered
	p    *plan.Plan
	s    *plan.Step
	chip kernels.Chip

	whole   bool          // products do not split K
	quant   *plan.Operand // of a product joined with the step that unpacks its second factor: that, packed
	chain   *command      // of a user's kernel joined with the step that makes an input: that step's launch
	chained int           // the input
	keep    *plan.Operand // of a LoRA step: where z@A is to be kept, nil if it is not
}

// lowerings has the function for each op that stands on its own as a step.
var lowerings [op.NumOps]func(l *lowering) error

// register enters functions of ops into the table.
func register(f func(l *lowering) error, ops ...ir.Op) {
	for _, o := range ops {
		lowerings[o] = f
	}
}

// lower returns the launches of a step; the error is errNoKernel, or tells what
// is wrong with a user's kernel.
func lower(p *plan.Plan, s *plan.Step, chip kernels.Chip) (*lowered, error) {
	l := &lowering{p: p, s: s, chip: chip}
	if allEmpty(s.Out) {
		return &l.lowered, nil
	}
	if !l.fits() {
		return nil, errNoKernel
	}
	var err error
	switch {
	case anyEmpty(s.In) && s.Op != op.Concat:
		err = l.ofNothing()
	case s.Kind == plan.FusedStep:
		err = l.program(nil)
	case s.Kind == plan.MatMulStep, s.Kind == plan.LoRAStep:
		err = l.product()
	case s.Kind == plan.CopyStep:
		err = l.copyStep()
	default:
		f := lowerings[s.Op]
		if f == nil {
			return nil, errNoKernel
		}
		err = f(l)
	}
	if err == nil {
		err = l.verify()
	}
	return &l.lowered, err
}

// ofNothing writes sums, products and matrix products of no elements.
func (l *lowering) ofNothing() error {
	s, value := l.s, 0.0
	switch {
	case s.Kind == plan.MatMulStep && s.Own == 2 && s.Program == nil:
	case s.Kind == plan.OpStep && (s.Op == op.Sum || s.Op == op.Any):
	case s.Kind == plan.OpStep && (s.Op == op.Prod || s.Op == op.All):
		value = 1
	default:
		return errNoKernel
	}
	return l.fill(&s.Out[0], value)
}

// verify checks that launches stay within the memory they are given, as far as
// the plan tells its size.
func (l *lowering) verify() error {
	for i := range l.commands {
		c := &l.commands[i]
		for k, a := range c.launch.Arguments {
			p, size := c.args[k], l.scratch
			if p.space == planSpace && l.p.Buffers[p.index].Kind != plan.LeafBuffer {
				size = l.p.Buffers[p.index].Bytes
			} else if p.space != scratch {
				continue
			}
			if end := p.offset + a.Size*a.Type.Size(); !a.Unused && (p.offset < 0 || end > size) {
				return fmt.Errorf("%s: argument %s of %s ends at byte %d of a buffer of %d", l.s.Name, a.Name, c.launch.Kernel, end, size)
			}
		}
	}
	return nil
}

func allEmpty(out []plan.Operand) bool {
	for i := range out {
		if out[i].Shape.Size() > 0 {
			return false
		}
	}
	return true
}

func anyEmpty(in []plan.Operand) bool {
	for i := range in {
		if in[i].Shape.Size() == 0 {
			return true
		}
	}
	return false
}

// fits reports whether all elements can be counted in 31 bits, as kernels do.
func (l *lowering) fits() bool {
	for _, list := range [2][]plan.Operand{l.s.In, l.s.Out} {
		for i := range list {
			lo, hi := list[i].Span()
			if hi-lo >= math.MaxInt32 || list[i].Shape.Size() >= math.MaxInt32 {
				return false
			}
		}
	}
	return true
}

// add appends a launch whose argument i lies at args[i].
func (l *lowering) add(k *kernels.Launch, args ...place) *command {
	if len(args) != len(k.Arguments) {
		panic(fmt.Sprintf("metal: %s takes %d arguments, not %d", k.Kernel, len(k.Arguments), len(args)))
	}
	l.commands = append(l.commands, command{launch: k, args: args, draw: -1})
	return &l.commands[len(l.commands)-1]
}

// temp returns memory of the step for n elements.
func (l *lowering) temp(t kernels.Type, n int) place {
	const align = 256
	at := l.scratch
	l.scratch += (n*t.Size() + align - 1) &^ (align - 1)
	return place{space: scratch, offset: at}
}

// status returns a word for a kernel to report in, and notes what to say.
func (l *lowering) status(c check) place {
	c.status = l.statuses
	l.statuses++
	l.checks = append(l.checks, c)
	return place{space: statusSpace, offset: 4 * c.status}
}

// at is where an operand's first element in order of memory lies.
func at(o *plan.Operand) place {
	lo, _ := o.Span()
	return place{space: planSpace, index: o.Buffer, offset: lo * o.DType.Bytes()}
}

func typeOf(o *plan.Operand) (kernels.Type, error) {
	t, ok := elementTypes[o.DType]
	if !ok {
		return 0, errNoKernel
	}
	return t, nil
}

// dense returns an operand row-major: where it lies, or a copy.
func (l *lowering) dense(o *plan.Operand) (place, kernels.Type, error) {
	t, err := typeOf(o)
	if err != nil || o.IsDense() {
		return at(o), t, err
	}
	to := l.temp(t, o.Shape.Size())
	return to, t, l.copy(o.View, t, at(o), plan.Dense(o.Shape), t, to)
}

// denseAs returns an operand row-major with elements of another type.
func (l *lowering) denseAs(o *plan.Operand, want kernels.Type) (place, error) {
	t, err := typeOf(o)
	if err != nil {
		return place{}, err
	}
	if t == want {
		p, _, err := l.dense(o)
		return p, err
	}
	to := l.temp(want, o.Shape.Size())
	return to, l.copy(o.View, t, at(o), plan.Dense(o.Shape), want, to)
}

// copy copies the elements of one view to those of another of the same shape;
// the places are where the views' memory begins.
func (l *lowering) copy(v plan.View, from kernels.Type, source place, w plan.View, to kernels.Type, target place) error {
	if v.IsDense() && w.IsDense() {
		n := v.Shape.Size()
		l.add(kernels.Cast(from, to, n, false), source, target)
		return nil
	}
	shape, strides, ok := together(v, w)
	if !ok {
		return errNoKernel
	}
	flo, fhi := v.Span()
	tlo, thi := w.Span()
	l.add(kernels.Copy{From: from, To: to, Shape: shape, FromStrides: strides[0], ToStrides: strides[1],
		FromOffset: v.Offset - flo, ToOffset: w.Offset - tlo, FromSize: fhi - flo + 1, ToSize: thi - tlo + 1}.Launch(), source, target)
	return nil
}

// together returns axes over which all views, of as many elements each, can be
// walked by strides; not ok if they are more than kernels take.
func together(views ...plan.View) (shape []int, strides [][]int, ok bool) {
	ends := map[int]bool{1: true} // elements behind each axis of a view
	for _, v := range views {
		n := 1
		c := v.Collapse()
		for d := len(c.Shape) - 1; d >= 0; d-- {
			n *= c.Shape[d]
			ends[n] = true
		}
	}
	order := sortedKeys(ends)
	for i := 1; i < len(order); i++ {
		if order[i]%order[i-1] != 0 {
			return nil, nil, false
		}
		shape = append([]int{order[i] / order[i-1]}, shape...)
	}
	if len(shape) == 0 {
		shape, order = []int{1}, []int{1, 1}
	}
	if len(shape) > 8 {
		return nil, nil, false
	}
	for _, v := range views {
		c := v.Collapse()
		st := make([]int, len(shape))
		for a := range shape {
			inner := order[len(order)-2-a] // elements behind this axis
			n := 1
			for d := len(c.Shape) - 1; d >= 0; d-- {
				if inner < n*c.Shape[d] {
					st[a] = c.Strides[d] * (inner / n)
					break
				}
				n *= c.Shape[d]
			}
		}
		strides = append(strides, st)
	}
	return shape, strides, true
}

func sortedKeys(set map[int]bool) []int {
	keys := make([]int, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	for i := range keys {
		for j := i; j > 0 && keys[j] < keys[j-1]; j-- {
			keys[j], keys[j-1] = keys[j-1], keys[j]
		}
	}
	return keys
}

// copyStep copies In[0] to Out[0], row-major.
func (l *lowering) copyStep() error { return l.copyOperand(&l.s.In[0], &l.s.Out[0]) }

func (l *lowering) copyOperand(from, to *plan.Operand) error {
	t, err := typeOf(from)
	if err != nil {
		return err
	}
	u, err := typeOf(to)
	if err != nil {
		return err
	}
	return l.copy(from.View, t, at(from), to.View, u, at(to))
}
