package nearest_test

import (
	"fmt"

	"loris/interp/symbols/nearest"
)

func ExampleNames() {
	fmt.Println(nearest.Names("Softmx", []string{"Softmax", "Softplus", "Sigmoid"}))
	// Output: [Softmax]
}
