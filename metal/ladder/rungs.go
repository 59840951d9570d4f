package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"loris/metal/conformance"
	"loris/metal/kernels"
	"loris/metal/mtl"
	"loris/metal/objc"
	"loris/metal/softmetal"
)

// bySource groups cases by their MSL source, so that each is compiled once.
func bySource(cases []*conformance.Case) (sources []string, of map[string][]*conformance.Case) {
	of = map[string][]*conformance.Case{}
	for _, c := range cases {
		if of[c.Launch.Source] == nil {
			sources = append(sources, c.Launch.Source)
		}
		of[c.Launch.Source] = append(of[c.Launch.Source], c)
	}
	return sources, of
}

// parallel runs f on each item, two at a time per two cores: the compilers use most of the time and memory.
func parallel[T any](items []T, f func(T)) {
	var wg sync.WaitGroup
	next := make(chan T)
	for range min(4, runtime.NumCPU()) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for item := range next {
				f(item)
			}
		}()
	}
	for _, item := range items {
		next <- item
	}
	close(next)
	wg.Wait()
}

func typecheck(r *results, cases []*conformance.Case) error {
	tools, err := softmetal.NewToolchain("")
	if err != nil {
		return err
	}
	sources, of := bySource(cases)
	parallel(sources, func(s string) {
		err := tools.TypeCheck(s)
		for _, k := range kernelsOf(of[s]) {
			r.kernel("typecheck", k, err)
		}
	})
	return nil
}

func kernelsOf(cases []*conformance.Case) (names []string) {
	seen := map[string]bool{}
	for _, c := range cases {
		if n := c.Kernel(); !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	return names
}

// onDevice runs every case: on the software Metal in each lane order, on a Mac as the GPU does it.
func onDevice(r *results, cases []*conformance.Case) error {
	if runtime.GOOS != "darwin" {
		if err := softmetal.Setup(); err != nil {
			return err
		}
		tools, err := softmetal.NewToolchain("")
		if err != nil {
			return err
		}
		sources, _ := bySource(cases)
		parallel(sources, func(s string) { _, _ = tools.CompileHost(s, softmetal.HostOptions{}) }) // errors come up below
	}
	d, err := mtl.Open(mtl.Options{NoSlabs: true})
	if err != nil {
		return err
	}
	defer d.Close()
	fmt.Printf("device: %s %s, family %d, working set %d MiB\n", d.Name, d.Architecture, d.Family, d.WorkingSet>>20)
	for _, c := range cases {
		for order := range uintptr(3) {
			if order > 0 && (!c.Small || runtime.GOOS == "darwin") {
				break
			}
			if runtime.GOOS != "darwin" {
				objc.Call(objc.Function("softmetal_set_order"), order)
			}
			_, err := runAndCheck(d, c)
			r.kernel("softmetal", c.Kernel(), err)
		}
	}
	if runtime.GOOS == "darwin" {
		return nil
	}
	objc.Call(objc.Function("softmetal_set_order"), 0)
	return reportedProblems()
}

func runAndCheck(d *mtl.Device, c *conformance.Case) (float64, error) {
	after, err := conformance.Run(d, c)
	if err != nil {
		return 0, err
	}
	return c.Check(after)
}

// reportedProblems returns what the software Metal noted about the host code.
func reportedProblems() error {
	var all []error
	count := objc.Function("softmetal_problem_count")
	for i := range objc.Call(count) {
		all = append(all, errors.New(problem(i)))
	}
	return errors.Join(all...)
}

// races compiles each source with ThreadSanitizer and runs some of its small cases.
func races(r *results, cases []*conformance.Case) error {
	tools, err := softmetal.NewToolchain("")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "races-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sources, of := bySource(instrumented(cases))
	var mu sync.Mutex
	files := 0
	parallel(sources, func(s string) {
		program, err := tools.CompileHost(s, softmetal.HostOptions{Racing: true})
		for _, c := range of[s] {
			if err == nil {
				mu.Lock()
				files++
				path := filepath.Join(dir, fmt.Sprint(files))
				mu.Unlock()
				err = raceCase(program, path, c)
			}
			r.kernel("tsan", c.Kernel(), err)
		}
	})
	return nil
}

func raceCase(program, path string, c *conformance.Case) error {
	if err := c.WriteFile(path); err != nil {
		return err
	}
	cmd := exec.Command(program, path)
	cmd.Env = append(os.Environ(), "TSAN_OPTIONS=exitcode=66 history_size=4"+symbolizer())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", c, err, firstReport(string(out)))
	}
	return nil
}

// symbolizer is what turns addresses into MSL lines in reports; without it races are found all the same.
func symbolizer() string {
	for _, name := range []string{"llvm-symbolizer-19", "llvm-symbolizer"} {
		if path, err := exec.LookPath(name); err == nil {
			return " external_symbolizer_path=" + path
		}
	}
	return ""
}

// firstReport cuts ThreadSanitizer's output down to the first race, with its MSL lines.
func firstReport(out string) string {
	lines := strings.Split(out, "\n")
	if len(lines) > 30 {
		lines = lines[:30]
	}
	return strings.Join(lines, "\n")
}

// instrumented picks the cases for slow rungs: small, and of each kernel and source at most three, or one where the
// elements are f16 or bf16, which differ from f32 in nothing but their size.
func instrumented(cases []*conformance.Case) (picked []*conformance.Case) {
	taken := map[[2]string]int{}
	for _, c := range cases {
		key := [2]string{c.Kernel(), c.Launch.Source}
		most := 3
		if ofHalves(c) {
			most = 1
		}
		if !c.Small && !onlyLarge[c.Kernel()] || taken[key] >= most {
			continue
		}
		taken[key]++
		picked = append(picked, c)
	}
	return picked
}

// ofHalves says whether a case reads or writes f16 or bf16.
func ofHalves(c *conformance.Case) bool {
	return handles(c, kernels.F16) || handles(c, kernels.BF16)
}

// handles says whether a case has elements of a type.
func handles(c *conformance.Case, t kernels.Type) bool {
	return slices.ContainsFunc(c.Launch.Arguments, func(a kernels.Argument) bool { return a.Type == t && !a.Unused })
}

// onlyLarge are kernels that exist for large problems.
var onlyLarge = map[string]bool{"sort_load": true, "sort_step": true, "sort_store": true}

// onARM64 builds this program and the software Metal for arm64 and runs the picked cases under qemu-user.
func onARM64(r *results, cases []*conformance.Case) error {
	if runtime.GOARCH == "arm64" {
		return nil // the softmetal rung has done it
	}
	if _, err := exec.LookPath("qemu-aarch64"); err != nil {
		return fmt.Errorf("qemu-aarch64 is not installed (Debian: apt-get install qemu-user libstdc++-12-dev-arm64-cross)")
	}
	tools, err := softmetal.NewToolchain("")
	if err != nil {
		return err
	}
	library, err := tools.BuildLibrary("arm64")
	if err != nil {
		return err
	}
	compiler, err := tools.BuildCompiler()
	if err != nil {
		return err
	}
	sources, _ := bySource(instrumented(cases))
	parallel(sources, func(s string) { _, _ = tools.CompileHost(s, softmetal.HostOptions{Arch: "arm64"}) })
	dir, err := os.MkdirTemp("", "arm64-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "ladder")
	build := exec.Command("go", "build", "-tags", "softmetal", "-o", program, "loris/metal/ladder")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building for arm64: %w\n%s", err, out)
	}
	run := exec.Command("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", program, "-small")
	run.Env = append(os.Environ(), "LORIS_METAL_LIBRARY="+library, "SOFTMETAL_MSLC="+compiler)
	run.Stderr = os.Stderr
	out, err := run.StdoutPipe()
	if err != nil {
		return err
	}
	if err := run.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		kernel, message, _ := strings.Cut(lines.Text(), "\t")
		var failure error
		if message != "" {
			failure = errors.New(message)
		}
		r.kernel("arm64", kernel, failure)
	}
	return run.Wait()
}

// printSmallCases is the other side of onARM64: a line per case, kernel and, after a tab, what went wrong.
func printSmallCases() error {
	d, err := mtl.Open(mtl.Options{NoSlabs: true})
	if err != nil {
		return err
	}
	defer d.Close()
	for _, c := range instrumented(conformance.Cases()) {
		message := ""
		if _, err := runAndCheck(d, c); err != nil {
			message = strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Printf("%s\t%s\n", c.Kernel(), message)
	}
	return reportedProblems()
}
