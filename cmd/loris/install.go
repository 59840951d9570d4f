package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"loris/kernelspec"
)

// placeFlags adds the flags that choose where a kernelspec lives.
func placeFlags(c *cobra.Command) *kernelspec.Place {
	p := &kernelspec.Place{}
	c.Flags().BoolVar(&p.User, "user", false, "for the current user (the default)")
	c.Flags().StringVar(&p.Prefix, "prefix", "", "under `DIR`/share/jupyter; DIR is, say, a virtual environment")
	c.Flags().BoolVar(&p.SysPrefix, "sys-prefix", false, "in the Python environment that is active (VIRTUAL_ENV, CONDA_PREFIX, or python3's)")
	c.MarkFlagsMutuallyExclusive("user", "prefix", "sys-prefix")
	c.Flags().StringVar(&p.Name, "name", kernelspec.DefaultName, "`NAME` of the kernel's directory")
	return p
}

func installCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "install",
		Short:   "Make the kernel known to Jupyter",
		Long:    "Writes a kernelspec that points to this binary, so that Jupyter offers Go (Loris).\nRun it again after moving the binary.",
		Example: "  loris install --user\n  loris install --prefix .venv",
		Args:    noArguments,
	}
	place := placeFlags(c)
	displayName := c.Flags().String("display-name", kernelspec.DisplayName, "`NAME` that Jupyter shows")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the loris binary: %w", err)
		}
		dir, err := kernelspec.Install(*place, kernelspec.Options{Binary: self, DisplayName: *displayName})
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "installed kernelspec %s in %s\n", place.Name, dir)
		return nil
	}
	return c
}
