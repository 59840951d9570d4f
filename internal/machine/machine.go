// Package machine states the facts of the computer and the program that a
// measurement depends on: processor, caches, memory, operating system, load,
// versions and settings. It feeds `loris doctor`, benchmarks and provenance.
package machine

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/cpuid/v2"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"
)

// Facts describe a machine and the program on it. What could not be found out
// is empty or zero.
type Facts struct {
	// Version is that of Loris.
	Version string `json:"loris"`
	CPU     CPU    `json:"cpu"`
	Memory  Memory `json:"memory"`
	OS      OS     `json:"os"`
	Go      Go     `json:"go"`
	// Device is what the caller says it computes on, such as "cpu" or the name
	// of a GPU.
	Device string `json:"device,omitempty"`
	// Git is the state of the repository around the working folder, nil
	// outside of one.
	Git *Git `json:"git,omitempty"`
	// Settings are the environment variables that change what Loris does.
	Settings map[string]string `json:"settings,omitempty"`
}

// CPU describes the processor.
type CPU struct {
	Model    string `json:"model"`
	Vendor   string `json:"vendor,omitempty"`
	Arch     string `json:"arch"`
	Physical int    `json:"physical_cores,omitempty"`
	Logical  int    `json:"logical_cores"`
	// Usable is the number of cores that this process may use (GOMAXPROCS,
	// which follows affinity and container limits).
	Usable int     `json:"usable_cores"`
	MHz    float64 `json:"mhz,omitempty"`
	// Features are those that choose a kernel, of all that the processor has.
	Features []string `json:"features"`
	// Cache sizes in bytes: L1 data and L2 per core, L3 as shared.
	L1D      int `json:"l1d,omitempty"`
	L2       int `json:"l2,omitempty"`
	L3       int `json:"l3,omitempty"`
	LineSize int `json:"cache_line,omitempty"`
}

// Memory in bytes.
type Memory struct {
	Total     uint64 `json:"total"`
	Available uint64 `json:"available"`
}

// OS is the operating system.
type OS struct {
	Name          string `json:"name"` // linux, darwin, …
	Platform      string `json:"platform,omitempty"`
	Version       string `json:"version,omitempty"`
	Kernel        string `json:"kernel,omitempty"`
	Virtual       string `json:"virtual,omitempty"` // the hypervisor or container engine, if one shows
	HugePages     string `json:"huge_pages,omitempty"`
	FrequencyRule string `json:"frequency_rule,omitempty"` // the governor of core 0
}

// Go is the toolchain and the program.
type Go struct {
	Version string `json:"version"`
	Module  string `json:"module,omitempty"`
	// Revision is the commit the program was built from, with Dirty if the
	// tree had changes then.
	Revision string `json:"revision,omitempty"`
	Dirty    bool   `json:"dirty,omitempty"`
	// Dependencies are the versions of the modules built in.
	Dependencies map[string]string `json:"dependencies,omitempty"`
}

// Read finds out all facts. device says what the caller computes on; dir is the
// folder whose git state counts, empty for the working folder. It takes some
// milliseconds, most of them for git.
func Read(device, dir string) Facts {
	return Facts{Version: Version(), CPU: readCPU(), Memory: readMemory(), OS: readOS(), Go: readGo(), Device: device, Git: ReadGit(dir), Settings: settings()}
}

// features that decide which kernels can run, by the name that users know.
var features = []struct {
	id   cpuid.FeatureID
	name string
}{
	{cpuid.SSE42, "SSE4.2"}, {cpuid.AVX, "AVX"}, {cpuid.AVX2, "AVX2"}, {cpuid.FMA3, "FMA3"}, {cpuid.F16C, "F16C"},
	{cpuid.AVX512F, "AVX512F"}, {cpuid.AVX512BW, "AVX512BW"}, {cpuid.AVX512DQ, "AVX512DQ"}, {cpuid.AVX512VL, "AVX512VL"},
	{cpuid.AVX512VNNI, "AVX512VNNI"}, {cpuid.AVX512BF16, "AVX512BF16"}, {cpuid.AVX512FP16, "AVX512FP16"}, {cpuid.AVXVNNI, "AVXVNNI"},
	{cpuid.AMXTILE, "AMX-TILE"}, {cpuid.AMXBF16, "AMX-BF16"}, {cpuid.AMXINT8, "AMX-INT8"},
	{cpuid.ASIMD, "NEON"}, {cpuid.ASIMDDP, "DOTPROD"}, {cpuid.FPHP, "FP16"}, {cpuid.SVE, "SVE"},
}

func readCPU() CPU {
	id := cpuid.CPU
	c := CPU{Model: strings.TrimSpace(id.BrandName), Vendor: id.VendorString, Arch: runtime.GOARCH, Logical: runtime.NumCPU(), Usable: runtime.GOMAXPROCS(0),
		L1D: max(id.Cache.L1D, 0), L2: max(id.Cache.L2, 0), L3: max(id.Cache.L3, 0), LineSize: id.CacheLine, Features: []string{}}
	for _, f := range features {
		if id.Supports(f.id) {
			c.Features = append(c.Features, f.name)
		}
	}
	if infos, err := cpu.Info(); err == nil && len(infos) > 0 {
		c.MHz = infos[0].Mhz
		if c.Model == "" {
			c.Model = infos[0].ModelName
		}
	}
	if n, err := cpu.Counts(false); err == nil {
		c.Physical = n
	}
	return c
}

func readMemory() Memory {
	m, err := mem.VirtualMemory()
	if err != nil {
		return Memory{}
	}
	return Memory{Total: m.Total, Available: m.Available}
}

func readOS() OS {
	o := OS{Name: runtime.GOOS}
	if info, err := host.Info(); err == nil {
		o.Platform, o.Version, o.Kernel = info.Platform, info.PlatformVersion, info.KernelVersion
		if info.VirtualizationRole == "guest" {
			o.Virtual = info.VirtualizationSystem
		}
	}
	o.HugePages = chosen(firstLine("/sys/kernel/mm/transparent_hugepage/enabled"))
	o.FrequencyRule = firstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
	return o
}

// chosen returns the word in brackets of a list such as "always [madvise]".
func chosen(s string) string {
	if _, rest, ok := strings.Cut(s, "["); ok {
		word, _, _ := strings.Cut(rest, "]")
		return word
	}
	return s
}

// firstLine of a small file; empty where it does not exist.
func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

var readGo = sync.OnceValue(func() Go {
	g := Go{Version: runtime.Version(), Dependencies: map[string]string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return g
	}
	g.Module = strings.TrimSpace(info.Main.Path + " " + info.Main.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			g.Revision = s.Value
		case "vcs.modified":
			g.Dirty = s.Value == "true"
		}
	}
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		g.Dependencies[d.Path] = d.Version
	}
	return g
})

// settings are the variables that change kernels, devices or the run time.
func settings() map[string]string {
	out := map[string]string{}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "LORIS_") || slices.Contains([]string{"GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GODEBUG"}, name) {
			out[name] = value
		}
	}
	return out
}

// String is a line for people.
func (f Facts) String() string {
	parts := []string{f.CPU.Model, fmt.Sprintf("%d of %d cores", f.CPU.Usable, f.CPU.Logical)}
	if f.Memory.Total > 0 {
		parts = append(parts, fmt.Sprintf("%.1f GiB", float64(f.Memory.Total)/(1<<30)))
	}
	parts = append(parts, strings.TrimSpace(f.OS.Name+"/"+f.CPU.Arch+" "+f.OS.Kernel), "loris "+f.Version, f.Go.Version)
	if f.Device != "" {
		parts = append(parts, "device "+f.Device)
	}
	if f.Git != nil {
		parts = append(parts, "git "+f.Git.String())
	}
	return strings.Join(parts, ", ")
}
