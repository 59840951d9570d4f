package bench_test

import (
	"fmt"

	"loris/tensorlib/bench"
)

func ExampleBootstrapRatio() {
	eager := []float64{131, 133, 130, 135, 132, 131, 134, 132}
	lazy := []float64{120, 121, 119, 122, 120, 121, 123, 120}
	ratio, ci := bench.BootstrapRatio(eager, lazy, 0.95, 4000, 1)
	fmt.Printf("%.2f, between %.2f and %.2f; no difference: %v\n", ratio, ci.Low, ci.High, ci.Holds(1))
	// Output: 1.10, between 1.09 and 1.10; no difference: false
}

func ExampleMAD() {
	fmt.Println(bench.Median([]float64{10, 11, 12, 90}), bench.MAD([]float64{10, 11, 12, 90}))
	// Output: 11.5 1
}
