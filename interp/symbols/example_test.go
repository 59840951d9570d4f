package symbols_test

import (
	"fmt"

	"loris/interp/symbols"
)

func ExampleResolve() {
	for _, member := range []string{"IntN", "Seed", "Prime"} {
		path, _ := symbols.Resolve("rand", member)
		fmt.Println(path)
	}
	// Output:
	// math/rand/v2
	// math/rand
	// crypto/rand
}

func ExamplePackage() {
	m, err := symbols.Package("strings")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m["ToUpper"].Type())
	// Output: func(string) string
}

func ExampleDoc() {
	fmt.Println(symbols.Doc("errors", "New"))
	// Output:
	// New returns an error that formats as the given text.
	// Each call to New returns a distinct error value even if the text is identical.
}
