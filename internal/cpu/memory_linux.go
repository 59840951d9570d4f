package cpu

import "golang.org/x/sys/unix"

// totalMemory returns the machine's memory in bytes.
func totalMemory() int64 {
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) != nil {
		return 0
	}
	return int64(s.Totalram) * int64(s.Unit)
}
