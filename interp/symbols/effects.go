package symbols

import (
	"expvar"
	"fmt"
	"net/http"
	"net/http/pprof"
)

// Linking expvar and net/http/pprof adds routes to http.DefaultServeMux. A
// program that does not import them must not have those routes, so the mux is
// replaced at start and they are added when a cell imports the package.
func init() { http.DefaultServeMux = http.NewServeMux() }

// importEffect does what importing a package does in a compiled program. It
// runs once per path, and fails if a cell has taken a route before.
func importEffect(path string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("import %q: %v", path, p)
		}
	}()
	switch path {
	case "expvar":
		http.Handle("GET /debug/vars", expvar.Handler())
	case "net/http/pprof":
		http.HandleFunc("GET /debug/pprof/", pprof.Index)
		http.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		http.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		http.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		http.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return nil
}
