package magic

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func timeCode(ctx context.Context, h Host, c Call) error {
	if c.Name == "%%time" {
		if err := noArgs(c); err != nil {
			return err
		}
	}
	if strings.TrimSpace(c.Go) == "" {
		return fail("%s needs Go code to run", c.Name)
	}
	cpu, start := processTime(), time.Now()
	err := h.Run(ctx, c.Go)
	wall := time.Since(start)
	h.Write("stdout", fmt.Sprintf("wall time %s, CPU time %s\n", formatDuration(wall), formatDuration(processTime()-cpu)))
	return err
}

// processTime is the CPU time, user and system, that the process has used.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const (
	defaultRuns = 7
	runTime     = 200 * time.Millisecond // of each run, unless -n says otherwise
)

func timeit(ctx context.Context, h Host, c Call) error {
	loops, runs, err := timeitOptions(c)
	if err != nil {
		return err
	}
	if strings.TrimSpace(c.Go) == "" {
		return fail("%s needs Go code to time", c.Name)
	}
	run, err := h.Repeat(c.Go)
	if err != nil {
		return err
	}
	measure := func(n int) (time.Duration, error) {
		start := time.Now()
		err := run(ctx, n)
		return time.Since(start), err
	}
	if loops == 0 {
		if loops, err = calibrate(measure); err != nil {
			return err
		}
	}
	var each []time.Duration
	for range runs {
		d, err := measure(loops)
		if err != nil {
			return err
		}
		each = append(each, d/time.Duration(loops))
	}
	mid, spread := medianAndSpread(each)
	h.Write("stdout", fmt.Sprintf("%s ± %s per loop (median ± median deviation of %d runs, %s loops each), best %s\n",
		formatDuration(mid), formatDuration(spread), runs, strconv.Itoa(loops), formatDuration(slices.Min(each))))
	return nil
}

func timeitOptions(c Call) (loops, runs int, err error) {
	runs = defaultRuns
	words := strings.Fields(c.Args)
	for i := 0; i < len(words); i++ {
		w := words[i]
		if !strings.HasPrefix(w, "-n") && !strings.HasPrefix(w, "-r") {
			if c.Name == "%%timeit" {
				return 0, 0, fail("%%%%timeit does not understand %q: the code to time stands on the lines below", w)
			}
			break // the code starts here
		}
		value := w[2:]
		if value == "" && i+1 < len(words) {
			i++
			value = words[i]
		}
		n, e := strconv.Atoi(value)
		if e != nil || n < 1 || n > 1_000_000_000 {
			return 0, 0, fail("%s: %s needs a number above 0", c.Name, w[:2])
		}
		if w[1] == 'n' {
			loops = n
		} else {
			runs = n
		}
	}
	return loops, runs, nil
}

// calibrate finds how many loops take about runTime. The first run, which may
// fill caches, decides only when it is long.
func calibrate(measure func(n int) (time.Duration, error)) (loops int, err error) {
	for loops = 1; ; {
		d, err := measure(loops)
		if err != nil || d >= runTime || loops >= 100_000_000 {
			return loops, err
		}
		grow := 10.0
		if d > runTime/1000 {
			grow = min(grow, 1.1*float64(runTime)/float64(d))
		}
		loops = max(loops+1, int(float64(loops)*grow))
	}
}

func medianAndSpread(ds []time.Duration) (mid, spread time.Duration) {
	median := func(ds []time.Duration) time.Duration {
		s := slices.Sorted(slices.Values(ds))
		n := len(s)
		return (s[(n-1)/2] + s[n/2]) / 2
	}
	mid = median(ds)
	var off []time.Duration
	for _, d := range ds {
		off = append(off, (d - mid).Abs())
	}
	return mid, median(off)
}
