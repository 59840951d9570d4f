//go:build unix

package notebook

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a Ctrl-C meant for the runner away from the kernel, and lets
// the kernel be killed with its children.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
