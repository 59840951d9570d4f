// Command ladder proves the Metal backend rung by rung and writes what it found to a JSON file:
//
//	typecheck   every MSL source under the strict type check
//	softmetal   every case through the host code on the software Metal, in three lane orders (on a Mac: the GPU)
//	tsan        small cases under ThreadSanitizer
//	arm64       small cases through the host code built for arm64, under qemu-user
//	ptx         every kernel compiled to PTX
//
// and the host code's own checks: selectors against Apple's headers, planted faults that must be caught, the darwin
// build and vet. On Linux it must be built with the tag softmetal.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"loris/metal/conformance"
	"loris/metal/kernels"
)

// kernelRow counts the cases of one kernel on one rung.
type kernelRow struct {
	Kernel string `json:"kernel"`
	Rung   string `json:"rung"`
	Cases  int    `json:"cases"`
	Failed int    `json:"failed"`
}

// hostRow counts one check of the host code.
type hostRow struct {
	Check  string `json:"check"`
	Cases  int    `json:"cases"`
	Failed int    `json:"failed"`
}

// results collects rows; several goroutines add to it.
type results struct {
	mu      sync.Mutex
	kernels map[[2]string]*kernelRow
	host    map[string]*hostRow
}

func (r *results) kernel(rung, kernel string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{kernel, rung}
	if r.kernels[key] == nil {
		r.kernels[key] = &kernelRow{Kernel: kernel, Rung: rung}
	}
	r.kernels[key].Cases++
	if err != nil {
		r.kernels[key].Failed++
		fmt.Printf("%s: %s: %v\n", rung, kernel, err)
	}
}

func (r *results) hostCheck(check string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.host[check] == nil {
		r.host[check] = &hostRow{Check: check}
	}
	r.host[check].Cases++
	if err != nil {
		r.host[check].Failed++
		fmt.Printf("%s: %v\n", check, err)
	}
}

var (
	output = flag.String("o", "build/metal.json", "where to write the results")
	only   = flag.String("rungs", "typecheck,softmetal,tsan,arm64,ptx,selectors,faults,darwin", "what to run")
	fault  = flag.String("fault", "", "commit one planted fault (used by the faults check)")
	ptx    = flag.String("ptx", "", "make a folder with the kernels as PTX and a runner for NVIDIA GPUs, and do nothing else")
	small  = flag.Bool("small", false, "run the small cases on the device and print one line per case (used by the arm64 rung)")
)

func main() {
	flag.Parse()
	var err error
	switch {
	case *fault != "":
		err = commit(*fault)
	case *ptx != "":
		err = writePTXFolder(*ptx)
	case *small:
		err = printSmallCases()
	default:
		err = climb()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "metal ladder:", err)
		os.Exit(1)
	}
}

func climb() error {
	r := &results{kernels: map[[2]string]*kernelRow{}, host: map[string]*hostRow{}}
	cases := conformance.Cases()
	want := strings.Split(*only, ",")
	rungs := []struct {
		name string
		run  func(*results, []*conformance.Case) error
	}{{"typecheck", typecheck}, {"softmetal", onDevice}, {"tsan", races}, {"arm64", onARM64}, {"ptx", toPTX}, {"selectors", selectors}, {"faults", faults}, {"darwin", darwin}}
	for _, rung := range rungs {
		if !slices.Contains(want, rung.name) {
			continue
		}
		if runtime.GOOS == "darwin" && !slices.Contains([]string{"softmetal", "selectors", "darwin"}, rung.name) {
			continue // the other rungs stand in for the Mac that is here
		}
		start := time.Now()
		if err := rung.run(r, cases); err != nil {
			return fmt.Errorf("%s: %w", rung.name, err)
		}
		fmt.Printf("%-10s %6.1f s\n", rung.name, time.Since(start).Seconds())
	}
	all := r.rows(cases, want)
	if err := all.write(*output); err != nil {
		return err
	}
	if fmt.Println(all.line()); all.failed > 0 {
		os.Exit(1)
	}
	return nil
}

// rungNames are the kernels' rungs in the file of results.
var rungNames = []string{"typecheck", "softmetal", "tsan", "arm64", "ptx"}

// report is what the file of results holds.
type report struct {
	Kernels []*kernelRow `json:"kernels"`
	Host    []*hostRow   `json:"host"`

	names, cases, failed int
}

// allKernels are the names of the kernels that must have cases: those in the sources, and the generated families.
func allKernels(cases []*conformance.Case) map[string]bool {
	names := map[string]bool{}
	for _, n := range kernels.Names() {
		names[n] = true
	}
	for _, c := range cases {
		names[c.Kernel()] = true
	}
	return names
}

// rows collects what was counted. A kernel that lacks a case on a rung that ran is a failure.
func (r *results) rows(cases []*conformance.Case, ran []string) report {
	names := allKernels(cases)
	all := report{Kernels: []*kernelRow{}, Host: []*hostRow{}, names: len(names)}
	for name := range names {
		for _, rung := range rungNames {
			row := r.kernels[[2]string{name, rung}]
			if row == nil {
				if !slices.Contains(ran, rung) || runtime.GOOS == "darwin" && rung != "softmetal" {
					continue
				}
				row = &kernelRow{Kernel: name, Rung: rung, Failed: 1}
				fmt.Printf("%s: kernel %s has no case\n", rung, name)
			}
			all.Kernels = append(all.Kernels, row)
			all.cases, all.failed = all.cases+row.Cases, all.failed+row.Failed
		}
	}
	for _, row := range r.host {
		all.Host = append(all.Host, row)
		all.cases, all.failed = all.cases+row.Cases, all.failed+row.Failed
	}
	slices.SortFunc(all.Kernels, func(a, b *kernelRow) int {
		return cmp.Or(strings.Compare(a.Kernel, b.Kernel), slices.Index(rungNames, a.Rung)-slices.Index(rungNames, b.Rung))
	})
	slices.SortFunc(all.Host, func(a, b *hostRow) int { return strings.Compare(a.Check, b.Check) })
	return all
}

func (all report) write(path string) error {
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// line is the last that is printed.
func (all report) line() string {
	return fmt.Sprintf("metal ladder: %d kernels, %d cases, %d failed", all.names, all.cases, all.failed)
}
