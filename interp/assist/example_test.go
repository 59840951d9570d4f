package assist_test

import (
	"fmt"

	"loris/interp/assist"
)

func ExampleComplete() {
	code := "strings.Trim"
	c := assist.Complete(assist.View{}, code, len(code))
	for _, i := range c.Items[:3] {
		fmt.Println(i.Text, i.Type, i.Signature)
	}
	// Output:
	// Trim function func(s string, cutset string) string
	// TrimFunc function func(s string, f func(rune) bool) string
	// TrimLeft function func(s string, cutset string) string
}

func ExampleIsComplete() {
	status, indent := assist.IsComplete("for i := range 3 {")
	fmt.Printf("%s %q\n", status, indent)
	status, _ = assist.IsComplete("x := 1")
	fmt.Println(status)
	// Output:
	// incomplete "\t"
	// complete
}
