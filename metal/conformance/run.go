package conformance

import (
	"loris/metal/kernels"
	"loris/metal/launch"
	"loris/metal/mtl"
)

// Run dispatches the case on a device and returns the contents of its buffers afterwards.
func Run(d *mtl.Device, c *Case) ([][]byte, error) {
	buffers := make([]*mtl.Buffer, len(c.Before))
	bindings := make([]mtl.Binding, len(c.Before))
	for i, data := range c.Before {
		var err error
		if buffers[i], err = d.NewBuffer(max(16, len(data))); err != nil {
			return nil, err
		}
		defer buffers[i].Free()
		copy(buffers[i].Bytes(), data)
		bindings[i].Buffer = buffers[i]
	}
	dispatch, err := launch.Prepare(d, c.Launch, bindings)
	if err != nil {
		return nil, err
	}
	dispatch.Label = c.String()
	d.Stream.Begin()
	d.Stream.Dispatch(dispatch)
	if err := d.Stream.Wait(d.Stream.End()); err != nil {
		return nil, err
	}
	after := make([][]byte, len(buffers))
	for i, b := range buffers {
		after[i] = append([]byte(nil), b.Bytes()[:len(c.Before[i])]...)
	}
	return after, nil
}

// Cases returns every case of every kernel.
func Cases() []*Case {
	var all []*Case
	for _, make := range []func() []*Case{loraCases, gemmCases, gemvCases, quantisedCases, softmaxCases, normCases, crossEntropyCases,
		ropeCases, attentionCases, reduceCases, indexCases, sortCases, randomCases, adamwCases, copyCases, boxCases, convolutionCases, groupCases, epilogueCases, userCases} {
		all = append(all, make()...)
	}
	return all
}

var floatTypes = []kernels.Type{kernels.F32, kernels.F16, kernels.BF16}
