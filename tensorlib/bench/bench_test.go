package bench

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"loris/display"
)

// fake is an engine whose cases wait for set times.
type fake struct {
	counters Counters
	profile  Profile
	log      []string
	recycled int
}

func (f *fake) Counters() Counters { return f.counters }
func (f *fake) Profile(run func()) Profile {
	f.profile = Profile{Chosen: map[string]string{"gemm": "generic"}}
	run()
	return f.profile
}
func (f *fake) Device() string          { return "cpu" }
func (f *fake) Recycle(run func())      { f.recycled++; run() }
func (f *fake) CallCost() time.Duration { return 300 * time.Nanosecond }

type list []float64

func (l list) Values() ([]float64, error) { return l, nil }
func (l list) Shape() []int               { return []int{len(l)} }

// subject spins for a time and says that half of it was running a plan.
func (f *fake) subject(name string, d time.Duration, values ...float64) Subject {
	return Subject{Name: name, Run: func() (Result, error) {
		f.log = append(f.log, name)
		for start := time.Now(); time.Since(start) < d; {
		}
		f.counters.PlanHits++
		f.profile.Run += d / 2
		f.profile.Kernels += 3
		f.profile.Peak = 4096
		return list(values), nil
	}}
}

// NumPy: np.percentile([3,1,4,1,5,9,2,6], p) and the median of |x - median|.
func TestPercentilesAreNumPys(t *testing.T) {
	x := []float64{3, 1, 4, 1, 5, 9, 2, 6}
	for p, want := range map[float64]float64{0: 1, 5: 1, 25: 1.75, 50: 3.5, 75: 5.25, 95: 7.95, 100: 9} {
		if got := Percentile(x, p); math.Abs(got-want) > 1e-12 {
			t.Errorf("%v: got %v, want %v", p, got, want)
		}
	}
	if got := MAD(x); got != 2 {
		t.Errorf("MAD %v, want 2", got)
	}
	if !math.IsNaN(Median(nil)) || Median([]float64{7}) != 7 {
		t.Error("no or one value")
	}
	if x[0] != 3 {
		t.Error("the input was sorted")
	}
}

func TestBootstrapIntervalsHoldTheTruthAsOftenAsTheySay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const trials, truth = 400, 1.25
	held := 0
	for k := range trials {
		a, b := make([]float64, 30), make([]float64, 30)
		for i := range a {
			slow := math.Exp(0.05 * r.NormFloat64()) // hits both of a round
			a[i] = truth * slow * math.Exp(0.05*r.NormFloat64())
			b[i] = slow * math.Exp(0.05*r.NormFloat64())
		}
		if _, ci := BootstrapRatio(a, b, 0.95, 500, uint64(k)); ci.Holds(truth) {
			held++
		}
	}
	// 95 % of 400 is 380; the percentile bootstrap of a median is a little wide.
	if held < 364 || held > 398 {
		t.Errorf("%d of %d intervals hold the truth", held, trials)
	}
}

// The ranks are those of tables of the sign test's interval for a median.
func TestPairedRatioTakesTheRanksOfTheSignTest(t *testing.T) {
	for n, rank := range map[int]int{1: 1, 5: 1, 6: 1, 8: 1, 9: 2, 12: 3, 20: 6, 30: 10, 50: 18, 100: 40} {
		a, b := make([]float64, n), make([]float64, n)
		for i := range a {
			a[(i*7+3)%n], b[(i*7+3)%n] = 2*float64(i+1), 2 // 7 divides none of the sizes
		}
		ratio, ci := PairedRatio(a, b, 0.95)
		if want := (Interval{float64(rank), float64(n + 1 - rank)}); ci != want || ratio != float64(n+1)/2 {
			t.Errorf("%d pairs: %v, %v, want %v", n, ratio, ci, want)
		}
	}
	if r, ci := PairedRatio(nil, nil, 0.95); !math.IsNaN(r) || !math.IsNaN(ci.Low) {
		t.Error(r, ci)
	}
}

func TestBootstrapDependsOnlyOnSamplesAndSeed(t *testing.T) {
	a, b := []float64{1, 2, 3, 4, 5, 6}, []float64{2, 3, 4, 5, 6, 7}
	r1, ci1 := BootstrapRatio(a, b, 0.95, 1000, 7)
	r2, ci2 := BootstrapRatio(a, b, 0.95, 1000, 7)
	if r1 != r2 || ci1 != ci2 || r1 != 3.5/4.5 || !ci1.Holds(r1) {
		t.Errorf("%v %v, %v %v", r1, ci1, r2, ci2)
	}
}

func TestRelativeErrorOfWholeResults(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		y, ref []float64
		want   float64
	}{
		{[]float64{1, 2}, []float64{1, 2}, 0}, {[]float64{100, 0.1}, []float64{100, 0}, 0.001}, {[]float64{nan, inf, 1}, []float64{nan, inf, 1}, 0},
		{[]float64{nan}, []float64{1}, inf}, {[]float64{inf}, []float64{-inf}, inf}, {[]float64{1}, []float64{1, 2}, inf}, {[]float64{0}, []float64{0}, 0}, {[]float64{-3}, []float64{3}, 2}, {nil, nil, 0},
	} {
		if got := maxRelativeError(c.y, c.ref); math.Abs(got-c.want) > 1e-12 && got != c.want {
			t.Errorf("%v against %v: got %v, want %v", c.y, c.ref, got, c.want)
		}
	}
}

func TestMeasureFindsWhichIsFaster(t *testing.T) {
	f := &fake{}
	r, err := Measure(Options{Warmup: 1, Samples: 12, Interleave: true, MinSample: 200 * time.Microsecond, Verify: 1e-3}, f,
		f.subject("lazy", 50*time.Microsecond, 1, 2, 3), f.subject("eager", 200*time.Microsecond, 1, 2, 3.0001))
	if err != nil {
		t.Fatal(err)
	}
	lazy, eager := r.Row("lazy"), r.Row("eager")
	if lazy == nil || eager == nil || r.Row("other") != nil {
		t.Fatal("rows cannot be found by name")
	}
	// The times are waited for, so they can only be longer; the ratio leaves
	// room for a busy machine.
	if lazy.Median < 50e3 || eager.Median < 200e3 || eager.Ratio < 1.2 || eager.CI.Low < 1 {
		t.Errorf("lazy %v, eager %v, ratio %v %v", lazy.Median, eager.Median, eager.Ratio, eager.CI)
	}
	if lazy.Batch < 2 || len(lazy.Samples) != 12 || lazy.KernelsPerRun != 3 || lazy.PeakBytes != 4096 || lazy.PlanHits != int64(12*lazy.Batch) {
		t.Errorf("%+v", lazy)
	}
	if lazy.Run != 25e3 || lazy.Build < 24e3 || lazy.Plan != 0 {
		t.Errorf("build %v, plan %v, run %v", lazy.Build, lazy.Plan, lazy.Run)
	}
	if !strings.Contains(r.Verdict(1), "lazy is ") || !strings.Contains(r.Verdict(1), "x as fast as eager (95 % interval ") {
		t.Error(r.Verdict(1))
	}
}

func TestVerdicts(t *testing.T) {
	r := &Report{Options: Options{}.withDefaults(), Rows: []Row{{Name: "a"}, {Name: "b"}}}
	for _, c := range []struct {
		ratio     float64
		low, high float64
		want      string
	}{
		{1.02, 0.98, 1.05, "no difference detected between a and b (95 % interval 0.980 to 1.050)"},
		{1.5, 1.4, 1.6, "a is 1.50x as fast as b (95 % interval 1.400 to 1.600)"},
		{0.5, 0.4, 0.6, "b is 2.00x as fast as a (95 % interval 0.400 to 0.600)"},
		{math.NaN(), 0, 0, "no samples to compare"},
	} {
		r.Rows[1].Ratio, r.Rows[1].CI = c.ratio, Interval{c.low, c.high}
		if got := r.Verdict(1); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestSamplesAreInterleavedForwardsAndBackwards(t *testing.T) {
	f := &fake{}
	m := &measurement{options: Options{Samples: 4, Interleave: true}.withDefaults(), engine: f, now: time.Now,
		subjects: []Subject{f.subject("a", 0), f.subject("b", 0)}, series: []series{{batch: 1}, {batch: 1}}}
	if err := m.sample(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.log, ""); got != "abbaabba" {
		t.Errorf("order %s", got)
	}
	f.log = nil
	m.options.Interleave = false
	if err := m.sample(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.log, ""); got != "aaaabbbb" {
		t.Errorf("order %s", got)
	}
}

func TestSamplingEndsInTime(t *testing.T) {
	f := &fake{}
	m := &measurement{options: Options{Samples: 1000, Interleave: true, MaxTime: time.Nanosecond}.withDefaults(), engine: f, now: time.Now,
		subjects: []Subject{f.subject("a", 0)}, series: []series{{batch: 1}}}
	if err := m.sample(); err != nil || len(f.log) != fewestSamples {
		t.Errorf("%d samples, %v", len(f.log), err)
	}
}

func TestMeasureRefusesWhatIsNotAComparison(t *testing.T) {
	f := &fake{}
	broken := errors.New("broken")
	fails := Subject{Name: "fails", Run: func() (Result, error) { return nil, broken }}
	for _, c := range []struct {
		subjects []Subject
		want     string
	}{
		{nil, "no case to measure"},
		{[]Subject{{Name: "", Run: fails.Run}}, "case 1 has no name"},
		{[]Subject{{Name: "x"}}, `case "x" has no Run`},
		{[]Subject{f.subject("a", 0, 1), f.subject("a", 0, 1)}, `two cases are named "a"`},
		{[]Subject{f.subject("a", 0, 1), f.subject("b", 0, 1.1)}, `case "b" differs from "a" by 0.1 relative, 0.0001 is allowed`},
		{[]Subject{f.subject("a", 0, 1), f.subject("b", 0, math.NaN())}, `differs from "a" by +Inf`},
		{[]Subject{f.subject("a", 0, 1), f.subject("b", 0, 1, 2)}, `case "b" computes shape [2], "a" computes [1]`},
		{[]Subject{fails}, `case "fails": broken`},
	} {
		if _, err := Measure(Options{Samples: 5}, f, c.subjects...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestReportShowsItselfWithProvenance(t *testing.T) {
	f := &fake{}
	r, err := Measure(Options{Warmup: 1, Samples: 5, MinSample: time.Microsecond, Seeds: map[string]int64{"weights": 42}, Inputs: []Input{{Name: "x", Shape: []int{3}, Hash: HashValues([]int{3}, []float64{1, 2, 3})}}}, f,
		f.subject("<lazy>", time.Microsecond, 3, 4), f.subject("eager", time.Microsecond, 3, 4))
	if err != nil {
		t.Fatal(err)
	}
	b := display.Of(r)
	html := b.Data[display.MIMEHTML].(string)
	if strings.Contains(html, "<lazy>") || !strings.Contains(html, "&lt;lazy&gt;") || !strings.Contains(html, "<svg") {
		t.Error("HTML is not escaped, or has no chart")
	}
	encoded, err := json.Marshal(b.Data[display.MIMEResult])
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Values struct {
			Cases    []string
			Norm     float64
			Verified bool
		}
		Measured struct{ Rows []map[string]any }
	}
	if err := json.Unmarshal(encoded, &result); err != nil || result.Values.Norm != 5 || !result.Values.Verified || !slices.Equal(result.Values.Cases, []string{"<lazy>", "eager"}) || len(result.Measured.Rows) != 2 {
		t.Errorf("%v: %s", err, encoded)
	}
	metadata, err := json.Marshal(b.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"weights":42`, `"gemm":"generic"`, `"sha256":"`, `"go":{`, `"load":{`, `"noisy":`, `"interleave":false`, `"device":"cpu"`} {
		if !strings.Contains(string(metadata), want) {
			t.Errorf("no %s in the provenance", want)
		}
	}
	if text := r.String(); !strings.Contains(text, "an empty case") || !strings.Contains(text, "Results agree within") {
		t.Error(text)
	}
}

func TestUnverifiedReportsEncode(t *testing.T) {
	f := &fake{}
	r, err := Measure(Options{Warmup: 1, Samples: 5, MinSample: time.Microsecond, Verify: -1}, f, f.subject("a", 0, 1), f.subject("b", 0, 2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r.MIME()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.String(), "not verified") {
		t.Error(r)
	}
}

func TestHashesDependOnShapeAndValues(t *testing.T) {
	a := HashValues([]int{2, 3}, []float64{1, 2, 3, 4, 5, 6})
	if len(a) != 64 || a == HashValues([]int{3, 2}, []float64{1, 2, 3, 4, 5, 6}) || a == HashValues([]int{2, 3}, []float64{1, 2, 3, 4, 5, 7}) {
		t.Error("two inputs have one hash")
	}
	long := make([]float64, 5000)
	b := HashValues([]int{5000}, long)
	long[4321] = 1
	if b == HashValues([]int{5000}, long) {
		t.Error("the hash stops early")
	}
}

func TestRecycleCoversEveryTimedRun(t *testing.T) {
	for _, recycle := range []bool{false, true} {
		f, runs := &fake{}, 0
		subject := Subject{Name: "a", Run: func() (Result, error) { runs++; time.Sleep(10 * time.Microsecond); return list{1}, nil }}
		if _, err := Measure(Options{Samples: 5, Warmup: 1, MinSample: 50 * time.Microsecond, Recycle: recycle}, f, subject); err != nil {
			t.Fatal(err)
		}
		if recycle != (f.recycled > 0) || f.recycled > runs {
			t.Errorf("Recycle %v: %d of %d runs were recycled", recycle, f.recycled, runs)
		}
	}
}
