package kernel

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"
)

// watchParent stops the kernel when the process that started it has ended, so
// that a crashed server leaves no kernels behind. Jupyter names that process in
// JPY_PARENT_PID; a kernel started by hand has none and is left alone.
func (k *Kernel) watchParent() {
	parent, err := strconv.Atoi(os.Getenv("JPY_PARENT_PID"))
	if err != nil || parent <= 1 {
		return
	}
	direct := os.Getppid() == parent
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-k.stop:
			return
		case <-tick.C:
		}
		// A direct parent is known by our parent changing, which is immune to a
		// reused process id.
		if direct && os.Getppid() != parent || !direct && errors.Is(syscall.Kill(parent, 0), syscall.ESRCH) {
			k.log.Info("the process that started the kernel has ended", "pid", parent)
			k.Stop()
			return
		}
	}
}
