package main

import (
	"fmt"
	"io"

	"loris/metal" // the GPU is a device wherever there is one
)

// examineMetal compiles every Metal kernel and runs it against its reference.
func examineMetal(w io.Writer) error {
	report, err := metal.Examine()
	if err != nil {
		return err
	}
	if _, err := report.WriteTo(w); err != nil {
		return err
	}
	if n := report.Failed(); n > 0 {
		return fmt.Errorf("%d cases failed: please report them with this output", n)
	}
	fmt.Fprintln(w, "every kernel gives its reference's numbers")
	return nil
}
