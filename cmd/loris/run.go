package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"loris/internal/notebook"
)

// runOptions are the flags of `loris run`.
type runOptions struct {
	output      string
	html        string
	check       bool
	allowErrors bool
	print       bool
	timeout     time.Duration
}

func runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run NOTEBOOK.ipynb...",
		Short: "Run notebooks without Jupyter",
		Long: `Run executes the cells of each notebook in a fresh kernel, in order.

Without a flag it only reports whether every cell succeeded. --check compares the
new outputs with those in the file: numbers within their tolerance (1e-4 relative
unless the output names one), all other text exactly; measurements are not
compared, and cells tagged loris:measured only run. A cell tagged raises-exception
may fail. The exit status is 1 when another cell failed or an output differs.`,
		Example: `  loris run demo.ipynb --print
  loris run demo.ipynb -o executed.ipynb --html demo.html
  loris run --check notebooks/*.ipynb`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("name a notebook: loris run NOTEBOOK.ipynb")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && (o.output != "" || o.html != "") {
				return errors.New("-o and --html take one notebook: run the others without, or one at a time")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runNotebooks(ctx, cmd.OutOrStdout(), args, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "", "write the executed notebook to this `FILE`")
	f.StringVar(&o.html, "html", "", "write the executed notebook as one HTML `FILE`")
	f.BoolVar(&o.check, "check", false, "compare the outputs with those stored in the notebook")
	f.BoolVar(&o.allowErrors, "allow-errors", false, "go on after a cell that fails")
	f.BoolVar(&o.print, "print", false, "print the text of every output")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "longest `TIME` for one cell, 0 for none")
	return cmd
}

// runNotebooks runs all notebooks, also after one that failed.
func runNotebooks(ctx context.Context, w io.Writer, paths []string, o runOptions) error {
	failed := 0
	for _, path := range paths {
		if err := runNotebook(ctx, w, path, o); err != nil {
			if len(paths) == 1 {
				return err
			}
			fmt.Fprintln(w, err) // which names the notebook
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d notebooks failed", failed, len(paths))
	}
	return nil
}

func runNotebook(ctx context.Context, w io.Writer, path string, o runOptions) error {
	stored, err := notebook.ReadFile(path)
	if err != nil {
		return err
	}
	if lang := stored.Language(); lang != "" && lang != "go" {
		return fmt.Errorf("%s is a %s notebook: loris runs Go", path, lang)
	}
	fresh := stored.Clone()
	start := time.Now()
	runErr := execute(ctx, fresh, filepath.Dir(path), o)
	if o.print {
		printOutputs(w, fresh)
	}
	if err := writeResults(fresh, path, o); err != nil {
		return errors.Join(runErr, err)
	}
	if runErr != nil {
		return fmt.Errorf("%s: %w", path, runErr)
	}
	if !o.check {
		fmt.Fprintf(w, "%s: all cells ran (%.1f s)\n", path, time.Since(start).Seconds())
		return nil
	}
	c := notebook.Compare(stored, fresh)
	if c.OK() {
		fmt.Fprintf(w, "%s: %s", path, c)
		return nil
	}
	fmt.Fprintf(w, "%s:\n%s", path, c)
	return fmt.Errorf("%s: the outputs differ from those stored", path)
}

// execute runs the notebook in a kernel of its own.
func execute(ctx context.Context, nb *notebook.Notebook, dir string, o runOptions) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the loris binary: %w", err)
	}
	kernel, err := notebook.Launch(ctx, []string{self, "kernel", "-f", "{connection_file}"}, dir)
	if err != nil {
		return err
	}
	defer kernel.Close()
	return notebook.Run(ctx, nb, kernel, notebook.RunOptions{Timeout: o.timeout, AllowErrors: o.allowErrors})
}

func writeResults(nb *notebook.Notebook, path string, o runOptions) error {
	if o.output != "" {
		if err := nb.WriteFile(o.output); err != nil {
			return err
		}
	}
	if o.html != "" {
		return nb.WriteHTML(o.html, notebook.ExportOptions{Dir: filepath.Dir(path)})
	}
	return nil
}

// printOutputs writes what a terminal can show of each output.
func printOutputs(w io.Writer, nb *notebook.Notebook) {
	for _, cell := range nb.Cells {
		for _, out := range cell.Outputs {
			if text := strings.TrimRight(plainText(out), "\n"); text != "" {
				fmt.Fprintln(w, text)
			}
		}
	}
}

func plainText(out *notebook.Output) string {
	switch out.Type {
	case notebook.Stream:
		return out.Text
	case notebook.Error:
		return out.EName + ": " + out.EValue
	}
	text, _ := out.Data["text/plain"].(string)
	return text
}
