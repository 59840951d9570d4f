package main

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"loris/internal/ir"
)

// The fixture is made by scripts/parity/generate.py; scripts/parity/fixture.py
// describes the format.
//
//go:embed testdata/parity.gz
var packed []byte

// Suite is the fixture in memory.
type Suite struct {
	Torch     string // version of PyTorch
	Seed      int
	Tolerance Tolerance
	Cases     []*Case
}

// Tolerance is what rounding may do; see TOLERANCE in scripts/parity/fixture.py.
type Tolerance struct {
	Units, Noise, Ops map[string]float64
}

// Case is a call of one op, a graph, or a few steps of an optimiser.
type Case struct {
	Number int `json:"-"`
	Kind   string
	In     []Input
	Code   []Step
	Out    []int
	Want   []*Result
	Mode   string    // of graphs: "", "eager", "compile" or "checkpoint"
	Train  *Training // cases of optimisers
}

// Input describes a tensor that inputs.go makes.
type Input struct {
	Gen    string
	Lo, Hi float64
	P      *float64
	Step   float64
	Value  float64
	Axis   int
	Limit  int
	Neg    bool
	Shape  []int
	DType  string
	Layout string
	Grad   bool
}

// Step is a call of one op with its arguments; which of them an op uses stands in
// its row in ops.go.
type Step struct {
	Op          string
	In          []int
	Axis        *int
	Axes        []int
	Shape       []int
	Sizes       []int
	K           int
	Int         *int
	Float       *float64
	Floats      []float64
	Value       float64
	Lo, Hi      *float64
	Eps         float64
	Spec        string
	To          string
	Margins     []int
	Places      []Place
	Stride      []int
	Pad         []int
	Dilation    []int
	Groups      int
	Causal      bool
	Scale       float64
	Dims        int
	Base        float64
	Offset      int
	Interleaved bool
	Ignore      []int
	Smoothing   float64
	Alpha       float64
	RsLoRA      bool
	DoRA        bool
}

// Place is one argument of At: "int", "all" or "range".
type Place struct {
	Kind                  string
	At, Start, Stop, Step int
}

// Result is what PyTorch computed for one value ("value"), the gradient of an
// input ("grad") or a parameter after training ("param"): all elements, or
// samples, the largest magnitude and a signed sum.
type Result struct {
	Kind    string
	Of      int
	DType   string
	Shape   ir.Shape
	Noise   float64
	Store   string
	Largest float64
	Sum     float64
	Data    []float64 `json:"-"`
}

const (
	magic   = "PARITY1\n"
	dense   = 160 // results with more elements are sampled
	samples = 96
)

func (r *Result) sampled() bool { return r.Shape.Size() > dense }

// load unpacks a fixture.
func load(packed []byte) (*Suite, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	if len(b) < len(magic)+4 || string(b[:len(magic)]) != magic {
		return nil, errors.New("this is no parity fixture")
	}
	b = b[len(magic):]
	n := int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if n > len(b) {
		return nil, errors.New("the index is cut off")
	}
	var s Suite
	d := json.NewDecoder(bytes.NewReader(b[:n]))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	b = b[n:]
	for i, c := range s.Cases {
		c.Number = i
		for _, r := range c.Want {
			if b, err = r.read(b); err != nil {
				return nil, fmt.Errorf("case %d: %w", i, err)
			}
		}
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes too many", len(b))
	}
	return &s, nil
}

// read takes the numbers of r from the front of b.
func (r *Result) read(b []byte) (rest []byte, err error) {
	n := r.Shape.Size()
	if r.sampled() {
		n = samples
	}
	le := binary.LittleEndian
	stores := map[string]struct {
		size int
		read func(b []byte) float64
	}{
		"f": {4, func(b []byte) float64 { return float64(math.Float32frombits(le.Uint32(b))) }},
		"d": {8, func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) }},
		"i": {4, func(b []byte) float64 { return float64(int32(le.Uint32(b))) }},
		"q": {8, func(b []byte) float64 { return float64(int64(le.Uint64(b))) }},
		"b": {1, func(b []byte) float64 { return float64(b[0]) }},
	}
	s, ok := stores[r.Store]
	if !ok {
		return nil, fmt.Errorf("unknown storage %q", r.Store)
	}
	if n < 0 || n > len(b) || len(b) < n*s.size {
		return nil, errors.New("the data is cut off")
	}
	r.Data = make([]float64, n)
	for i := range r.Data {
		r.Data[i] = s.read(b[i*s.size:])
	}
	return b[n*s.size:], nil
}
