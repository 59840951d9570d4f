// Command loris is a Go kernel for Jupyter: it installs itself, serves notebooks,
// and runs them without Jupyter. Every subcommand is one file of this directory.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"loris/internal/machine"
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
		Version:       machine.Version(),
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: `%s --help` lists the flags", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	for _, c := range commands {
		root.AddCommand(c())
	}
	return root
}

// knownCommand is reached with arguments only when the first names no command.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	root.SuggestionsMinimumDistance = 2
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("there is no command %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("there is no command %q: `loris --help` lists them", args[0])
}

// noArguments refuses arguments of commands that have flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%s takes flags only, not %q: see `%s --help`", cmd.CommandPath(), args[0], cmd.CommandPath())
}
