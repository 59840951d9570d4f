//go:build softmetal

package metal_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"loris/internal/devicetest"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal"
	"loris/metal/mtl"
)

// placer is the Metal device under another name. It runs nothing and notes the steps that it leaves to the CPU.
type placer struct {
	*metal.Device
	mu      sync.Mutex
	refused map[string]map[string]bool // dtypes by op
}

func (*placer) Name() string { return "placer" }

func (d *placer) note(o, dtype string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused[o] == nil {
		d.refused[o] = map[string]bool{}
	}
	d.refused[o][dtype] = true
}

func (d *placer) Supports(o ir.Op, dtype ir.DType) bool {
	ok := d.Device.Supports(o, dtype)
	if !ok {
		d.note(op.NameOf(o), dtype.String())
	}
	return ok
}

func (d *placer) SupportsStep(p *plan.Plan, s *plan.Step) bool {
	ok := d.Device.SupportsStep(p, s)
	if !ok {
		var operands []string
		for _, list := range [][]plan.Operand{s.In, s.Out} {
			for i := range list {
				operands = append(operands, fmt.Sprint(list[i].DType, list[i].Shape))
			}
		}
		d.note(s.Name, strings.Join(operands, " "))
	}
	return ok
}

func (d *placer) Compile(p *plan.Plan, from, to int) (plan.Executable, error) { return nothing{}, nil }

type nothing struct{}

func (nothing) Run(*plan.Binding) (plan.Fence, error) { return nil, nil }

// Of the op table, in all dtypes and layouts, only doubles, which Apple's GPUs lack, linear algebra and quantising run on
// the CPU: as docs/METAL.md says.
func TestWhatRunsOnTheCPU(t *testing.T) {
	d := &placer{Device: metal.New(mtl.Options{}), refused: map[string]map[string]bool{}}
	plan.Register(d)
	if _, err := devicetest.RunAll("placer", func(string) {}); err != nil { // results are not computed
		t.Fatal(err)
	}
	expected := map[string]bool{"QR": true, "SVD": true, "Solve": true, "Quantize": true}
	for o, dtypes := range d.refused {
		for dtype := range dtypes {
			if !expected[o] && !strings.Contains(dtype, "f64") {
				t.Errorf("%s of %s runs on the CPU", o, dtype)
			}
		}
	}
	for o := range expected {
		if d.refused[o] == nil {
			t.Errorf("%s runs on Metal now: tell docs/METAL.md", o)
		}
	}
}
