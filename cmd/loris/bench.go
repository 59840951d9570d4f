package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"loris/internal/collector"
	"loris/internal/suites"
)

func benchCommand() *cobra.Command {
	var o suites.Options
	var suite, json string
	var quiet bool
	var list strings.Builder
	for _, s := range suites.Suites {
		fmt.Fprintf(&list, "  %-8s %s\n", s.Name, s.Doc)
	}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Run a benchmark suite",
		Long: `Bench measures a suite and prints its table. Contestants are interleaved in one
run, so that ratios hold on a noisy machine; every result is checked.

Suites:
` + list.String(),
		Example: "  loris bench --suite seed --json build/seed.json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := suites.Find(suite)
			if err != nil {
				return err
			}
			collector.Pace()
			if !quiet {
				o.Log = cmd.ErrOrStderr()
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			result, err := s.Run(ctx, o)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), result)
			if json != "" {
				return result.WriteJSON(json)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&suite, "suite", "seed", "which `SUITE`")
	f.StringVar(&json, "json", "", "write provenance and rows to this `FILE`")
	f.StringVar(&o.Device, "device", "", "`DEVICE` to run on: cpu or metal (default: the best there is)")
	f.StringVar(&o.Only, "only", "", "only rows whose name contains this `TEXT`")
	f.IntVar(&o.Samples, "samples", 0, "`NUMBER` of samples of each contestant (default: the suite's choice)")
	f.BoolVarP(&quiet, "quiet", "q", false, "print no progress")
	return cmd
}
