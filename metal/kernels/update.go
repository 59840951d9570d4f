package kernels

import (
	"fmt"
	"strings"
)

// AdamW describes one step of the optimiser over Size elements.
type AdamW struct {
	Type                     Type
	Size                     int
	Beta1, Beta2, Eps, Decay float32
}

// Launch returns the dispatch. Arguments: p, g, m, v (float moments), h (three floats, see optimiser.metal), p_out,
// m_out, v_out, which may be the buffers of p, m, v.
func (a AdamW) Launch() *Launch {
	t := a.Type
	l := &Launch{Kernel: "adamw", Variant: t.String(), Source: source("optimiser.metal", t),
		Arguments: []Argument{in("p", t, a.Size), in("g", t, a.Size), in("m", F32, a.Size), in("v", F32, a.Size), in("h", F32, 3),
			out("p_out", t, a.Size), out("m_out", F32, a.Size), out("v_out", F32, a.Size)},
		Params: params(a.Size, a.Beta1, a.Beta2, a.Eps, a.Decay), Flops: 15 * int64(a.Size)}
	l.flat(a.Size)
	return l.account()
}

// MaxAdamWSets is how many parameters one dispatch updates: with seven buffers each, more would not fit.
const MaxAdamWSets = 4

// Set is one parameter of several: its elements, and if its gradient lies transposed, the columns of the parameter.
type Set struct{ Size, Columns int }

// LaunchSets returns the dispatch that updates several parameters; a.Size is not used. Arguments: h,
// then for each parameter p, g, m, v, p_out, m_out, v_out.
func (a AdamW) LaunchSets(sets []Set) *Launch {
	t := a.Type
	l := &Launch{Kernel: "adamw_sets", Variant: fmt.Sprintf("%v, %d sets", t, len(sets)), Source: adamWSetsSource(t, len(sets)),
		Arguments: []Argument{in("h", F32, 3)}}
	var ends, turned []any
	total := 0
	for i, s := range sets {
		n := s.Size
		named := func(name string) string { return fmt.Sprintf("%s%d", name, i) }
		l.Arguments = append(l.Arguments, in(named("p"), t, n), in(named("g"), t, n), in(named("m"), F32, n), in(named("v"), F32, n),
			out(named("p_out"), t, n), out(named("m_out"), F32, n), out(named("v_out"), F32, n))
		total += n
		ends, turned = append(ends, total), append(turned, s.Columns)
	}
	l.Params, l.Flops = params(append(append(ends, turned...), 0, a.Beta1, a.Beta2, a.Eps, a.Decay)...), 15*int64(total)
	l.flat(total)
	return l.account()
}

// adamWSetsSource writes the kernel for n parameters, which stand behind each other in the grid.
func adamWSetsSource(t Type, n int) string {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	b.WriteString(source("optimiser.metal", t))
	w("#line 1 \"generated.metal\"\nstruct AdamWSetsParams {\n  uint ends[%d];  // elements of the parameters up to and with each\n  uint columns[%[1]d];  // of a parameter whose gradient lies transposed, else 0\n  AdamWParams constants;\n};", n)
	w("%skernel void adamw_sets(device const float* h [[buffer(0)]],", threadBound(flatThreads))
	for i := range n {
		for k, name := range []string{"const T* p", "const T* g", "const float* m", "const float* v", "T* p_out", "float* m_out", "float* v_out"} {
			w("  device %s%d [[buffer(%d)]],", name, i, 1+7*i+k)
		}
	}
	w("  constant AdamWSetsParams& k [[buffer(%d)]],\n  uint i [[thread_position_in_grid]]) {", 1+7*n)
	for i := range n {
		before := "0"
		if i > 0 {
			before = fmt.Sprintf("k.ends[%d]", i-1)
		}
		w("  if (i < k.ends[%d]) {\n    uint at = i - %[2]s, size = k.ends[%[1]d] - %[2]s, columns = k.columns[%[1]d];", i, before)
		w("    uint from = columns > 0 ? at %% columns * (size / columns) + at / columns : at;")
		w("    update(p%[1]d, g%[1]d, m%[1]d, v%[1]d, h, p_out%[1]d, m_out%[1]d, v_out%[1]d, k.constants, at, from);\n    return;\n  }", i)
	}
	w("}")
	return b.String()
}
