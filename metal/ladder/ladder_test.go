package main

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"loris/metal/conformance"
	"loris/metal/kernels"
)

func TestEveryKernelHasCasesOnEveryRung(t *testing.T) {
	cases := conformance.Cases()
	on := map[string][]*conformance.Case{"all rungs": cases, "tsan and arm64": instrumented(cases)}
	for name := range allKernels(cases) {
		for rung, picked := range on {
			if !slices.ContainsFunc(picked, func(c *conformance.Case) bool { return c.Kernel() == name }) {
				t.Errorf("%s: kernel %s has no case", rung, name)
			}
		}
	}
	for _, family := range []string{"elementwise", "row_group", "adamw_sets", "user_kernel"} {
		if !allKernels(cases)[family] {
			t.Errorf("the generated family %s has no case", family)
		}
	}
}

// What a kernel computes in f16 or bf16 anywhere, it also does on the rungs that take few cases.
func TestHalfTypesStandOnTheSlowRungs(t *testing.T) {
	have := map[string]map[kernels.Type]bool{}
	for _, c := range instrumented(conformance.Cases()) {
		name := c.Kernel()
		if have[name] == nil {
			have[name] = map[kernels.Type]bool{}
		}
		for _, a := range c.Launch.Arguments {
			have[name][a.Type] = have[name][a.Type] || !a.Unused
		}
	}
	for _, c := range conformance.Cases() {
		for _, half := range []kernels.Type{kernels.F16, kernels.BF16} {
			if handles(c, half) && !have[c.Kernel()][half] {
				t.Errorf("%v: kernel %s has no case in %v on the slow rungs", c, c.Kernel(), half)
			}
		}
	}
}

func TestAKernelWithoutACaseFails(t *testing.T) {
	cases := conformance.Cases()
	r := &results{kernels: map[[2]string]*kernelRow{}, host: map[string]*hostRow{}}
	for _, c := range cases {
		for _, rung := range rungNames {
			if c.Kernel() != "softmax" || rung != "tsan" {
				r.kernel(rung, c.Kernel(), nil)
			}
		}
	}
	r.hostCheck("faults", errors.New("a fault was missed"))
	all := r.rows(cases, rungNames)
	if all.failed != 2 {
		t.Errorf("%d failures are counted, want that of softmax without a tsan case and that of the faults", all.failed)
	}
	at := slices.IndexFunc(all.Kernels, func(k *kernelRow) bool { return k.Kernel == "softmax" && k.Rung == "tsan" })
	if at < 0 || all.Kernels[at].Cases != 0 || all.Kernels[at].Failed != 1 {
		t.Error("softmax has no failed row for the rung tsan")
	}
	if want := len(allKernels(cases)) * len(rungNames); len(all.Kernels) != want {
		t.Errorf("%d rows, want every kernel on every rung: %d", len(all.Kernels), want)
	}
}

func TestFaultsThatMustBePlanted(t *testing.T) {
	for _, name := range []string{"nothing wrong", "wrong selector", "missing barrier", "freed object", "out of bounds", "missing pool", "over-size threadgroup"} {
		if !slices.ContainsFunc(plants, func(p plant) bool { return p.name == name && p.expect != "" }) {
			t.Errorf("no fault %q is planted", name)
		}
	}
}

func TestTheFileOfResults(t *testing.T) {
	all := report{Kernels: []*kernelRow{{"gemm", "ptx", 3, 1}}, Host: []*hostRow{{"faults", 2, 0}}, names: 1, cases: 5, failed: 1}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"kernels":[{"kernel":"gemm","rung":"ptx","cases":3,"failed":1}],"host":[{"check":"faults","cases":2,"failed":0}]}`
	if string(data) != want {
		t.Errorf("got %s\nwant %s", data, want)
	}
	if got := all.line(); got != "metal ladder: 1 kernels, 5 cases, 1 failed" {
		t.Errorf("the last line is %q", got)
	}
}
