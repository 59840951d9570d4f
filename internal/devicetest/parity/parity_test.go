package main

import (
	"bufio"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

func suite(t *testing.T) *Suite {
	t.Helper()
	s, err := load(packed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A sample of the cases agrees with PyTorch; `make parity` replays all.
func TestSampleAgreesWithPyTorch(t *testing.T) {
	s := suite(t)
	sum := s.replayAll(func(c *Case) bool { return c.Number%9 == 4 }, func(c *Case, failure string) { t.Errorf("%v: %s", c, failure) })
	if sum.Calls < 250 || sum.Graphs < 30 {
		t.Errorf("too small a sample: %v", sum)
	}
}

func TestSizeOfTheSuite(t *testing.T) {
	s := suite(t)
	calls, graphs, gradients := 0, 0, 0
	for _, c := range s.Cases {
		if c.Kind == "graph" {
			graphs++
			if n := len(c.Code); n < 5 || n > 20 {
				t.Errorf("case %d: %d ops", c.Number, n)
			}
		} else {
			calls++
		}
		if slices.ContainsFunc(c.Want, func(r *Result) bool { return r.Kind == "grad" }) {
			gradients++
		} else if c.Kind == "graph" {
			t.Errorf("case %d: a graph without gradients", c.Number)
		}
	}
	if calls < 2000 || graphs < 300 || gradients < 1500 {
		t.Errorf("%d calls, %d graphs, %d with gradients", calls, graphs, gradients)
	}
	if len(packed) > 4<<20 {
		t.Errorf("the fixture has %d bytes", len(packed))
	}
}

// withoutTwin are ops that PyTorch has no equal of, with the reason. Package
// devicetest compares them with float64 references.
var withoutTwin = map[string]string{
	"From":        "takes Go slices; the inputs of all cases are made by it",
	"Rand.Normal": "streams differ", "Rand.Uniform": "streams differ", "Rand.Randint": "streams differ",
	"Rand.Bernoulli": "streams differ", "Rand.Categorical": "streams differ", "Rand.Permutation": "streams differ",
	"Kernel.Run": "runs user code",
	"Quantize":   "the format is this library's", "Dequantize": "the format is this library's",
	"NaNToNum": "PyTorch computes the cases in f64, whose largest number is another",
}

// Every op of the API index has calls in the fixture, and every row here.
func TestEveryOpHasCalls(t *testing.T) {
	used := map[string]bool{}
	for _, c := range suite(t).Cases {
		for _, step := range c.Code {
			used[step.Op] = true
		}
	}
	covered := map[string]bool{}
	for name, o := range operations {
		if !used[name] {
			t.Errorf("no case calls %s", name)
		}
		covered[o.API] = true
	}
	f, err := os.Open("../../../tensorlib/testdata/api_index.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		group, names, ok := strings.Cut(lines.Text(), ":")
		if !ok || !strings.HasSuffix(group, " ops") {
			continue
		}
		for _, name := range strings.Fields(names) {
			if covered[name] == (withoutTwin[name] != "") {
				t.Errorf("%s: needs calls in scripts/parity/calls.py or a reason in withoutTwin, not both", name)
			}
		}
	}
}

// The comparison finds what it is there to find.
func TestFaultsAreFound(t *testing.T) {
	s := suite(t)
	find := func(want func(c *Case) bool) *Case {
		i := slices.IndexFunc(s.Cases, want)
		if i < 0 {
			t.Fatal("no such case")
		}
		return s.Cases[i]
	}
	fails := func(name string, c *Case) {
		if len(s.replay(c)) == 0 {
			t.Errorf("%s: not found in %v", name, c)
		}
	}
	c := find(func(c *Case) bool { return c.uses("sin") && c.Kind == "call" && c.In[0].Gen == "uniform" })
	c.Code[0].Op = "cos"
	fails("another op", c)
	c.Code[0].Op = "sin"
	for _, w := range c.Want {
		keep := w.Data[0]
		w.Data[0] += 1e-2 * largest(w.Data)
		fails("another "+w.Kind, c)
		w.Data[0] = keep
	}
	c.In[0].Hi += 0.1
	fails("another input", c)

	c = find(func(c *Case) bool { return c.Kind == "graph" && c.Mode == "" && len(c.Code) == 12 })
	c.Want[0].DType = "i32"
	fails("another dtype", c)

	c = find(func(c *Case) bool { return c.Train != nil && c.Train.Name == "adamw" })
	c.Train.LR *= 2
	fails("another learning rate", c)

	// One wrong element of a large result, which is not among the samples.
	c = find(func(c *Case) bool {
		return c.uses("matmul") && c.Kind == "call" && len(c.Want) == 3 && c.Want[0].sampled() && c.Want[0].DType == "f32"
	})
	y := c.outputs([]*lt.Tensor{c.In[0].base(c.Number, 0), c.In[1].base(c.Number, 1)})[2].Floats()
	places := words(c.Number, resultsFrom, samples)
	at := 0
	for slices.ContainsFunc(places, func(z uint64) bool { return int(z%uint64(len(y))) == at }) {
		at++
	}
	w := c.Want[0]
	if problem := s.compare(c, 0, lt.From(y, lt.F32).Reshape(w.Shape...)); problem != "" {
		t.Errorf("the right result: %s", problem)
	}
	y[at] += w.Largest / 100
	if s.compare(c, 0, lt.From(y, lt.F32).Reshape(w.Shape...)) == "" {
		t.Error("a wrong element outside of the samples is not found")
	}
}

// The tolerance is that of the dtype, not of anything.
func TestTolerancesAreTight(t *testing.T) {
	s := suite(t)
	var wide, all int
	for _, c := range s.Cases {
		for _, w := range c.Want {
			d := dtypes[w.DType]
			if !d.IsFloat() || d == lt.F64 {
				continue
			}
			m := w.Largest
			if !w.sampled() {
				m = largest(w.Data)
			}
			if m == 0 {
				continue
			}
			all++
			epsilon, _ := epsilon(d)
			if s.tolerance(c, w, m).of(m) > 100*epsilon*m {
				wide++
			}
		}
	}
	if float64(wide) > 0.05*float64(all) {
		t.Errorf("%d of %d results have a tolerance above 100 units of their largest element", wide, all)
	}
	t.Logf("%d of %d results have a tolerance above 100 units of their largest element", wide, all)
}

func TestLoadRefusesWhatIsNoFixture(t *testing.T) {
	for name, b := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "cut off": packed[:len(packed)/2]} {
		if _, err := load(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The generator's words are those of the description.
func TestWords(t *testing.T) {
	z := words(0, 0, 1)
	want := mix(mix(1) + golden)
	if z[0] != want {
		t.Errorf("words = %x, want %x", z[0], want)
	}
	in := Input{Gen: "distinct", Shape: []int{5}, Step: 2}
	v := in.numbers(3, 1)
	slices.Sort(v)
	if !slices.Equal(v, []float64{-4, -2, 0, 2, 4}) {
		t.Errorf("distinct = %v", v)
	}
	in = Input{Gen: "unique", Shape: []int{3, 4}, Axis: 0, Limit: 3}
	v = in.numbers(3, 1)
	for column := range 4 {
		line := []float64{v[column], v[4+column], v[8+column]}
		slices.Sort(line)
		if !slices.Equal(line, []float64{0, 1, 2}) {
			t.Errorf("unique = %v", v)
		}
	}
	if s := (&Input{Shape: []int{2, 3}, Layout: "sliced"}).baseShape(); !s.Equal(ir.Shape{5, 7}) {
		t.Errorf("base shape %v", s)
	}
	if b := (bound{dtype: lt.F16, unit: 1e-3}); !b.accepts(math.Inf(1), 1e6) || b.accepts(math.NaN(), 0) || b.accepts(1, math.Inf(1)) {
		t.Error("the comparison of what is not finite is wrong")
	}
}
