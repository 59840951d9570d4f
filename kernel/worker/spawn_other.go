//go:build !linux

package worker

import "syscall"

// processAttributes: a process group of its own keeps terminal signals away from
// the worker. If the front is killed, the worker ends when its socket closes.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func preferForOOM(int) {}

// oomKills is unknown here.
func oomKills() int64 { return -1 }
