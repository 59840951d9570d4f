package report_test

import (
	"errors"
	"fmt"
	"go/token"

	"loris/interp/report"
)

func source(name string) (string, bool) { return "x := 1\ny := totl + x", name == "cell 2" }

func ExampleCompile() {
	r := report.Compile(source, []report.Diagnostic{{
		Pos:  token.Position{Filename: "cell 2", Line: 2, Column: 6},
		Msg:  "undefined: totl",
		Hint: "did you mean total?",
	}})
	fmt.Println(report.Plain(r.Traceback))
	// Output:
	// cell 2, line 2: undefined: totl
	//   2 │ y := totl + x
	//     │      ^^^^
	//   hint: did you mean total?
}

func ExampleRender() {
	r := report.Render(source, report.Panic{
		Value:  errors.New("no such file"),
		Frames: []report.Frame{{Func: "load", Pos: token.Position{Filename: "cell 2", Line: 1, Column: 1}}},
	})
	fmt.Println(report.Plain(r.Traceback))
	// Output:
	// panic: no such file  (*errors.errorString)
	//
	// cell 2, line 1, in load
	//   1 │ x := 1
	//     │ ^
}
