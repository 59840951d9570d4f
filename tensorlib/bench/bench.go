// Package bench compares the speed of computations fairly: cases go in, a
// report with medians, spread, confidence intervals of ratios and the
// provenance of the measurement comes out.
//
// A case is built, planned and run to its end in each repetition. Repetitions
// are gathered into samples of at least a millisecond, samples of all cases are
// interleaved in alternating order so that a machine that slows down hits all
// of them alike, and results are compared before any time is taken.
package bench

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"time"
)

// Options say how to measure. The zero value measures 30 samples after 5
// warm-up runs, one case after the other, and verifies within 1e-4.
type Options struct {
	// Warmup is the number of runs of each case before anything is measured;
	// 0 means 5.
	Warmup int
	// Samples is the number of samples of each case; 0 means 30.
	Samples int
	// Interleave measures the cases in turn, forwards and backwards (ABBA),
	// instead of one after the other. Ratios are then those of neighbouring
	// samples (PairedRatio), which a busy machine disturbs far less.
	Interleave bool
	// Verify is the largest allowed difference of a case's result from the
	// first case's, max|y-ref|/max|ref|; 0 means 1e-4, negative does not verify.
	Verify float64
	// MinSample is the least duration of a sample; shorter cases are repeated
	// within it. 0 means 1 ms.
	MinSample time.Duration
	// MaxTime ends sampling early, but not below 5 samples; 0 means 60 s.
	MaxTime time.Duration
	// Recycle releases what a repetition has computed when it ends, within the
	// measured time, except parameters: as libraries do that count references, so
	// that memory is reused while it is in a cache. Cases must not keep results,
	// and nothing else may evaluate meanwhile.
	Recycle bool
	// Confidence is the level of the intervals; 0 means 0.95.
	Confidence float64
	// Seed of the bootstrap, which intervals of cases that are not interleaved come
	// from; the same samples and seed give the same intervals.
	Seed uint64
	// Seeds and Inputs that the cases use, for the provenance.
	Seeds  map[string]int64
	Inputs []Input
}

func (o Options) withDefaults() Options {
	setInt := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	setInt(&o.Warmup, 5)
	setInt(&o.Samples, 30)
	if o.Verify == 0 {
		o.Verify = 1e-4
	}
	if o.MinSample <= 0 {
		o.MinSample = time.Millisecond
	}
	if o.MaxTime <= 0 {
		o.MaxTime = time.Minute
	}
	if o.Confidence <= 0 || o.Confidence >= 1 {
		o.Confidence = 0.95
	}
	return o
}

// resamples of the bootstrap: enough that the ends of a 95 % interval move by
// less than a tenth of its width from seed to seed.
const resamples = 4000

// fewestSamples below which a median and its interval mean nothing.
const fewestSamples = 5

// largestBatch bounds the repetitions in a sample, for a clock that stands still.
const largestBatch = 1 << 20

// Counters are what the library has done since the program started.
type Counters struct {
	Plan                 time.Duration // spent planning, over all evaluations
	PlanHits, PlanMisses int64
}

// Profile is what ran during a call.
type Profile struct {
	Run     time.Duration     // sum over the kernels
	Kernels int               // kernels that ran
	Chosen  map[string]string // step → kernel that the device chose
	Peak    int64             // most bytes that one evaluation held during a step
}

// Engine is the library that runs the cases, as far as measuring needs it.
type Engine interface {
	// Counters returns the counts so far.
	Counters() Counters
	// Profile runs f and tells which kernels ran how long. Recording costs
	// time, so it is done apart from sampling.
	Profile(f func()) Profile
	// Device names what the cases run on, such as "cpu".
	Device() string
	// Recycle runs f and then releases what it has computed.
	Recycle(f func())
	// CallCost is the time that an empty case costs here, which is that of the
	// interpreter in a notebook; 0 in a compiled program.
	CallCost() time.Duration
}

// Result is what one run of a case has computed, to its end.
type Result interface {
	// Values are the elements, widened to float64.
	Values() ([]float64, error)
	Shape() []int
}

// Subject is a case as it is measured. Run builds the computation, evaluates it
// and returns when the result is there.
type Subject struct {
	Name string
	Run  func() (Result, error)
}

// Measure compares subjects; the first is the one that ratios are relative to.
// The error names the case that failed or whose result is not that of the
// first.
func Measure(o Options, e Engine, subjects ...Subject) (*Report, error) {
	return measure(o, e, time.Now, subjects)
}

func measure(o Options, e Engine, now func() time.Time, subjects []Subject) (*Report, error) {
	o = o.withDefaults()
	if err := checkSubjects(subjects); err != nil {
		return nil, err
	}
	m := &measurement{options: o, engine: e, now: now, subjects: subjects}
	r := &Report{Options: o}
	first, err := m.verify(r)
	if err != nil {
		return nil, err
	}
	r.summarise(first)
	if err := m.warmUp(); err != nil {
		return nil, err
	}
	runtime.GC() // the cases must not pay for what was left before them
	watch := startWatch()
	if err := m.sample(); err != nil {
		return nil, err
	}
	r.Provenance = provenance(o, e, watch)
	if r.Provenance.Kernels, err = m.profile(); err != nil {
		return nil, err
	}
	r.CallCost = e.CallCost()
	for i, s := range m.series {
		r.Rows = append(r.Rows, m.row(i, s))
	}
	return r, nil
}

func checkSubjects(subjects []Subject) error {
	if len(subjects) == 0 {
		return errors.New("bench: no case to measure: give Compare at least one Case")
	}
	seen := map[string]bool{}
	for i, s := range subjects {
		switch {
		case s.Name == "":
			return fmt.Errorf("bench: case %d has no name", i+1)
		case s.Run == nil:
			return fmt.Errorf("bench: case %q has no Run function", s.Name)
		case seen[s.Name]:
			return fmt.Errorf("bench: two cases are named %q", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}

type measurement struct {
	options  Options
	engine   Engine
	now      func() time.Time
	subjects []Subject
	series   []series
}

// series is what was measured of one case.
type series struct {
	batch    int       // repetitions in a sample
	total    []float64 // ns per repetition, one per sample
	plan     []float64
	counters Counters // differences over all samples
	run      float64  // ns per repetition, by the profile
	build    float64  // likewise
	kernels  float64  // per repetition
	peak     int64    // bytes of one evaluation
}

// verify runs each case once and compares its result with the first's.
func (m *measurement) verify(r *Report) (Result, error) {
	var first Result
	var reference []float64
	for i, s := range m.subjects {
		result, err := s.Run()
		if err != nil {
			return nil, fmt.Errorf("bench: case %q: %w", s.Name, err)
		}
		if i == 0 {
			first = result
		}
		if m.options.Verify < 0 {
			r.Errors = append(r.Errors, math.NaN())
			continue
		}
		values, err := result.Values()
		if err != nil {
			return nil, fmt.Errorf("bench: case %q: result: %w", s.Name, err)
		}
		if i == 0 {
			reference = values
		}
		if !slices.Equal(result.Shape(), first.Shape()) {
			return nil, fmt.Errorf("bench: case %q computes shape %v, %q computes %v: they are not the same computation", s.Name, result.Shape(), m.subjects[0].Name, first.Shape())
		}
		e := maxRelativeError(values, reference)
		if !(e <= m.options.Verify) {
			return nil, fmt.Errorf("bench: case %q differs from %q by %.3g relative, %.3g is allowed (Options.Verify)", s.Name, m.subjects[0].Name, e, m.options.Verify)
		}
		r.Errors = append(r.Errors, e)
	}
	return first, nil
}

// warmUp runs each case and finds how many repetitions make a sample.
func (m *measurement) warmUp() error {
	m.series = make([]series, len(m.subjects))
	batches := make([]int, len(m.subjects))
	for i := range m.subjects {
		for range m.options.Warmup {
			if _, err := m.subjects[i].Run(); err != nil {
				return fmt.Errorf("bench: case %q: %w", m.subjects[i].Name, err)
			}
		}
		var err error
		if batches[i], err = m.calibrate(i); err != nil {
			return err
		}
	}
	alignBatches(batches)
	for i, b := range batches {
		m.series[i].batch = b
	}
	return nil
}

// calibrations is how often a batch is timed before it is called too short or
// long enough. The least time counts: on a busy machine a single one may be
// several times what the case needs.
const calibrations = 5

// calibrate returns how many repetitions of a case make a sample.
func (m *measurement) calibrate(i int) (batch int, err error) {
	for batch = 1; ; {
		least := time.Duration(math.MaxInt64)
		for range calibrations {
			d, err := m.time(i, batch)
			if err != nil {
				return 0, err
			}
			if least = min(least, d); least < m.options.MinSample {
				break
			}
		}
		if least >= m.options.MinSample || batch >= largestBatch {
			return batch, nil
		}
		// Aim a fifth higher, so that few tries are needed.
		grow := float64(m.options.MinSample) / max(float64(least), 1) * 1.2
		batch = min(int(math.Ceil(float64(batch)*min(max(grow, 1.2), 100))), largestBatch)
	}
}

// alignBatches gives cases whose batches are within twice each other the
// largest of them: a longer sample averages over more of what disturbs the
// machine, so its median is another one even for the same case.
func alignBatches(batches []int) {
	order := make([]int, len(batches))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return batches[b] - batches[a] })
	lead := 0
	for _, i := range order {
		if 2*batches[i] < lead || lead == 0 {
			lead = batches[i]
		}
		batches[i] = lead
	}
}

// time runs a case n times.
func (m *measurement) time(i, n int) (time.Duration, error) {
	var err error
	once := func() { _, err = m.subjects[i].Run() }
	start := m.now()
	for range n {
		if m.options.Recycle {
			m.engine.Recycle(once)
		} else {
			once()
		}
		if err != nil {
			return 0, fmt.Errorf("bench: case %q: %w", m.subjects[i].Name, err)
		}
	}
	return m.now().Sub(start), nil
}

func (m *measurement) sample() error {
	start := m.now()
	expired := func(done int) bool { return done >= fewestSamples && m.now().Sub(start) > m.options.MaxTime }
	if !m.options.Interleave {
		for i := range m.subjects {
			from := m.now()
			share := m.options.MaxTime / time.Duration(len(m.subjects))
			for k := 0; k < m.options.Samples && !(k >= fewestSamples && m.now().Sub(from) > share); k++ {
				if err := m.sampleOf(i); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for round := 0; round < m.options.Samples && !expired(round); round++ {
		for k := range m.subjects {
			i := k
			if round%2 == 1 {
				i = len(m.subjects) - 1 - k
			}
			if err := m.sampleOf(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *measurement) sampleOf(i int) error {
	s := &m.series[i]
	before := m.engine.Counters()
	d, err := m.time(i, s.batch)
	if err != nil {
		return err
	}
	after := m.engine.Counters()
	n := float64(s.batch)
	s.total = append(s.total, float64(d)/n)
	s.plan = append(s.plan, float64(after.Plan-before.Plan)/n)
	s.counters.PlanHits += after.PlanHits - before.PlanHits
	s.counters.PlanMisses += after.PlanMisses - before.PlanMisses
	return nil
}

// profile runs each case a few times more to split its time, and returns the
// kernels that ran.
func (m *measurement) profile() (chosen map[string]string, err error) {
	const rounds = 5
	chosen = map[string]string{}
	for i := range m.subjects {
		s := &m.series[i]
		n := min(s.batch, 20)
		var runs, builds []float64
		for range rounds {
			var whole time.Duration
			var failed error
			before := m.engine.Counters()
			p := m.engine.Profile(func() { whole, failed = m.time(i, n) })
			if failed != nil {
				return nil, failed
			}
			plan := m.engine.Counters().Plan - before.Plan
			runs = append(runs, float64(p.Run)/float64(n))
			// What is neither planning nor running is building the graph, calls
			// and hand-over.
			builds = append(builds, float64(max(whole-plan-p.Run, 0))/float64(n))
			s.kernels = float64(p.Kernels) / float64(n)
			s.peak = max(s.peak, p.Peak)
			maps.Copy(chosen, p.Chosen)
		}
		s.run, s.build = Median(runs), Median(builds)
	}
	return chosen, nil
}

func (m *measurement) row(i int, s series) Row {
	sorted := slices.Sorted(slices.Values(s.total))
	row := Row{
		Name: m.subjects[i].Name, Batch: s.batch, Samples: s.total,
		Median: Median(s.total), MAD: MAD(s.total), Min: sorted[0], P5: percentileOfSorted(sorted, 5), P95: percentileOfSorted(sorted, 95),
		Build: s.build, Plan: Median(s.plan), Run: s.run,
		PlanHits: s.counters.PlanHits, PlanMisses: s.counters.PlanMisses,
		KernelsPerRun: s.kernels, PeakBytes: s.peak,
		Ratio: 1, CI: Interval{1, 1},
	}
	if i > 0 {
		if m.options.Interleave {
			row.Ratio, row.CI = PairedRatio(s.total, m.series[0].total, m.options.Confidence)
			return row
		}
		row.Ratio, row.CI = BootstrapRatio(s.total, m.series[0].total, m.options.Confidence, resamples, m.options.Seed+uint64(i))
	}
	return row
}
