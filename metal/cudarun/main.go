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

	"loris/metal/conformance"
	"loris/metal/kernels"
)

// row is what was seen of one kernel.
type row struct {
	Kernel       string  `json:"kernel"`
	Cases        int     `json:"cases"`
	Failed       int     `json:"failed"`
	WorstError   float64 `json:"worst_error"`  // of results in f32 and integers, relative to the largest value expected
	WorstHalf    float64 `json:"worst_half"`   // of results in f16 and bf16
	Largest      string  `json:"largest_case"` // of those that passed, by bytes and operations
	Microseconds float64 `json:"us"`           // of a launch of it; 0 with -small, which does not measure
	largest      *conformance.Case
}

// report is what the file of results holds.
type report struct {
	GPU     string   `json:"gpu"`
	CUDA    string   `json:"cuda"` // the version that the driver supports
	Kernels int      `json:"kernels"`
	Cases   int      `json:"cases"`
	Failed  int      `json:"failed"`
	Rows    []*row   `json:"rows"`
	Faults  []string `json:"failures"`
}

func main() {
	folder := flag.String("ptx", "ptx", "folder of the PTX files")
	output := flag.String("o", "results.json", "where to write the results")
	small := flag.Bool("small", false, "only the small cases, each once and not timed (for compute-sanitizer)")
	flag.Parse()
	if err := run(*folder, *output, *small); err != nil {
		fmt.Fprintln(os.Stderr, "cudarun:", err)
		os.Exit(1)
	}
}

// suite runs cases and keeps what was seen of each kernel.
type suite struct {
	gpu       *gpu
	folder    string
	functions map[string]uintptr
	rows      map[string]*row
	report    report
}

func run(folder, output string, small bool) error {
	runtime.LockOSThread() // the CUDA context belongs to the thread
	g, err := openGPU()
	if err != nil {
		return err
	}
	s := &suite{gpu: g, folder: folder, functions: map[string]uintptr{}, rows: map[string]*row{}}
	s.report = report{GPU: g.name, CUDA: fmt.Sprintf("%d.%d", g.version/1000, g.version%1000/10), Faults: []string{}}
	fmt.Printf("GPU: %s, CUDA %s\n", s.report.GPU, s.report.CUDA)
	for _, c := range conformance.Cases() {
		if !small || c.Small {
			s.check(c)
		}
	}
	for _, r := range s.rows {
		s.report.Rows = append(s.report.Rows, r)
	}
	slices.SortFunc(s.report.Rows, func(a, b *row) int { return strings.Compare(a.Kernel, b.Kernel) })
	if !small {
		s.time()
	}
	s.print()
	if err := s.report.write(output); err != nil {
		return err
	}
	fmt.Printf("metal on %s: %d kernels, %d cases, %d failed\n", g.name, s.report.Kernels, s.report.Cases, s.report.Failed)
	if s.report.Failed > 0 {
		os.Exit(1)
	}
	return nil
}

// function returns a case's kernel, loaded.
func (s *suite) function(c *conformance.Case) (uintptr, error) {
	file := conformance.PTXName(c)
	key := file + c.Launch.Kernel
	if s.functions[key] == 0 {
		ptx, err := os.ReadFile(filepath.Join(s.folder, file))
		if err != nil {
			return 0, err
		}
		if s.functions[key], err = s.gpu.load(ptx, "metal_"+c.Launch.Kernel); err != nil {
			return 0, err
		}
	}
	return s.functions[key], nil
}

// on prepares a case and calls f with it.
func (s *suite) on(c *conformance.Case, f func(*prepared) (float64, error)) (float64, error) {
	function, err := s.function(c)
	if err != nil {
		return 0, err
	}
	p, err := s.gpu.prepare(function, c)
	defer p.free()
	if err != nil {
		return 0, err
	}
	return f(p)
}

func (s *suite) check(c *conformance.Case) {
	name := c.Kernel()
	r := s.rows[name]
	if r == nil {
		r = &row{Kernel: name}
		s.rows[name] = r
		s.report.Kernels++
	}
	r.Cases++
	s.report.Cases++
	worst, err := s.on(c, (*prepared).check)
	if err != nil {
		r.Failed++
		s.fail(c, err)
		return
	}
	if givesHalves(c) {
		r.WorstHalf = max(r.WorstHalf, worst)
	} else {
		r.WorstError = max(r.WorstError, worst)
	}
	if size := c.Launch.Bytes + c.Launch.Flops; r.largest == nil || size > r.largest.Launch.Bytes+r.largest.Launch.Flops {
		r.largest, r.Largest = c, c.String()
	}
}

// givesHalves says whether a result of the case is in f16 or bf16.
func givesHalves(c *conformance.Case) bool {
	return slices.ContainsFunc(c.Want, func(w conformance.Want) bool {
		t := c.Launch.Arguments[w.Argument].Type
		return t == kernels.F16 || t == kernels.BF16
	})
}

func (s *suite) fail(c *conformance.Case, err error) {
	s.report.Failed++
	text := fmt.Sprintf("%v: %v", c, err)
	s.report.Faults = append(s.report.Faults, text)
	fmt.Println("FAIL", text)
}

// time measures the largest case of each kernel.
func (s *suite) time() {
	for _, r := range s.report.Rows {
		if r.largest == nil {
			continue
		}
		var err error
		if r.Microseconds, err = s.on(r.largest, (*prepared).microseconds); err != nil {
			r.Failed++
			s.fail(r.largest, fmt.Errorf("timing: %w", err))
		}
	}
}

func (s *suite) print() {
	fmt.Printf("%-24s %6s %7s %12s %12s %9s  %s\n", "kernel", "cases", "failed", "worst error", "in halves", "µs", "largest case, whose time this is")
	for _, r := range s.report.Rows {
		us := "-"
		if r.Microseconds > 0 {
			us = fmt.Sprintf("%.2f", r.Microseconds)
		}
		fmt.Printf("%-24s %6d %7d %12.2g %12.2g %9s  %s\n", r.Kernel, r.Cases, r.Failed, r.WorstError, r.WorstHalf, us, r.Largest)
	}
}

// write puts the report into a file, one line per kernel.
func (r report) write(path string) error {
	rows := r.Rows
	r.Rows = []*row{}
	head, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var lines []string
	for _, row := range rows {
		line, err := json.Marshal(row)
		if err != nil {
			return err
		}
		lines = append(lines, string(line))
	}
	text := strings.Replace(string(head), `"rows":[]`, "\"rows\":[\n"+strings.Join(lines, ",\n")+"\n]", 1)
	return os.WriteFile(path, []byte(text+"\n"), 0o644)
}
