package main

import (
	"context"
	"errors"
	"fmt"

	"loris/interp"
)

// runTrialCell computes with the tensor library from a cell.
func runTrialCell() error {
	s, err := interp.New(interp.Options{Sink: discard{}})
	if err != nil {
		return err
	}
	o := s.Run(context.Background(), interp.Cell{ID: "trial", Code: "lt.Arange(4).Add(1).Sum().Item()"})
	if o.Err != nil {
		return o.Err
	}
	if o.Value == nil {
		return errors.New("a cell of 1 + 2 + 3 + 4 showed nothing")
	}
	if got := fmt.Sprint(o.Value.Data["text/plain"]); got != "10" {
		return errors.New("a cell of 1 + 2 + 3 + 4 gave " + got)
	}
	return nil
}

// discard takes what the trial prints.
type discard struct{}

func (discard) Stream(cell, name, text string) {}

func (discard) ReadInput(cell, prompt string, password bool) (string, error) {
	return "", errors.New("nobody to ask")
}
