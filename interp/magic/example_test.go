package magic_test

import (
	"fmt"
	"strings"

	"loris/interp/magic"
)

func ExampleParse() {
	steps, err := magic.Parse("%limit mem=4G\nx := load()\n%time train(x)")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range steps {
		if s.Call != nil {
			fmt.Println("magic", s.Call.Name, s.Call.Args)
		} else {
			fmt.Println("code ", strings.TrimSpace(s.Code))
		}
	}
	// Output:
	// magic %limit mem=4G
	// code  x := load()
	// magic %time train(x)
}
