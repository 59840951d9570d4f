package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"loris/internal/machine"
	"loris/kernel/wire"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Loris, Go and the Jupyter protocol",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "loris %s\n%s %s/%s\nJupyter messaging protocol %s\n",
				machine.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, wire.ProtocolVersion)
			return err
		},
	}
}
