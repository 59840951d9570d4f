package metal

import (
	"fmt"
	"io"
	"math"
	"time"

	"loris/metal/conformance"
	"loris/metal/mtl"
)

// KernelResult is what Examine saw of one kernel.
type KernelResult struct {
	Kernel        string
	Cases, Failed int
	WorstError    float64       // max|got − want| / max|want| over its cases
	Run           time.Duration // compiling included
	Err           error         // the first failure
}

// Report is the result of Examine.
type Report struct {
	Device  mtl.Info
	Kernels []KernelResult
}

// Failed is the number of cases that failed.
func (r *Report) Failed() (n int) {
	for _, k := range r.Kernels {
		n += k.Failed
	}
	return n
}

// WriteTo prints the report as a table.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	var total int64
	print := func(format string, args ...any) error {
		n, err := fmt.Fprintf(w, format+"\n", args...)
		total += int64(n)
		return err
	}
	d := r.Device
	err := print("Metal device: %s (%s), Apple family %d, unified memory %v\nworking set %d MiB, largest buffer %d MiB, threadgroup memory %d KiB",
		d.Name, d.Architecture, d.Family, d.UnifiedMemory, d.WorkingSet>>20, d.MaxBuffer>>20, d.MaxThreadgroupMemory>>10)
	if err == nil {
		err = print("%-24s %6s %7s %12s %10s", "kernel", "cases", "failed", "worst error", "time")
	}
	for _, k := range r.Kernels {
		if err == nil {
			err = print("%-24s %6d %7d %12.2g %10v", k.Kernel, k.Cases, k.Failed, k.WorstError, k.Run.Round(time.Millisecond))
		}
		if err == nil && k.Err != nil {
			err = print("  %v", k.Err)
		}
	}
	return total, err
}

// Examine opens the device, compiles every kernel and runs its cases against float64 references. It returns an error
// that wraps objc.ErrUnavailable where there is no Metal; failures of kernels are in the report.
func Examine() (*Report, error) {
	d, err := mtl.Open(mtl.Options{})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	r := &Report{Device: d.Info}
	at := map[string]int{}
	for _, c := range conformance.Cases() {
		name := c.Kernel()
		if _, ok := at[name]; !ok {
			at[name] = len(r.Kernels)
			r.Kernels = append(r.Kernels, KernelResult{Kernel: name})
		}
		k := &r.Kernels[at[name]]
		k.Cases++
		start := time.Now()
		after, err := conformance.Run(d, c)
		k.Run += time.Since(start)
		if err == nil {
			var worst float64
			worst, err = c.Check(after)
			k.WorstError = math.Max(k.WorstError, worst)
		}
		if err != nil {
			k.Failed++
			if k.Err == nil {
				k.Err = err
			}
		}
	}
	return r, nil
}
