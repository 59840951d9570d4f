// Command loris is a Go kernel for Jupyter: it installs itself, serves notebooks,
// and runs them without Jupyter. Every subcommand is one file of this directory.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// commands is the tree: one row per subcommand.
var commands = []func() *cobra.Command{
	kernelCommand,
	installCommand,
	uninstallCommand,
	runCommand,
	benchCommand,
	doctorCommand,
	versionCommand,
	workerCommand,
}

func main() {
	if err := rootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "loris:", err)
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "loris",
		Short: "A Jupyter kernel for Go with lazy tensors",
		Long: `Loris runs Go in Jupyter notebooks, with a lazy tensor and LoRA library built in.

  loris install --user     make "Go (Loris)" known to Jupyter
  jupyter lab              and pick it as the kernel of a notebook`,
		SilenceUsage:  true, // an error is one line that names the fix
		SilenceErrors: true,
		Version:       version(),
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	for _, c := range commands {
		root.AddCommand(c())
	}
	return root
}

// release is set by the linker in release builds.
var release string

// version is the release, or what the build information says.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v, revision, dirty := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " (changed)"
		}
	}
	if v == "" || v == "(devel)" {
		v = "devel"
		if revision != "" {
			v += " " + revision + dirty
		}
	}
	return v
}
