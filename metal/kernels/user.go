package kernels

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
)

// User is a kernel whose body the user wrote: `y[i] = x[i] * x[i];`. Inputs and outputs are pointers of their names.
// The body may also use `i` (the thread's place in the first axis of the grid), `position` (all three axes), `grid`
// (the three sizes), n_<name> (the elements of each tensor), the scalars, and the functions of prelude.metal.
type User struct {
	Name    string
	Inputs  []Tensor
	Outputs []Tensor
	Scalars map[string]float32
	Body    string
	Header  string // functions and structs that stand before the kernel
	Grid    [3]int // threads
	Group   [3]int // threads per threadgroup; zero is chosen
}

// Tensor is a named argument of a user kernel.
type Tensor struct {
	Name string
	Type Type
	Size int
	// Chain, of an input, computes its elements as they are read, from tensors that take its place among the arguments:
	// a group without reductions and with one output.
	Chain *Group
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reserved are the names that the wrapper gives to the body, and the words of the language.
var reserved = func() map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(`i position grid user_params T kernel device constant thread threadgroup metal
		bool char uchar short ushort int uint long ulong half float bfloat double void auto struct class union enum
		if else for while do switch case default break continue return const constexpr static inline using namespace
		template typename typedef sizeof true false this new delete operator public private signed unsigned volatile`) {
		set[w] = true
	}
	return set
}()

// UserFile and HeaderFile are the file names by which diagnostics tell the user's lines: line 1 is the first line of
// the body, or of the header.
const (
	UserFile   = "kernel body"
	HeaderFile = "kernel header"
)

// Launch wraps the body and returns its dispatch. Arguments are the inputs, then the outputs.
func (u User) Launch() (*Launch, error) {
	if !identifier.MatchString(u.Name) || reserved[u.Name] {
		return nil, fmt.Errorf("kernel name %q is not a plain identifier", u.Name)
	}
	for _, t := range u.Inputs {
		if t.Chain != nil && (t.Chain.check() != nil || t.Chain.plan().rows || len(t.Chain.Outputs) != 1) {
			return nil, fmt.Errorf("kernel %s: what computes %s is no chain", u.Name, t.Name)
		}
	}
	seen := map[string]bool{}
	scalars := make([]string, 0, len(u.Scalars))
	for name := range u.Scalars {
		scalars = append(scalars, name)
	}
	sort.Strings(scalars)
	names := append([]string(nil), scalars...)
	for _, t := range append(append([]Tensor(nil), u.Inputs...), u.Outputs...) {
		names = append(names, t.Name)
	}
	for _, name := range names {
		if !identifier.MatchString(name) || reserved[name] || seen[name] {
			return nil, fmt.Errorf("kernel %s: argument name %q is reserved, used twice or not a plain identifier", u.Name, name)
		}
		seen[name] = true
	}
	if len(u.Outputs) == 0 || len(u.Inputs)+len(u.Outputs) > 29 {
		return nil, fmt.Errorf("kernel %s: it needs at least one output, and at most 29 tensors", u.Name)
	}
	threads := u.Grid[0] * u.Grid[1] * u.Grid[2]
	if threads <= 0 {
		return nil, fmt.Errorf("kernel %s: grid %v has no threads", u.Name, u.Grid)
	}
	l := &Launch{Kernel: "user_" + u.Name, Variant: "user", Source: u.source(scalars)}
	fields := []any{u.Grid[0], u.Grid[1], u.Grid[2]}
	for _, t := range u.Inputs {
		l.Arguments = append(l.Arguments, t.arguments()...)
		fields = append(fields, t.Size)
	}
	for _, t := range u.Outputs {
		l.Arguments = append(l.Arguments, out(t.Name, t.Type, t.Size))
		fields = append(fields, t.Size)
	}
	for _, name := range scalars {
		fields = append(fields, u.Scalars[name])
	}
	l.Params = params(fields...)
	for _, t := range u.Inputs {
		if t.Chain != nil {
			l.Params = append(l.Params, t.Chain.plan().chainParams()...)
		}
	}
	if len(l.Arguments) > 30 || len(l.Params) > 4096 {
		return nil, fmt.Errorf("kernel %s: %d tensors and %d bytes of parameters, too many", u.Name, len(l.Arguments), len(l.Params))
	}
	group := u.Group
	if group == ([3]int{}) {
		group = chooseGroup(u.Grid)
	}
	if n := group[0] * group[1] * group[2]; n < 1 || n > 1024 {
		return nil, fmt.Errorf("kernel %s: %d threads per threadgroup, it must be 1 to 1024", u.Name, n)
	}
	l.Threads = group
	for axis := range 3 {
		l.Groups[axis] = ceil(u.Grid[axis], group[axis])
	}
	return l.account(), nil
}

// chooseGroup fills a threadgroup of up to 256 threads from the first axis on.
func chooseGroup(grid [3]int) [3]int {
	group, left := [3]int{1, 1, 1}, 256
	for axis := range 3 {
		for group[axis] < grid[axis] && left > 1 {
			group[axis] *= 2
			left /= 2
		}
	}
	return group
}

func (u User) source(scalars []string) string {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	b.WriteString(Prelude())
	if u.Header != "" {
		w("#line 1 %q\n%s", HeaderFile, u.Header)
	}
	w("#line 1 \"wrapper.metal\"")
	for _, t := range u.Inputs {
		if t.Chain != nil {
			t.Chain.plan().writeChain(&b, t.Name)
		}
	}
	w("struct UserParams {\n  uint grid[3];")
	all := append(append([]Tensor(nil), u.Inputs...), u.Outputs...)
	for _, t := range all {
		w("  uint n_%s;", t.Name)
	}
	for _, s := range scalars {
		w("  float %s;", s)
	}
	for _, t := range u.Inputs {
		if t.Chain != nil {
			w("  Chain_%s_Params chain_%[1]s;", t.Name)
		}
	}
	w("};\n%skernel void user_%s(", threadBound(max(flatThreads, u.Group[0]*u.Group[1]*u.Group[2])), u.Name)
	buffer := 0
	declare := func(qualifier string, t Type, name string) {
		w("  device %s%s* %s [[buffer(%d)]],", qualifier, t.MSL(), name, buffer)
		buffer++
	}
	for _, t := range u.Inputs {
		if t.Chain == nil {
			declare("const ", t.Type, t.Name)
			continue
		}
		for i, in := range t.Chain.Inputs {
			declare("const ", in.Type, t.part(i))
		}
	}
	for _, t := range u.Outputs {
		declare("", t.Type, t.Name)
	}
	w("  constant UserParams& user_params [[buffer(%d)]],\n  uint3 position [[thread_position_in_grid]]) {", buffer)
	w("  const uint3 grid = uint3(user_params.grid[0], user_params.grid[1], user_params.grid[2]);")
	w("  if (position.x >= grid.x || position.y >= grid.y || position.z >= grid.z) return;\n  const uint i = position.x;")
	for _, t := range u.Inputs {
		if t.Chain != nil {
			var parts strings.Builder
			for i := range t.Chain.Inputs {
				parts.WriteString(t.part(i) + ", ")
			}
			w("  const Chain_%s %[1]s = {%s&user_params.chain_%[1]s};", t.Name, parts.String())
		}
	}
	for _, t := range all {
		w("  const uint n_%s = user_params.n_%s;", t.Name, t.Name)
	}
	for _, s := range scalars {
		w("  const float %s = user_params.%s;", s, s)
	}
	w("  {\n#line 1 %q\n%s\n#line 1 \"wrapper end\"\n  }\n}", UserFile, u.Body)
	return b.String()
}

// part is the name of tensor i of a chain, as a kernel's argument.
func (t Tensor) part(i int) string { return fmt.Sprintf("chain_%s_in%d", t.Name, i) }

// arguments are the buffers of an input: its own, or those of what computes it.
func (t Tensor) arguments() (all []Argument) {
	if t.Chain == nil {
		return []Argument{in(t.Name, t.Type, t.Size)}
	}
	for i, x := range t.Chain.Inputs {
		all = append(all, in(t.part(i), x.Type, x.Size))
	}
	return all
}

// chainParams are the parameters of a group whose size and rows are the reader's business.
func (p *plan) chainParams() []byte { return p.params(0, 0)[8:] }

// ChainParam is where in the launch's Params number n of the chain of an input lies, see Group.ParamOffset.
func (u User) ChainParam(l *Launch, input, n int) int {
	at := len(l.Params)
	for k := len(u.Inputs) - 1; k >= input; k-- {
		if c := u.Inputs[k].Chain; c != nil {
			at -= len(c.plan().chainParams())
		}
	}
	return at + u.Inputs[input].Chain.ParamOffset(n) - 8
}

// writeChain writes what the body indexes instead of a pointer: an object whose [] computes the element.
func (p *plan) writeChain(b *strings.Builder, name string) {
	w := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	w("struct Chain_%s_Params {", name)
	p.writeFields(b)
	w("};\nstruct Chain_%s {", name)
	for i, in := range p.Inputs {
		w("  device const %s* in%d;", in.Type.MSL(), i)
	}
	w("  constant Chain_%s_Params* params;\n  %s operator[](uint i) const {\n    constant Chain_%[1]s_Params& p = *params;", name, computed(p.Outputs[0].Type))
	all := make([]bool, len(p.perRow))
	for i := range all {
		all[i] = true
	}
	p.writeValues(b, all, "    ")
	w("    return v%d;\n  }\n};", p.Outputs[0].Value)
}
