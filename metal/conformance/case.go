// Package conformance proves the Metal kernels: for each it has cases, kernel launches with their input bytes and the
// results that float64 arithmetic gives, and runs them on a device. The same cases go through the software Metal,
// ThreadSanitizer, an emulated arm64, an NVIDIA GPU, and a Mac.
package conformance

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/x448/float16"

	"loris/metal/kernels"
)

// Case is one launch with what goes in and what must come out.
type Case struct {
	Name   string // the sizes, for people
	Launch *kernels.Launch
	Before [][]byte // contents of each argument's buffer before the dispatch
	Want   []Want
	Small  bool // quick enough for instrumented and emulated runs
}

// Want is what an argument must hold afterwards: max|got − Values| ≤ Tolerance · max|Values|.
type Want struct {
	Argument  int
	Values    []float64
	Tolerance float64
}

// String names the case: kernel, variant, sizes.
func (c *Case) String() string {
	return c.Launch.Kernel + " " + c.Launch.Variant + " " + c.Name
}

// Kernel is the name that the case counts under: kernels of users are one.
func (c *Case) Kernel() string {
	if strings.HasPrefix(c.Launch.Kernel, "user_") {
		return "user_kernel"
	}
	return c.Launch.Kernel
}

// Check compares the buffers after a run. It returns the worst error, relative to the largest value expected.
func (c *Case) Check(after [][]byte) (worst float64, err error) {
	for _, w := range c.Want {
		a := c.Launch.Arguments[w.Argument]
		got := decode(a.Type, after[w.Argument])
		if len(got) < len(w.Values) {
			return 1, fmt.Errorf("%v: %s has %d elements, want %d", c, a.Name, len(got), len(w.Values))
		}
		largest := 0.0
		for _, v := range w.Values {
			if !math.IsInf(v, 0) && !math.IsNaN(v) {
				largest = max(largest, math.Abs(v))
			}
		}
		if largest == 0 {
			largest = 1
		}
		for i, want := range w.Values {
			if got[i] == want || math.IsNaN(got[i]) && math.IsNaN(want) {
				continue
			}
			difference := math.Abs(got[i]-want) / largest
			if math.IsNaN(difference) || difference > w.Tolerance {
				return difference, fmt.Errorf("%v: %s[%d] = %v, want %v (relative to the largest: %.2g, allowed %.2g)", c, a.Name, i, got[i], want, difference, w.Tolerance)
			}
			worst = max(worst, difference)
		}
	}
	return worst, nil
}

// encode rounds numbers to a type's bytes; decode is its inverse.
func encode(t kernels.Type, values []float64) []byte {
	var b []byte
	for _, v := range values {
		switch t {
		case kernels.F32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
		case kernels.F16:
			b = binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(float32(v)).Bits())
		case kernels.BF16:
			b = binary.LittleEndian.AppendUint16(b, bfloatBits(float32(v)))
		case kernels.I32:
			b = binary.LittleEndian.AppendUint32(b, uint32(int32(v)))
		case kernels.U32:
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		case kernels.I64:
			b = binary.LittleEndian.AppendUint64(b, uint64(int64(v)))
		case kernels.U8, kernels.Bool:
			b = append(b, uint8(v))
		}
	}
	return b
}

func bfloatBits(f float32) uint16 {
	u := math.Float32bits(f)
	if f != f {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

func decode(t kernels.Type, b []byte) []float64 {
	out := make([]float64, len(b)/t.Size())
	for i := range out {
		p := b[i*t.Size():]
		switch t {
		case kernels.F32:
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(p)))
		case kernels.F16:
			out[i] = float64(float16.Frombits(binary.LittleEndian.Uint16(p)).Float32())
		case kernels.BF16:
			out[i] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(p)) << 16))
		case kernels.I32:
			out[i] = float64(int32(binary.LittleEndian.Uint32(p)))
		case kernels.U32:
			out[i] = float64(binary.LittleEndian.Uint32(p))
		case kernels.I64:
			out[i] = float64(int64(binary.LittleEndian.Uint64(p)))
		case kernels.U8, kernels.Bool:
			out[i] = float64(p[0])
		}
	}
	return out
}

// precision is the tolerance that rounding results to a type asks for, with some room for the order of sums.
var precision = map[kernels.Type]float64{kernels.F32: 3e-6, kernels.F16: 1e-3, kernels.BF16: 8e-3}

// builder fills a case's buffers and keeps their values as float64, after rounding to the type.
type builder struct {
	c      *Case
	values map[string][]float64
	random *rand.Rand
}

// build starts a case. Inputs get normal numbers, outputs poison; give changes one, want expects one.
func build(l *kernels.Launch, small bool, format string, args ...any) *builder {
	b := &builder{c: &Case{Name: fmt.Sprintf(format, args...), Launch: l, Small: small}, values: map[string][]float64{}, random: rand.New(rand.NewPCG(7, uint64(len(l.Source))))}
	for _, a := range l.Arguments {
		b.c.Before = append(b.c.Before, nil)
		if a.Unused {
			continue
		}
		if a.Writes {
			poison := make([]byte, a.Size*a.Type.Size())
			for i := range poison {
				poison[i] = 0xff
			}
			b.c.Before[len(b.c.Before)-1] = poison
			continue
		}
		b.fill(a.Name, func(int) float64 { return b.random.NormFloat64() })
	}
	return b
}

func (b *builder) index(name string) int {
	for i, a := range b.c.Launch.Arguments {
		if a.Name == name {
			return i
		}
	}
	panic("conformance: " + b.c.Launch.Kernel + " has no argument " + name)
}

// fill sets an argument's contents; its rounded values are then in values.
func (b *builder) fill(name string, f func(i int) float64) *builder {
	at := b.index(name)
	a := b.c.Launch.Arguments[at]
	numbers := make([]float64, a.Size)
	for i := range numbers {
		numbers[i] = f(i)
	}
	b.c.Before[at] = encode(a.Type, numbers)
	b.values[name] = decode(a.Type, b.c.Before[at])
	return b
}

// want expects an argument's contents; tolerance 0 is the type's precision.
func (b *builder) want(name string, tolerance float64, values []float64) *builder {
	at := b.index(name)
	if tolerance == 0 { // of integers 0: exact
		tolerance = precision[b.c.Launch.Arguments[at].Type]
	}
	b.c.Want = append(b.c.Want, Want{at, values, tolerance})
	return b
}

// each makes n numbers.
func each(n int, f func(i int) float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = f(i)
	}
	return out
}
