package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"loris/internal/machine"
	"loris/kernel"
	"loris/kernel/history"
	"loris/kernel/worker"
)

func kernelCommand() *cobra.Command {
	var file, logLevel string
	c := &cobra.Command{
		Use:   "kernel -f FILE",
		Short: "Serve a notebook (Jupyter starts this)",
		Long: `Serves the connection file that a Jupyter client has written, until the client
shuts the kernel down or ends. Ports given as 0 are chosen and written back.

Environment:
  LORIS_HISTORY   file of the input history ("off": keep it in memory)
  LORIS_LOG       level of the log on stderr: debug, info, warn, error`,
		Example: "  loris kernel -f ~/.local/share/jupyter/runtime/kernel-1234.json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return errors.New("the connection file is missing: Jupyter names it with -f; `loris install --user` tells Jupyter how")
			}
			return serveKernel(cmd.Context(), file, logLevel)
		},
	}
	c.Flags().StringVarP(&file, "connection-file", "f", "", "connection `FILE` of the Jupyter client")
	c.Flags().StringVar(&logLevel, "log", envOr("LORIS_LOG", "warn"), "log `LEVEL`: debug, info, warn or error")
	return c
}

func serveKernel(ctx context.Context, file, logLevel string) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(logLevel)); err != nil {
		return fmt.Errorf("--log %s: use debug, info, warn or error", logLevel)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the loris binary: %w", err)
	}
	historyFile, err := history.Path()
	if err != nil || historyFile == "off" {
		if err != nil {
			log.Warn("history is kept in memory only", "err", err)
		}
		historyFile = ""
	}
	return kernel.Run(ctx, kernel.Config{
		ConnectionFile: file,
		Worker:         worker.Command{Path: self, Args: []string{"worker"}},
		History:        historyFile,
		Log:            log,
		Signals:        true,
		Info: kernel.Info{
			Implementation:  "loris",
			Version:         machine.Version(),
			LanguageVersion: strings.TrimPrefix(runtime.Version(), "go"),
			Banner:          "Loris " + machine.Version() + ": Go in cells, with lazy tensors (import name lt). Type %help for the commands.",
			HelpLinks: []kernel.HelpLink{
				{Text: "The Go language", URL: "https://go.dev/ref/spec"},
				{Text: "Go standard library", URL: "https://pkg.go.dev/std"},
			},
		},
	})
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
