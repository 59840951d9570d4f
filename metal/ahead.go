package metal

import (
	"loris/metal/kernels"
	"loris/metal/launch"
	"loris/metal/mtl"
)

// CompileAhead makes the device compile, in the background from its first use on, the kernels that most programs need:
// a first step would otherwise wait for Metal's compiler once per kernel.
func (d *Device) CompileAhead() *Device {
	d.ahead = true
	return d
}

// compileAhead starts the compiler on the usual kernels.
func compileAhead(gpu *mtl.Device) {
	var requests []mtl.Request
	for _, l := range usual(chipOf(gpu)) {
		requests = append(requests, launch.Request(l))
	}
	gpu.Prepare(requests)
}

// usual are launches of the kernels that training and inference in float32 take. Their sizes choose among variants only.
func usual(chip kernels.Chip) (all []*kernels.Launch) {
	const t = kernels.F32
	const large, rows, columns = 1024, 64, 512
	add := func(l ...*kernels.Launch) { all = append(all, l...) }
	for _, transposed := range []bool{false, true} {
		add(kernels.GEMM{Type: t, M: rows, N: columns, K: columns, TransposeB: transposed, Alpha: 1}.Launches(chip)...)
		lora := kernels.LoRA{Type: t, M: rows, N: columns, K: columns, R: 8, Scale: 1, TransposeW: transposed, TransposeA: transposed, TransposeB: transposed}
		add(lora.Forward())
		lora.SaveH = true
		add(lora.Forward(), lora.InputGradient(), lora.WeightGradients())
		add(kernels.GEMV{Type: t, M: 1, N: columns, K: columns, TransposeW: transposed}.Launch())
		add(kernels.GEMM{Type: t, M: large, N: large, K: large, TransposeB: transposed, Alpha: 1}.Launches(chip)...)
	}
	add(kernels.GEMM{Type: t, M: columns, N: columns, K: rows, TransposeA: true, Alpha: 1}.Launches(chip)...)
	add(kernels.AdamW{Type: t}.LaunchSets([]kernels.Set{{Size: columns}}), kernels.AdamW{Type: t}.LaunchSets([]kernels.Set{{Size: columns}, {Size: columns}}))
	add(kernels.Softmax(t, rows, columns, false), kernels.Norm{Type: t, Rows: rows, Columns: columns, Weight: true}.RMS(),
		kernels.Norm{Type: t, Rows: rows, Columns: columns, Weight: true, Offset: true}.Layer())
	for _, gradient := range []bool{false, true} {
		add(kernels.CrossEntropy{Type: t, Rows: rows, Columns: columns, Gradient: gradient, ScalePerRow: gradient}.Launch())
	}
	add(kernels.Random{Type: t, Size: columns}.Normal(), kernels.Random{Type: t, Size: columns}.Uniform())
	add(kernels.Copy{From: t, To: t, Shape: []int{1}, FromStrides: []int{1}, ToStrides: []int{1}, FromSize: 1, ToSize: 1}.Launch())
	add(kernels.Reduce(t, rows, columns, 1, kernels.Sum)...)
	add(kernels.Reduce(t, 1, rows, columns, kernels.Sum)...)
	add(kernels.Index{Type: t, Outer: 1, Axis: columns, Count: rows, Inner: columns}.Gather())
	return all
}
