package machine

import (
	"os"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/process"
)

// Load is how busy the machine was during an interval.
type Load struct {
	Seconds float64 `json:"seconds"`
	// Average1 is the load average of the last minute at the end of the
	// interval.
	Average1 float64 `json:"load_average_1m"`
	// Busy is the share of all cores' time that was used, 0 to 1, and Own the
	// part of it that this process used.
	Busy float64 `json:"busy"`
	Own  float64 `json:"own"`
	// Stolen is the share that a hypervisor gave to others.
	Stolen float64 `json:"stolen"`
}

// Others is the share of all cores' time that other programs used or that was
// stolen: what disturbs a measurement.
func (l Load) Others() float64 { return max(l.Busy-l.Own, 0) + l.Stolen }

// Noisy reports whether others used more than a twentieth of the machine.
func (l Load) Noisy() bool { return l.Others() > 0.05 }

// Watch starts an interval; the returned function ends it. Either takes well
// under a millisecond.
func Watch() (end func() Load) {
	start, before, own := time.Now(), cpuTimes(), ownSeconds()
	return func() Load {
		l := Load{Seconds: time.Since(start).Seconds()}
		if avg, err := load.Avg(); err == nil {
			l.Average1 = avg.Load1
		}
		after := cpuTimes()
		all := total(after) - total(before)
		if all <= 0 { // shorter than the clock tick of the counters, or no counters
			return l
		}
		idle := after.Idle + after.Iowait - before.Idle - before.Iowait
		l.Stolen = clamp((after.Steal - before.Steal) / all)
		l.Busy = clamp(1 - idle/all - l.Stolen)
		l.Own = clamp((ownSeconds() - own) / (l.Seconds * float64(runtime.NumCPU())))
		return l
	}
}

func clamp(x float64) float64 { return min(max(x, 0), 1) }

func cpuTimes() cpu.TimesStat {
	t, err := cpu.Times(false)
	if err != nil || len(t) == 0 {
		return cpu.TimesStat{}
	}
	return t[0]
}

// total leaves guest time out: the kernel counts it as user time too.
func total(t cpu.TimesStat) float64 {
	return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
}

func ownSeconds() float64 {
	p, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return 0
	}
	t, err := p.Times()
	if err != nil {
		return 0
	}
	return t.User + t.System
}
