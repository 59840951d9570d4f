package worker

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

var spawner struct {
	once sync.Once
	jobs chan func()
}

// spawn starts a command from a thread that lives as long as this process: the
// death signal of Linux is tied to the thread that started the child.
func spawn(cmd *exec.Cmd) error {
	spawner.once.Do(func() {
		spawner.jobs = make(chan func())
		go func() {
			runtime.LockOSThread()
			for job := range spawner.jobs {
				job()
			}
		}()
	})
	result := make(chan error, 1)
	spawner.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// killGroup ends a worker's process group, which holds the programs its cells
// have started.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
