package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"loris/kernel/wire"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Loris, Go and the Jupyter protocol",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "loris %s\n%s %s/%s\nJupyter messaging protocol %s\n",
				version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, wire.ProtocolVersion)
			return err
		},
	}
}
