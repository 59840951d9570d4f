package bench

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// computer is a simulated computer: its clock moves by what is run on it. How
// slow it is depends on the time, not on the case, so that neighbouring samples
// are alike and a longer sample sees more of the changes.
type computer struct {
	clock time.Time
	r     *rand.Rand
	load
	slow  bool
	until time.Time // when slow changes
	drift float64   // logarithm
}

// load is what disturbs a computer.
type load struct {
	name   string
	jitter float64       // relative, of each repetition
	walk   float64       // of the drift, per square root of a millisecond
	cost   float64       // factor while a core is taken by others, 0 for never
	free   time.Duration // mean time that the core is free
	taken  time.Duration // mean time that it is not
	uneven int           // trials of 100 that may compare different batches, 8 if 0
}

func (m *computer) now() time.Time { return m.clock }

// work lets one repetition of a case pass that takes d on a free machine.
func (m *computer) work(d time.Duration) {
	if m.cost > 0 {
		for !m.clock.Before(m.until) {
			m.slow = !m.slow
			mean := m.free
			if m.slow {
				mean = m.taken
			}
			m.until = m.until.Add(time.Duration(float64(mean)*m.r.ExpFloat64()) + 1)
		}
	}
	ms := float64(d) / 1e6
	m.drift += m.walk * math.Sqrt(ms) * m.r.NormFloat64()
	t := float64(d) * math.Exp(m.drift+m.jitter*m.r.NormFloat64())
	if m.cost > 0 && m.slow {
		t *= m.cost
	}
	m.clock = m.clock.Add(time.Duration(t))
}

var loads = []load{
	{name: "quiet", jitter: 0.05},
	{name: "drifting", jitter: 0.05, walk: 0.02},
	{name: "a core taken at times", jitter: 0.05, cost: 1.7, free: 15 * time.Millisecond, taken: 15 * time.Millisecond},
	{name: "a core taken shortly", jitter: 0.05, cost: 1.7, free: 3 * time.Millisecond, taken: 2 * time.Millisecond},
	{name: "a core taken for long", jitter: 0.05, cost: 1.7, free: 80 * time.Millisecond, taken: 60 * time.Millisecond},
	{name: "time slices", jitter: 0.05, cost: 4, free: 4 * time.Millisecond, taken: time.Millisecond},
	{name: "a core taken while drifting", jitter: 0.05, walk: 0.01, cost: 1.7, free: 15 * time.Millisecond, taken: 15 * time.Millisecond},
	{name: "crowded", jitter: 0.05, cost: 5, free: 6 * time.Millisecond, taken: 20 * time.Millisecond, uneven: 50},
}

// Two cases that are the same must not be told apart more often than the level
// of the intervals says, nor may intervals miss the ratio of two that differ; and a
// difference of a tenth is nearly always found, by intervals of pairs.
func TestIntervalsHoldTheTruthOnBusyMachines(t *testing.T) {
	const trials = 100
	bootstrap := func(a, b []float64, seed uint64) Interval {
		_, ci := BootstrapRatio(a, b, 0.95, 300, seed)
		return ci
	}
	paired := func(a, b []float64, _ uint64) Interval {
		_, ci := PairedRatio(a, b, 0.95)
		return ci
	}
	for _, method := range []struct {
		name     string
		interval func(a, b []float64, seed uint64) Interval
		share    float64 // of all intervals that hold the truth, at least
		found    int     // of trials in which a difference is found, at least
	}{{"bootstrap", bootstrap, 0.94, 0}, {"pairs", paired, 0.94, trials * 60 / 100}} {
		all, cells := 0, 0
		for _, repetition := range []time.Duration{50 * time.Microsecond, 600 * time.Microsecond} {
			for _, truth := range []float64{1, 1.1, 1.5} {
				for _, l := range loads {
					held, found, uneven, widths := 0, 0, 0, []float64{}
					for k := range trials {
						m := &computer{clock: time.Unix(0, 0), until: time.Unix(0, 0), r: rand.New(rand.NewPCG(uint64(k), 7)), load: l}
						first, second := simulated(t, m, repetition, time.Duration(truth*float64(repetition)))
						ci := method.interval(second.total, first.total, uint64(k))
						if ci.Holds(truth) {
							held++
						}
						if ci.Low > 1 {
							found++
						}
						if first.batch != second.batch {
							uneven++
						}
						widths = append(widths, ci.High-ci.Low)
					}
					at := fmt.Sprintf("%s, %s, %v, ratio %v", method.name, l.name, repetition, truth)
					t.Logf("%s: %d of %d intervals hold it, %d are above 1, median width %.3f", at, held, trials, found, Median(widths))
					all, cells = all+held, cells+1
					if held < trials*87/100 { // more than 3 standard deviations below 95 %
						t.Errorf("%s: only %d of %d intervals hold it", at, held, trials)
					}
					if truth > 1 && found < method.found {
						t.Errorf("%s: the difference is found in %d of %d", at, found, trials)
					}
					if uneven > trials*cmp.Or(l.uneven, 8)/100 {
						t.Errorf("%s: %d of %d trials compare different batches", at, uneven, trials)
					}
				}
			}
		}
		if share := float64(all) / float64(cells*trials); share < method.share {
			t.Errorf("%s: %.1f %% of all intervals hold the truth, not 95 %%", method.name, share*100)
		}
	}
}

// simulated warms up and samples two cases on m.
func simulated(t *testing.T, m *computer, times ...time.Duration) (first, second series) {
	t.Helper()
	x := &measurement{options: Options{Interleave: true}.withDefaults(), engine: &fake{}, now: m.now}
	for i, d := range times {
		x.subjects = append(x.subjects, Subject{Name: fmt.Sprint(i), Run: func() (Result, error) { m.work(d); return nil, nil }})
	}
	if err := x.warmUp(); err != nil {
		t.Fatal(err)
	}
	if err := x.sample(); err != nil {
		t.Fatal(err)
	}
	return x.series[0], x.series[1]
}

func TestAlikeCasesGetOneBatch(t *testing.T) {
	for _, c := range []struct{ batches, want []int }{
		{[]int{20, 24}, []int{24, 24}},
		{[]int{24, 13, 20}, []int{24, 24, 24}},
		{[]int{100, 50, 10, 6, 1}, []int{100, 100, 10, 10, 1}},
		{[]int{3}, []int{3}},
	} {
		got := slices.Clone(c.batches)
		alignBatches(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.batches, got, c.want)
		}
	}
}
