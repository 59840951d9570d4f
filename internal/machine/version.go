package machine

import (
	"runtime/debug"
	"sync"
)

// release is the version that the linker sets (`make build`, the release builds).
var release string

// Version is the version of Loris that runs: the release, or else the commit
// that Go's build information names, or "devel".
var Version = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(release, info)
})

func versionOf(release string, info *debug.BuildInfo) string {
	switch {
	case release != "":
		return release
	case info == nil || info.Main.Path != module: // another program has the library built in
		return "devel"
	case info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	}
	version, changed := "devel", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			version += " " + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	return version + changed
}

// module is the path of the module that this package belongs to.
const module = "loris"
