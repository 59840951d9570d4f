package generic_test

import (
	"fmt"
	"reflect"

	"loris/interp/symbols/generic"
)

func ExampleFunc() {
	type celsius float64
	targs := []generic.TypeArg{{Rep: reflect.TypeFor[[]celsius]()}, {Rep: reflect.TypeFor[celsius]()}}
	sort, err := generic.Func("slices", "Sort", targs, reflect.TypeFor[func([]celsius)]())
	if err != nil {
		fmt.Println(err)
		return
	}
	days := []celsius{21.5, -3, 12}
	sort.Interface().(func([]celsius))(days)
	fmt.Println(days)
	// Output: [-3 12 21.5]
}
