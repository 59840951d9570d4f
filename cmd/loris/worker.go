package main

import (
	"github.com/spf13/cobra"

	"loris/internal/collector"
	"loris/kernel/worker"
)

// workerCommand is the process that runs the cells; `loris kernel` starts it.
func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "Run the cells of a kernel (started by it)",
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := worker.Inherited()
			if err != nil {
				return err
			}
			collector.Pace()
			return worker.Serve(cmd.Context(), conn, newEngine)
		},
	}
}
