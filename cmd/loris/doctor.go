package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"loris/display"
	"loris/internal/cpu/feature"
	"loris/internal/cpu/native"
	"loris/internal/eval"
	"loris/internal/machine"
	"loris/kernelspec"
)

// finding is one line of the doctor's report.
type finding struct {
	topic, text string
	problem     string // what would stop loris here, and what to do about it
}

func doctorCommand() *cobra.Command {
	onlyMetal := false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what is installed, what runs here and what would stop it",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if onlyMetal {
				return examineMetal(cmd.OutOrStdout())
			}
			return printFindings(cmd.OutOrStdout(), examine())
		},
	}
	cmd.Flags().BoolVar(&onlyMetal, "metal", false, "examine the GPU instead: compile every Metal kernel and check its results")
	return cmd
}

// examine looks at everything that loris depends on.
func examine() []finding {
	facts := machine.Read("", "")
	list := []finding{
		{topic: "loris", text: machine.Version() + ", " + facts.Go.Version},
		{topic: "machine", text: facts.String()},
	}
	for _, row := range feature.Report() {
		list = append(list, finding{topic: row.Name, text: row.Value})
	}
	if w := feature.Warning(); w != "" {
		list = append(list, finding{topic: "kernels", text: w, problem: "unset LORIS_CPU or name a level this machine has"})
	}
	list = append(list, chains())
	list = append(list, devices()...)
	list = append(list, jupyter(), session())
	list = append(list, kernelspecs()...)
	return append(list, loopback(), temporaryFiles())
}

// chains tells how chains of elementwise operations run.
func chains() finding {
	text := "chains of operations become machine code"
	if err := native.Check(); err != nil {
		text = "chains of operations run tile by tile, not as machine code: " + err.Error()
	}
	return finding{topic: "chains", text: text}
}

func devices() (list []finding) {
	for _, d := range eval.Devices() {
		text := d.Name
		if d.Default {
			text += " (default)"
		}
		if d.Memory.Total > 0 {
			text += ", " + display.Bytes(d.Memory.Total).String()
		}
		list = append(list, finding{topic: "device", text: text})
	}
	return list
}

// jupyter looks for a program that uses kernels; none is needed by loris run.
func jupyter() finding {
	for _, name := range []string{"jupyter-lab", "jupyter", "code"} {
		if path, err := exec.LookPath(name); err == nil {
			return finding{topic: "front end", text: path}
		}
	}
	return finding{topic: "front end", text: "no jupyter on PATH (pip install jupyterlab); loris run needs none"}
}

// session starts an interpreter and runs a cell.
func session() finding {
	f := finding{topic: "interpreter", text: "a cell runs"}
	if err := runTrialCell(); err != nil {
		f.text, f.problem = err.Error(), "this build is broken: please report it with this output"
	}
	return f
}

// kernelspecs lists where Jupyter finds loris, and specs whose binary is gone.
func kernelspecs() (list []finding) {
	places := []kernelspec.Place{{User: true}, {SysPrefix: true}, {}}
	seen := map[string]bool{}
	for _, p := range places {
		dir, err := p.Dir()
		if err != nil || seen[dir] {
			continue
		}
		seen[dir] = true
		if f, ok := kernelspecAt(dir); ok {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		list = append(list, finding{topic: "kernelspec", text: "not installed", problem: "run: loris install --user"})
	}
	return list
}

func kernelspecAt(dir string) (finding, bool) {
	b, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil {
		return finding{}, false
	}
	f := finding{topic: "kernelspec", text: dir}
	var spec struct {
		Argv []string `json:"argv"`
	}
	switch err := json.Unmarshal(b, &spec); {
	case err != nil || len(spec.Argv) == 0:
		f.problem = "its kernel.json is damaged: run loris install again"
	default:
		if _, err := os.Stat(spec.Argv[0]); err != nil {
			f.problem = "it starts " + spec.Argv[0] + ", which is not there: run loris install again"
		}
	}
	return f, true
}

// loopback checks that sockets can be opened, which every kernel needs.
func loopback() finding {
	f := finding{topic: "sockets", text: "127.0.0.1 can be listened on"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.text, f.problem = err.Error(), "a kernel needs the loopback network: allow it, or use transport ipc"
		return f
	}
	l.Close()
	return f
}

func temporaryFiles() finding {
	f := finding{topic: "temporary files", text: os.TempDir()}
	file, err := os.CreateTemp("", "loris-doctor-")
	if err != nil {
		f.text, f.problem = err.Error(), "set TMPDIR to a folder that can be written to"
		return f
	}
	file.Close()
	os.Remove(file.Name())
	return f
}

var errProblems = errors.New("the lines marked ! would stop loris here")

func printFindings(w io.Writer, list []finding) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	problems := false
	for _, f := range list {
		mark := " "
		if f.problem != "" {
			mark, problems = "!", true
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", mark, f.topic, f.text)
		if f.problem != "" {
			fmt.Fprintf(t, "\t\t→ %s\n", f.problem)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if problems {
		return errProblems
	}
	return nil
}
