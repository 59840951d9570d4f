//go:build darwin || softmetal

package conformance

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"loris/metal/mtl"
	"loris/metal/objc"
	"loris/metal/softmetal"
)

func TestMain(m *testing.M) {
	if runtime.GOOS != "darwin" {
		if err := softmetal.Setup(); err != nil {
			fmt.Println("skipping the kernel tests:", err)
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func TestKernelsGiveTheNumbersOfFloat64(t *testing.T) {
	d, err := mtl.Open(mtl.Options{NoSlabs: true})
	if err != nil {
		t.Skip(err)
	}
	defer d.Close()
	orders := []uintptr{0}
	setOrder := func(uintptr) {}
	if runtime.GOOS != "darwin" {
		orders = []uintptr{0, 1, 2}
		set := objc.Function("softmetal_set_order")
		setOrder = func(n uintptr) { objc.Call(set, n) }
	}
	for _, c := range Cases() {
		t.Run(c.String(), func(t *testing.T) {
			for _, order := range orders {
				setOrder(order)
				after, err := Run(d, c)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Check(after); err != nil {
					t.Fatalf("lane order %d: %v", order, err)
				}
				if !c.Small {
					break
				}
			}
		})
	}
}
