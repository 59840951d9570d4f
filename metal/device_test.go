//go:build darwin || softmetal

package metal_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"

	"loris/internal/devicetest"
	"loris/internal/plan"
	"loris/metal"
	"loris/metal/mtl"
	"loris/metal/objc"
	"loris/metal/softmetal"

	_ "loris/internal/cpu"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOOS != "darwin" && os.Getenv("LORIS_METAL_LIBRARY") == "" {
		if err := softmetal.Setup(); err != nil {
			fmt.Println("skipping the tests of the Metal device:", err)
			os.Exit(0)
		}
		plan.Register(metal.New(mtl.Options{}))
	}
	code := m.Run()
	for i := range soft("problem_count") {
		fmt.Println("the software Metal noted:", objc.CString(uintptr(soft("problem", uintptr(i)))))
		code = 1
	}
	os.Exit(code)
}

// soft calls a function of the software Metal; on a real one it gives 0.
func soft(name string, args ...uintptr) int {
	if runtime.GOOS == "darwin" {
		return 0
	}
	if err := objc.Load(); err != nil {
		panic(err)
	}
	return int(objc.Call(objc.Function("softmetal_"+name), args...))
}

var parts = flag.Int("parts", 40, "run one case of so many of the op table; 1 runs all")

// Two halves at once: most of the time goes into compiling kernels, one at a time for each evaluation.
func TestOpsAgreeWithTheirReferences(t *testing.T) {
	t.Run("halves", func(t *testing.T) {
		for half := range 2 {
			t.Run(fmt.Sprint(half), func(t *testing.T) {
				t.Parallel()
				s, err := devicetest.RunPart("metal", half**parts, 2**parts, func(failure string) { t.Error(failure) })
				if err != nil {
					t.Fatal(err)
				}
				t.Log(s)
			})
		}
	})
}
