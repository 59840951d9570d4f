//go:build softmetal

package objc_test

import (
	"fmt"
	"os"
	"testing"

	"loris/metal/objc"
	"loris/metal/softmetal"
)

var (
	mix     = objc.Declare("SoftmetalABIProbe", "mix:with:and:", "Q{MTLSize=QQQ}{MTLSize=QQQ}Q")
	maximum = objc.Declare("MTLDevice", "maxThreadsPerThreadgroup", "{MTLSize=QQQ}")
)

func TestMain(m *testing.M) {
	if err := softmetal.Setup(); err != nil {
		fmt.Println("skipping the tests of metal/objc:", err)
		os.Exit(0)
	}
	if err := objc.Load(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestStructsGoByValueAndComeBack(t *testing.T) {
	probe := objc.NewObject("SoftmetalABIProbe")
	defer probe.Release()
	var s objc.Sender
	s.Dispatch(mix, probe, &objc.Size{Width: 1, Height: 2, Depth: 3}, &objc.Size{Width: 4, Height: 5, Depth: 6})
	if got := s.Value() % 1000000; got != 654321 {
		t.Errorf("two sizes by value arrived as %d, want 654321", got)
	}
	device := objc.ID(objc.Call(objc.Function("MTLCreateSystemDefaultDevice")))
	defer device.Release()
	if got := maximum.Size(device); got != (objc.Size{Width: 1024, Height: 1024, Depth: 1024}) {
		t.Errorf("a size came back as %+v", got)
	}
}

func TestStringsRoundTrip(t *testing.T) {
	objc.Pool(func() {
		for _, s := range []string{"", "plain", "naïve ☃ 漢"} {
			if got := objc.GoString(objc.String(s)); got != s {
				t.Errorf("%q came back as %q", s, got)
			}
		}
	})
}
