package interp_test

import (
	"context"
	"errors"
	"fmt"

	"loris/interp"
)

type console struct{}

func (console) Stream(cell, name, text string) { fmt.Print(text) }

func (console) ReadInput(cell, prompt string, password bool) (string, error) {
	return "", errors.New("nobody is there")
}

func ExampleSession() {
	s, err := interp.New(interp.Options{Sink: console{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, code := range []string{
		"x := 20",
		"func double(n int) int { return 2 * n }\nfmt.Println(double(x))",
		"double(x) + 2",
		"double(\"x\")",
	} {
		o := s.Run(context.Background(), interp.Cell{Code: code})
		if o.Value != nil {
			fmt.Println("value:", o.Value.Data["text/plain"])
		}
		if o.Err != nil {
			fmt.Println("error:", o.Err.Value)
		}
	}
	// Output:
	// 40
	// value: 42
	// error: cannot use "x" (untyped string constant) as int value in argument to double
}
