// Package feature takes the processor's own description (CPUID or its arm64
// counterpart) and the environment variable LORIS_CPU, and gives the kernel
// level that all CPU kernels use, with the cache sizes that blocking is
// computed from.
//
// LORIS_CPU forces a level: avx512, avx2, neon or generic. A level the machine
// cannot run is refused with a message in [Warning], and the best one is used.
// The build tag noasm leaves only generic.
package feature

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"
)

// Level names a family of kernels, from plain Go to the widest vectors.
type Level int

// The levels. A machine can run Generic and some of the others.
const (
	Generic Level = iota // plain Go
	NEON                 // arm64, 128-bit vectors
	AVX2                 // amd64, 256-bit vectors with FMA and F16C
	AVX512               // amd64, 512-bit vectors (F, BW, DQ, VL)
)

var levelNames = [...]string{Generic: "generic", NEON: "neon", AVX2: "avx2", AVX512: "avx512"}

// String returns the name used in LORIS_CPU.
func (l Level) String() string { return levelNames[l] }

// Lanes returns the number of float32 in one vector of the level.
func (l Level) Lanes() int { return [...]int{Generic: 1, NEON: 4, AVX2: 8, AVX512: 16}[l] }

// Parse returns the level of a name such as "avx2".
func Parse(name string) (Level, error) {
	i := slices.Index(levelNames[:], strings.ToLower(strings.TrimSpace(name)))
	if i < 0 {
		return Generic, fmt.Errorf("LORIS_CPU=%q: unknown level; use one of %s", name, strings.Join(levelNames[:], ", "))
	}
	return Level(i), nil
}

// Caches holds the data cache sizes of one core (L3: of one socket), in bytes.
type Caches struct{ L1, L2, L3 int }

var (
	levels  []Level
	active  Level
	warning string
	pairs   bool // the processor has AVX512_BF16
	caches  Caches
)

func init() {
	levels = detect(cpuid.CPU)
	active, warning = choose(os.Getenv("LORIS_CPU"), levels)
	pairs = cpuid.CPU.Supports(cpuid.AVX512BF16)
	caches = sizes(cpuid.CPU.Cache.L1D, cpuid.CPU.Cache.L2, cpuid.CPU.Cache.L3)
}

// detect lists the levels the machine runs, best last.
func detect(c cpuid.CPUInfo) []Level {
	ls := []Level{Generic}
	if !hasAssembly {
		return ls
	}
	switch runtime.GOARCH {
	case "arm64":
		ls = append(ls, NEON) // part of the base architecture
	case "amd64":
		if c.Supports(cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.BMI2) {
			ls = append(ls, AVX2)
			if c.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL) {
				ls = append(ls, AVX512)
			}
		}
	}
	return ls
}

// choose returns the forced level if it can run, else the best one and a reason.
func choose(forced string, ls []Level) (Level, string) {
	best := ls[len(ls)-1]
	if forced == "" {
		return best, ""
	}
	l, err := Parse(forced)
	if err != nil {
		return best, err.Error() + "; using " + best.String()
	}
	if !slices.Contains(ls, l) {
		return best, fmt.Sprintf("LORIS_CPU=%s: this machine or build cannot run it; using %s", l, best)
	}
	return l, ""
}

// sizes replaces what the processor does not tell by small, common values.
func sizes(l1, l2, l3 int) Caches {
	or := func(n, d int) int {
		if n <= 0 {
			return d
		}
		return n
	}
	return Caches{L1: or(l1, 32<<10), L2: or(l2, 512<<10), L3: or(l3, 8<<20)}
}

// Active returns the level that kernels use. It never changes in a process.
func Active() Level { return active }

// BFloat16 reports whether the active level can multiply pairs of bfloat16 (AVX512_BF16),
// and whether that is worth it: AMD's processors multiply pairs as fast as they multiply
// float32, Intel's take four times as long.
func BFloat16() (runs, fast bool) {
	runs = active == AVX512 && pairs
	return runs, runs && cpuid.CPU.IsVendor(cpuid.AMD)
}

// Levels returns every level this machine can run, best last. Tests run all of them.
func Levels() []Level { return slices.Clone(levels) }

// Warning tells why LORIS_CPU was not followed; empty if it was.
func Warning() string { return warning }

// Cache returns the cache sizes, with small defaults where the machine does not tell.
func Cache() Caches { return caches }

// Cores returns the number of threads that compute at the same time.
func Cores() int { return min(runtime.GOMAXPROCS(0), runtime.NumCPU()) }

// Brand returns the processor's own name.
func Brand() string {
	if cpuid.CPU.BrandName != "" {
		return cpuid.CPU.BrandName
	}
	return runtime.GOARCH
}

// Row is one line about the CPU for a report such as loris doctor.
type Row struct{ Name, Value string }

// precision tells how products of float32 run.
func precision() string {
	switch runs, fast := BFloat16(); {
	case fast:
		return "f32 products at highest and high, bf16 products with f32 sums at medium"
	case runs:
		return "f32 products at highest, high and medium: bf16 products are slower here"
	}
	return "f32 products at highest, high and medium"
}

// Report describes the CPU and the choices made from it.
func Report() []Row {
	names := make([]string, len(levels))
	for i, l := range levels {
		names[i] = l.String()
	}
	rows := []Row{
		{"processor", Brand()},
		{"threads", fmt.Sprint(Cores())},
		{"kernel level", active.String()},
		{"levels that run here", strings.Join(names, ", ")},
		{"precision", precision()},
		{"caches L1 / L2 / L3", fmt.Sprintf("%d KiB / %d KiB / %d KiB", caches.L1>>10, caches.L2>>10, caches.L3>>10)},
	}
	if warning != "" {
		rows = append(rows, Row{"warning", warning})
	}
	return rows
}
