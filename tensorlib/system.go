package tensorlib

import (
	"strings"

	"loris/internal/eval"
	"loris/internal/ir"
)

// SetHost installs what runs the library (the notebook kernel): it tells where
// the running statement stands and when the cell is interrupted. nil removes it.
func SetHost(h ir.Host) { ir.SetHost(h) }

// Devices returns the names of the devices of this process, such as "cpu".
func Devices() []string {
	var names []string
	for _, d := range eval.Devices() {
		names = append(names, d.Name)
	}
	return names
}

// Use makes a device the one that evaluations run on.
func Use(device string) {
	if err := eval.Use(device); err != nil {
		panic(asError("Use", err))
	}
}

// To computes x and returns it. All devices of this library share the memory
// of the machine, so that nothing is copied; a device that is not here is an
// error.
func (x *Tensor) To(device string) *Tensor {
	for _, d := range Devices() {
		if d == device {
			return x
		}
	}
	fail("To", ir.CodeDevice, nil, "there is no device %q; there are %s", device, strings.Join(Devices(), ", "))
	return nil
}

// Eager runs f with every op computed, and waited for, as soon as it is called:
// with the same kernels and memory as otherwise, but op by op. It is there to
// compare with; the mode holds for all goroutines while f runs.
func Eager(f func()) { eval.Eager(f) }

// SetPrecision chooses how exact products of f32 matrices have to be: "highest" (f32
// throughout, where a process begins), "high" (three bfloat16 products may stand for
// one) or "medium" (one may), as in PyTorch. It allows devices to be less exact and
// obliges none. At "medium", AMD processors with AVX512_BF16 round the factors of
// products of 16 rows or more to bfloat16, which has 8 binary digits, and add in f32: that
// takes half of the time. Other processors and Metal compute in f32 at all three.
func SetPrecision(precision string) {
	if err := eval.SetPrecision(precision); err != nil {
		panic(asError("SetPrecision", err))
	}
}

// SetLimit bounds the memory of tensors in bytes; 0 lifts the bound. An
// evaluation that needs more fails with an error that names the step.
func SetLimit(bytes int64) { eval.SetLimit(bytes) }
