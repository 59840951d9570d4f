package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// processAttributes: a process group of its own keeps terminal signals away from
// the worker, and the kernel ends it if the front is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// preferForOOM makes the system choose the worker rather than the front when
// memory runs out. Failure changes nothing else.
func preferForOOM(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("500"), 0)
}

// oomKills counts the processes that the system has killed for memory, from the
// control group if it counts, else system-wide; -1 if unknown.
func oomKills() int64 {
	files := []string{"/sys/fs/cgroup/memory.events", "/proc/vmstat"}
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		for line := range strings.Lines(string(b)) {
			if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
				files = append([]string{filepath.Join("/sys/fs/cgroup", path, "memory.events")}, files...)
			}
		}
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
				if n, err := strconv.ParseInt(strings.TrimSpace(count), 10, 64); err == nil {
					return n
				}
			}
		}
	}
	return -1
}
