//go:build linux && softmetal

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"loris/metal/conformance"
)

// row is what was seen of one kernel.
type row struct {
	Kernel      string  `json:"kernel"`
	Cases       int     `json:"cases"`
	Failed      int     `json:"failed"`
	WorstError  float64 `json:"worst_error"` // relative to the largest value expected
	Slowest     string  `json:"slowest_case"`
	Microsecond float64 `json:"us"` // of its slowest case, per launch; 0 with -small, which does not measure
}

func (r *row) time() string {
	if r.Microsecond == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.Microsecond)
}

func main() {
	folder := flag.String("ptx", "ptx", "folder of the PTX files")
	output := flag.String("o", "results.json", "where to write the results")
	small := flag.Bool("small", false, "only the small cases, each once (for compute-sanitizer)")
	flag.Parse()
	if err := run(*folder, *output, *small); err != nil {
		fmt.Fprintln(os.Stderr, "cudarun:", err)
		os.Exit(1)
	}
}

func run(folder, output string, small bool) error {
	runtime.LockOSThread() // the CUDA context belongs to the thread
	g, err := openGPU()
	if err != nil {
		return err
	}
	fmt.Println("GPU:", g.name)
	rows := map[string]*row{}
	functions := map[string]uintptr{}
	total, failed := 0, 0
	for _, c := range conformance.Cases() {
		if small && !c.Small {
			continue
		}
		name := c.Launch.Kernel
		if strings.HasPrefix(name, "user_") {
			name = "user_kernel"
		}
		if rows[name] == nil {
			rows[name] = &row{Kernel: name}
		}
		r := rows[name]
		r.Cases++
		total++
		file := conformance.PTXName(c)
		key := file + c.Launch.Kernel
		var worst, us float64
		if functions[key] == 0 {
			var ptx []byte
			if ptx, err = os.ReadFile(filepath.Join(folder, file)); err == nil {
				functions[key], err = g.load(ptx, "metal_"+c.Launch.Kernel)
			}
		} else {
			err = nil
		}
		if err == nil {
			worst, us, err = g.runCase(functions[key], c, small)
		}
		if err != nil {
			r.Failed++
			failed++
			fmt.Printf("FAIL %v: %v\n", c, err)
			continue
		}
		r.WorstError = max(r.WorstError, worst)
		if us >= r.Microsecond {
			r.Microsecond, r.Slowest = us, c.String()
		}
	}
	var all []*row
	for _, r := range rows {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *row) int { return strings.Compare(a.Kernel, b.Kernel) })
	fmt.Printf("%-24s %6s %7s %12s %9s  %s\n", "kernel", "cases", "failed", "worst error", "µs", "slowest case")
	for _, r := range all {
		fmt.Printf("%-24s %6d %7d %12.2g %9s  %s\n", r.Kernel, r.Cases, r.Failed, r.WorstError, r.time(), r.Slowest)
	}
	data, err := json.MarshalIndent(struct {
		GPU  string `json:"gpu"`
		Rows []*row `json:"rows"`
	}{g.name, all}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(output, append(data, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Printf("metal on %s: %d kernels, %d cases, %d failed\n", g.name, len(all), total, failed)
	if failed > 0 {
		os.Exit(1)
	}
	return nil
}

// runCase launches a case once and checks it, then times twenty launches.
func (g *gpu) runCase(function uintptr, c *conformance.Case, once bool) (worst, us float64, err error) {
	l := c.Launch
	contents := append(append([][]byte(nil), c.Before...), l.Params)
	arguments := new([31]uintptr)
	for i, data := range contents {
		device := new(uintptr)
		if err := g.call("cuMemAlloc_v2", address(device), uintptr(max(16, len(data)))); err != nil {
			return 0, 0, err
		}
		defer g.call("cuMemFree_v2", *device)
		arguments[i] = *device
		if len(data) > 0 {
			if err := g.call("cuMemcpyHtoD_v2", *device, uintptr(unsafe.Pointer(&data[0])), uintptr(len(data))); err != nil {
				return 0, 0, err
			}
		}
	}
	parameters := &[1]*[31]uintptr{arguments}
	launch := func() error {
		return g.call("cuLaunchKernel", function, uintptr(l.Groups[0]), uintptr(l.Groups[1]), uintptr(l.Groups[2]),
			uintptr(l.Threads[0]), uintptr(l.Threads[1]), uintptr(l.Threads[2]), 0, 0, address(parameters), 0)
	}
	if err := launch(); err != nil {
		return 0, 0, err
	}
	if err := g.call("cuCtxSynchronize"); err != nil {
		return 0, 0, err
	}
	after := make([][]byte, len(c.Before))
	for i := range after {
		after[i] = make([]byte, len(c.Before[i]))
		if len(after[i]) > 0 {
			if err := g.call("cuMemcpyDtoH_v2", uintptr(unsafe.Pointer(&after[i][0])), arguments[i], uintptr(len(after[i]))); err != nil {
				return 0, 0, err
			}
		}
	}
	if worst, err = c.Check(after); err != nil || once {
		return worst, 0, err
	}
	const launches = 20
	if err := g.call("cuEventRecord", g.start, 0); err != nil {
		return 0, 0, err
	}
	for range launches {
		if err := launch(); err != nil {
			return 0, 0, err
		}
	}
	if err := g.call("cuEventRecord", g.end, 0); err != nil {
		return 0, 0, err
	}
	if err := g.call("cuEventSynchronize", g.end); err != nil {
		return 0, 0, err
	}
	ms, err := g.milliseconds()
	return worst, ms * 1000 / launches, err
}
