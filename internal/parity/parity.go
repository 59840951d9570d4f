// Package parity compares the library with PyTorch: recorded calls and graphs
// go in (testdata/parity.jsonl.gz, written by generate.py), differences of
// values and gradients come out.
package parity

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"loris/internal/devicetest"
	"loris/internal/ir"
	lt "loris/tensorlib"
)

// Summary counts what was compared.
type Summary struct {
	Calls, Graphs, Failed, Skipped int
	PyTorch                        string // the version that recorded
}

// String is the line that a run ends with.
func (s Summary) String() string {
	return fmt.Sprintf("parity: %d calls, %d graphs, %d failed, %d skipped", s.Calls, s.Graphs, s.Failed, s.Skipped)
}

// tensor is a recorded tensor.
type tensor struct {
	DType string `json:"d"`
	Shape []int  `json:"s"`
	Data  string `json:"v"`
}

type step struct {
	Op    string     `json:"op"`
	In    []int      `json:"in"`
	Attrs attributes `json:"attrs"`
}

type record struct {
	Kind  string    `json:"kind"`
	In    []tensor  `json:"in"`
	Steps []step    `json:"steps"`
	Out   []tensor  `json:"out"`
	Grads []*tensor `json:"grads"`
	Torch string    `json:"torch"`
}

var dtypes = map[string]lt.DType{"f32": lt.F32, "f64": lt.F64, "f16": lt.F16, "bf16": lt.BF16, "i32": lt.I32, "i64": lt.I64, "u8": lt.U8, "bool": lt.Bool}

func (t tensor) decode() (*devicetest.Array, error) {
	b, err := base64.StdEncoding.DecodeString(t.Data)
	if err != nil {
		return nil, err
	}
	return devicetest.Decode(b, dtypes[t.DType], t.Shape)
}

func (t tensor) load() (*lt.Tensor, error) {
	a, err := t.decode()
	if err != nil {
		return nil, err
	}
	d := dtypes[t.DType]
	if d == lt.F64 {
		return lt.From(a.Data).Reshape(t.Shape...), nil
	}
	// The recorded values are multiples of 1/16: the way over f32 is exact.
	v := make([]float32, len(a.Data))
	for i, x := range a.Data {
		v[i] = float32(x)
	}
	return lt.From(v).Reshape(t.Shape...).Cast(d), nil
}

// Run compares all records of a compressed fixture and calls report with each
// difference.
func Run(r io.Reader, report func(failure string)) (Summary, error) {
	var s Summary
	z, err := gzip.NewReader(r)
	if err != nil {
		return s, err
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for number := 1; lines.Scan(); number++ {
		var rec record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			return s, fmt.Errorf("line %d: %w", number, err)
		}
		switch rec.Kind {
		case "":
			s.PyTorch = rec.Torch
			continue
		case "call":
			s.Calls++
		case "graph":
			s.Graphs++
		}
		if failure := rec.compare(); failure != "" {
			s.Failed++
			report(fmt.Sprintf("line %d: %s: %s", number, rec.describe(), failure))
		}
	}
	return s, lines.Err()
}

func (r *record) describe() string {
	s := ""
	for _, in := range r.In {
		s += fmt.Sprintf("%s%v ", in.DType, in.Shape)
	}
	for _, st := range r.Steps {
		s += fmt.Sprintf("| %s%v %v ", st.Op, st.In, st.Attrs)
	}
	return s
}

// compare runs the steps and returns what differs.
func (r *record) compare() (failure string) {
	defer func() {
		if p := recover(); p != nil {
			failure = fmt.Sprint(p)
		}
	}()
	var values []*lt.Tensor
	for _, in := range r.In {
		t, err := in.load()
		if err != nil {
			return err.Error()
		}
		values = append(values, t.Track())
	}
	inputs := values[:len(values):len(values)]
	var out []*lt.Tensor
	for _, st := range r.Steps {
		f := ops[st.Op]
		if f == nil {
			return "no function for " + st.Op
		}
		args := make([]*lt.Tensor, len(st.In))
		for i, k := range st.In {
			args[i] = values[k]
		}
		out = f(args, st.Attrs)
		values = append(values, out...)
	}
	if len(out) != len(r.Out) {
		return fmt.Sprintf("%d results, PyTorch has %d", len(out), len(r.Out))
	}
	roots := append([]*lt.Tensor{}, out...)
	want := append([]tensor{}, r.Out...)
	if r.Grads != nil {
		gs, wanted := r.gradients(inputs, out[0])
		roots, want = append(roots, gs...), append(want, wanted...)
	}
	lt.Eval(roots...)
	for i, y := range roots {
		what := fmt.Sprintf("result %d", i)
		if i >= len(out) {
			what = fmt.Sprintf("gradient %d", i-len(out))
		}
		if d := different(y, want[i], len(r.Steps), i >= len(out)); d != "" {
			return what + ": " + d
		}
	}
	return ""
}

// gradients returns those of sum(y·weight) that PyTorch has too.
func (r *record) gradients(inputs []*lt.Tensor, y *lt.Tensor) (gs []*lt.Tensor, want []tensor) {
	var wrt []*lt.Tensor
	for i, g := range r.Grads {
		if g != nil {
			wrt, want = append(wrt, inputs[i]), append(want, *g)
		}
	}
	if len(wrt) == 0 {
		return nil, nil
	}
	weight := lt.Arange(y.Size()).Mod(4).Cast(y.DType()).Mul(0.25).Add(0.5).Reshape(y.Shape()...)
	return lt.Grads(y.Mul(weight).Sum(), wrt...), want
}

// different compares a tensor with a recorded one: dtype and shape exactly,
// integers and bools exactly, floats within a tolerance for the dtype that
// grows with the number of steps, relative to the largest element.
func different(y *lt.Tensor, want tensor, steps int, gradient bool) string {
	if y.DType() != dtypes[want.DType] {
		return fmt.Sprintf("dtype %s, PyTorch %s", y.DType(), want.DType)
	}
	if !y.Shape().Equal(ir.Shape(want.Shape)) {
		return fmt.Sprintf("shape %v, PyTorch %v", y.Shape(), want.Shape)
	}
	w, err := want.decode()
	if err != nil {
		return err.Error()
	}
	unit := map[lt.DType]float64{lt.F32: 4e-6, lt.F64: 1e-13, lt.F16: 4e-3, lt.BF16: 3e-2}[y.DType()]
	if steps > 1 {
		unit *= 10 * float64(steps)
	}
	if gradient {
		unit *= 10
	}
	largest := 0.0
	for _, v := range w.Data {
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			largest = math.Max(largest, math.Abs(v))
		}
	}
	for i, g := range y.Floats() {
		v := w.Data[i]
		if g == v || g != g && v != v {
			continue
		}
		// Where terms of order 1 cancel, their rounding is left.
		if d := math.Abs(g - v); !(d <= unit*math.Max(math.Max(math.Abs(v), largest/4), 0.1)) {
			return fmt.Sprintf("element %d is %v, PyTorch %v (largest %v)", i, g, v, largest)
		}
	}
	return ""
}
