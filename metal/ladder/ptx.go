package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"loris/metal/conformance"
	"loris/metal/softmetal"
)

// onePerFile picks a case for each PTX file that the cases need: each source with each set of function constants.
func onePerFile(cases []*conformance.Case) (picked []*conformance.Case) {
	seen := map[string]bool{}
	for _, c := range cases {
		if name := conformance.PTXName(c); !seen[name] {
			seen[name] = true
			picked = append(picked, c)
		}
	}
	return picked
}

// toPTX compiles every source with every set of constants that the cases use.
func toPTX(r *results, cases []*conformance.Case) error {
	tools, err := softmetal.NewToolchain("")
	if err != nil {
		return err
	}
	text, failures := compilePTX(tools, onePerFile(cases))
	counted := map[string]bool{}
	for _, c := range cases {
		name := conformance.PTXName(c)
		key := name + c.Kernel()
		if counted[key] {
			continue
		}
		counted[key] = true
		err := failures[name]
		if err == nil && !strings.Contains(text[name], ".entry metal_"+c.Launch.Kernel) {
			err = fmt.Errorf("%v: the PTX has no entry metal_%s", c, c.Launch.Kernel)
		}
		r.kernel("ptx", c.Kernel(), err)
	}
	return nil
}

func compilePTX(tools *softmetal.Toolchain, picked []*conformance.Case) (text map[string]string, failures map[string]error) {
	text, failures = map[string]string{}, map[string]error{}
	var mu sync.Mutex
	parallel(picked, func(c *conformance.Case) {
		ptx, err := tools.PTX(c.Launch.Source, conformance.ConstantValues(c))
		mu.Lock()
		defer mu.Unlock()
		text[conformance.PTXName(c)], failures[conformance.PTXName(c)] = ptx, err
	})
	return text, failures
}

const runScript = `#!/bin/sh
# Runs Loris' Metal kernels, compiled to PTX, on an NVIDIA GPU. Needs the NVIDIA driver only. Where compute-sanitizer is
# installed it looks for races, bad accesses and the like in the small cases. Results go to the folder $OUT, or else to this one:
# results.json, log.txt, and of each of the sanitizer's tools a .txt and a .json file.
cd "$(dirname "$0")" || exit 1
out=${OUT:-.}
./cudarun -o "$out/results.json" "$@" >"$out/log.txt" 2>&1
status=$?
cat "$out/log.txt"
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | tail -n 1)
if [ -n "$sanitizer" ]; then
  for tool in memcheck racecheck synccheck initcheck; do
    "$sanitizer" --tool $tool --error-exitcode 9 ./cudarun -small -o "$out/$tool.json" >"$out/$tool.txt" 2>&1 || status=1
    echo "compute-sanitizer $tool, small cases: $(grep '^metal on' "$out/$tool.txt")"
    grep SUMMARY "$out/$tool.txt" || tail -n 20 "$out/$tool.txt"
  done
else
  echo "compute-sanitizer is not installed: its tools were not run"
fi
exit $status
`

// writePTXFolder makes a folder that holds all a machine with an NVIDIA GPU needs: PTX, the runner with the cases
// built in, and run.sh.
func writePTXFolder(dir string) error {
	tools, err := softmetal.NewToolchain("")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "ptx"), 0o755); err != nil {
		return err
	}
	picked := onePerFile(conformance.Cases())
	text, failures := compilePTX(tools, picked)
	bytes := 0
	for _, c := range picked {
		name := conformance.PTXName(c)
		if failures[name] != nil {
			return fmt.Errorf("%v: %w", c, failures[name])
		}
		if err := os.WriteFile(filepath.Join(dir, "ptx", name), []byte(text[name]), 0o644); err != nil {
			return err
		}
		bytes += len(text[name])
	}
	runner := filepath.Join(dir, "cudarun")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "softmetal", "-o", runner, "loris/metal/cudarun")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the runner: %w\n%s", err, out)
	}
	info, err := os.Stat(runner)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "run.sh"), []byte(runScript), 0o755); err != nil {
		return err
	}
	fmt.Printf("%s: %d PTX files, %.1f MB with the runner; copy it to a machine with an NVIDIA GPU and start run.sh\n", dir, len(picked), float64(bytes+int(info.Size()))/1e6)
	return nil
}
