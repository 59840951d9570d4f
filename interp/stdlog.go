package interp

import (
	"log"
	"os"
	"sync"

	"loris/interp/run"
)

// stdlog is where the log package writes, and log/slog through it: to the cell
// whose goroutine logs.
type stdlog struct{}

func (stdlog) Write(p []byte) (int, error) {
	t := run.Foreground()
	if th := run.Current(); th != nil {
		t = th.Task
	}
	if t == nil {
		return os.Stderr.Write(p)
	}
	t.Print("stderr", string(p))
	return len(p), nil
}

var catchLog = sync.OnceFunc(func() { log.SetOutput(stdlog{}) })
