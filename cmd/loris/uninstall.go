package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"loris/kernelspec"
)

func uninstallCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove the kernel from Jupyter",
		Long:  "Removes the kernelspec that install has written. The binary stays.",
		Args:  noArguments,
	}
	place := placeFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := kernelspec.Uninstall(*place)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", dir)
		return nil
	}
	return c
}
