//go:build darwin || softmetal

package mtl

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"loris/metal/objc"
)

func TestDispatchAddsVectorsWithFunctionConstants(t *testing.T) {
	d := open(t, Options{})
	const n = 1000
	a, b, c := floatBuffer(t, d, n), floatBuffer(t, d, n), floatBuffer(t, d, n)
	for i := range n {
		floats(a)[i], floats(b)[i] = float32(i), float32(2*i)
	}
	d.Stream.Begin()
	d.Stream.Dispatch(addDispatch(t, d, a, b, c, n, true))
	if err := d.Stream.Wait(d.Stream.End()); err != nil {
		t.Fatal(err)
	}
	for i, v := range floats(c) {
		if v != float32(6*i) {
			t.Fatalf("c[%d] = %v, want %v", i, v, 6*i)
		}
	}
	for _, x := range []*Buffer{a, b, c} {
		x.Free()
	}
	if s := d.MemoryStats(); s.Active != 0 {
		t.Errorf("%d bytes are active after all buffers were freed", s.Active)
	}
}

// chain makes n dependent additions: each adds the input to the result of the one before.
func chain(t testing.TB, d *Device, n int) (run []*Dispatch, out *Buffer) {
	const size = 64
	one := floatBuffer(t, d, size)
	last := floatBuffer(t, d, size)
	for i := range size {
		floats(one)[i], floats(last)[i] = 1, 0
	}
	for range n {
		next := floatBuffer(t, d, size)
		run = append(run, addDispatch(t, d, last, one, next, size, false))
		last = next
	}
	return run, last
}

func TestDependentDispatchesSeeEachOther(t *testing.T) {
	d := open(t, Options{})
	run, out := chain(t, d, 200) // more than one command buffer's worth
	for _, order := range []uintptr{0, 1, 2} {
		if set := soft("softmetal_set_order"); set != nil {
			set(order)
			defer set(0)
		}
		for _, r := range run[:len(run)-1] { // what an earlier run left must not stand in for this one's
			floats(r.Bindings[2].Buffer)[0] = -1e6
		}
		d.Stream.Begin()
		for _, r := range run {
			d.Stream.Dispatch(r)
		}
		if err := d.Stream.Wait(d.Stream.End()); err != nil {
			t.Fatal(err)
		}
		if got := floats(out)[0]; got != 200 {
			t.Errorf("order %d: a chain of 200 additions of 1 gave %v", order, got)
		}
	}
}

func TestIndependentDispatchesNeedNoBarrier(t *testing.T) {
	d := open(t, Options{})
	a, b := floatBuffer(t, d, 64), floatBuffer(t, d, 64)
	before := d.Stream.Barriers()
	d.Stream.Begin()
	var outs []*Buffer
	for range 8 {
		c := floatBuffer(t, d, 64)
		outs = append(outs, c)
		d.Stream.Dispatch(addDispatch(t, d, a, b, c, 64, false))
	}
	ticket := d.Stream.End()
	if err := d.Stream.Wait(ticket); err != nil {
		t.Fatal(err)
	}
	if n := d.Stream.Barriers() - before; n != 0 {
		t.Errorf("%d barriers between independent dispatches", n)
	}
	d.Stream.Begin()
	d.Stream.Dispatch(addDispatch(t, d, a, b, outs[0], 64, false))
	d.Stream.Dispatch(addDispatch(t, d, outs[0], b, outs[1], 64, false))
	if err := d.Stream.Wait(d.Stream.End()); err != nil {
		t.Fatal(err)
	}
	if n := d.Stream.Barriers() - before; n != 1 {
		t.Errorf("%d barriers for one dependence, want 1", n)
	}
}

// What is submitted cannot be called back, so command buffers are short: in dispatches, in bytes, in expected time.
func TestCommandBuffersAreBounded(t *testing.T) {
	count := soft("softmetal_command_buffers")
	if count == nil {
		t.Skip("only the software Metal counts")
	}
	d := open(t, Options{})
	soft("softmetal_set_noop")(1)
	defer soft("softmetal_set_noop")(0)
	const n = 64
	a, b, c := floatBuffer(t, d, n), floatBuffer(t, d, n), floatBuffer(t, d, n)
	for _, x := range []struct {
		name           string
		dispatches     int
		estimate       time.Duration
		bytes          int
		commandBuffers uintptr
	}{
		{"few", 10, 0, 4 * n, 1},
		{"many", 2*flushDispatches[Base] + 1, 0, 4 * n, 3},
		{"long", 8, flushEstimate / 4, 4 * n, 2},
		{"large", 6, 0, flushBytes / 6, 2}, // two bindings of each are that large
	} {
		launch := addDispatch(t, d, a, b, c, n, false)
		launch.Estimate = x.estimate
		launch.Bindings[0].Length, launch.Bindings[1].Length = x.bytes, x.bytes
		before := count()
		d.Stream.Begin()
		for range x.dispatches {
			d.Stream.Dispatch(launch)
		}
		if err := d.Stream.Wait(d.Stream.End()); err != nil {
			t.Fatal(err)
		}
		if got := count() - before; got != x.commandBuffers {
			t.Errorf("%s: %d command buffers, want %d", x.name, got, x.commandBuffers)
		}
	}
}

func TestSerialRunsEveryDispatchByItself(t *testing.T) {
	count := soft("softmetal_command_buffers")
	if count == nil {
		t.Skip("only the software Metal counts")
	}
	t.Setenv("LORIS_METAL_SERIAL", "1")
	d := open(t, Options{})
	run, out := chain(t, d, 5)
	before := count()
	d.Stream.Begin()
	for _, r := range run {
		d.Stream.Dispatch(r)
	}
	if err := d.Stream.Wait(d.Stream.End()); err != nil {
		t.Fatal(err)
	}
	if n := count() - before; n != 5 || floats(out)[0] != 5 {
		t.Errorf("5 dispatches took %d command buffers and gave %v", n, floats(out)[0])
	}
}

func TestFailureNamesItsStepAndLaterWorkGoesOn(t *testing.T) {
	fail := soft("softmetal_fail_next")
	if fail == nil {
		t.Skip("failures can be planted in the software Metal only")
	}
	d := open(t, Options{Serial: true})
	run, out := chain(t, d, 2)
	run[0].Label, run[1].Label = "first", "second"
	name := append([]byte("add"), 0)
	fail(uintptr(unsafe.Pointer(&name[0])))
	d.Stream.Begin()
	d.Stream.Dispatch(run[0])
	d.Stream.Dispatch(run[1])
	err := d.Stream.Wait(d.Stream.End())
	var step *ErrStep
	if !errors.As(err, &step) || len(step.Steps) != 1 || step.Steps[0] != "first" {
		t.Fatalf("error %v does not name the step that failed", err)
	}
	d.Stream.Begin()
	for _, r := range run {
		d.Stream.Dispatch(r)
	}
	if err := d.Stream.Wait(d.Stream.End()); err != nil || floats(out)[0] != 2 {
		t.Errorf("after a failure: %v, %v", err, floats(out)[0])
	}
}

func TestManyGoroutinesShareTheStream(t *testing.T) {
	d := open(t, Options{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for round := range 10 {
				a, b, c := floatBuffer(t, d, 300), floatBuffer(t, d, 300), floatBuffer(t, d, 300)
				for i := range 300 {
					floats(a)[i], floats(b)[i] = float32(g), float32(round)
				}
				d.Stream.Begin()
				d.Stream.Dispatch(addDispatch(t, d, a, b, c, 300, false))
				if err := d.Stream.Wait(d.Stream.End()); err != nil {
					t.Error(err)
				}
				if got := floats(c)[299]; got != float32(g+round) {
					t.Errorf("goroutine %d, round %d: got %v", g, round, got)
				}
				a.Free()
				b.Free()
				c.Free()
			}
		}()
	}
	wg.Wait()
}

func TestProfileTimesEachStep(t *testing.T) {
	d := open(t, Options{})
	run, _ := chain(t, d, 3)
	for i, r := range run {
		r.Label = string(rune('a' + i))
	}
	d.Stream.Profile(true)
	d.Stream.Begin()
	for _, r := range run {
		d.Stream.Dispatch(r)
	}
	if err := d.Stream.Wait(d.Stream.End()); err != nil {
		t.Fatal(err)
	}
	times := d.Stream.Timings()
	if len(times) != 3 {
		t.Fatalf("%d timings for 3 steps", len(times))
	}
	for i, x := range times {
		if x.Label != run[i].Label || x.End <= x.Start {
			t.Errorf("timing %d: %+v", i, x)
		}
	}
}

func TestReplayDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector sync.Pool forgets what it holds")
	}
	d := open(t, Options{})
	if set := soft("softmetal_set_noop"); set != nil {
		set(1)
		defer set(0)
	}
	run, _ := chain(t, d, 10)
	replay := func() {
		d.Stream.Begin()
		for _, r := range run {
			d.Stream.Dispatch(r)
		}
		if err := d.Stream.Wait(d.Stream.End()); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		replay()
	}
	if n := testing.AllocsPerRun(100, replay); n >= 1 {
		t.Errorf("%v allocations for a replay of 10 dispatches", n)
	}
}

// BenchmarkHost measures the host's time for a cached evaluation of ten steps, submission included, on the software
// Metal's no-op mode.
func BenchmarkHost(b *testing.B) {
	d := open(b, Options{})
	if set := soft("softmetal_set_noop"); set != nil {
		set(1)
		defer set(0)
	}
	run, _ := chain(b, d, 10)
	b.ReportAllocs()
	start := processorTime(b)
	for b.Loop() {
		d.Stream.Begin()
		for _, r := range run {
			d.Stream.Dispatch(r)
		}
		d.Stream.flush()
		d.Stream.End()
	}
	b.ReportMetric(float64(processorTime(b)-start)/float64(b.N), "cpu-ns/op")
}

// processorTime is what the process has used, which other processes do not stretch.
func processorTime(b *testing.B) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func TestMessagesMatchTheLibrary(t *testing.T) {
	if err := objc.Load(); err != nil {
		t.Skip(err)
	}
	checked := 0
	for _, m := range objc.Messages {
		got := objc.TypeEncoding(m)
		if got == "" { // Apple's private classes implement the protocols; only public ones can be asked by name
			if soft("x") != nil {
				t.Errorf("the software Metal has no %s %s", m.Class, m.Selector)
			}
			continue
		}
		checked++
		if want := m.Types; normalised(got) != want {
			t.Errorf("%s %s: declared %s, the library says %s", m.Class, m.Selector, want, got)
		}
	}
	t.Logf("%d of %d messages compared", checked, len(objc.Messages))
}

// normalised drops what differs without meaning: offsets, the receiver and selector, BOOL as c or B.
func normalised(types string) string {
	var b strings.Builder
	depth := 0
	for _, r := range types {
		switch r {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 && r >= '0' && r <= '9' {
			continue
		}
		b.WriteRune(r)
	}
	s := b.String()
	for _, receiver := range []string{"@:", "#:"} {
		if i := strings.Index(s, receiver); i >= 0 {
			return strings.Replace(s[:i]+s[i+2:], "c", "B", 1)
		}
	}
	return s
}
