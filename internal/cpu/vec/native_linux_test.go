package vec

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A file that was cut short under its mapping is a panic of the run, as in assembly.
func TestMachineCodeFaults(t *testing.T) {
	eachNativeLevel(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "data")
		const n = 64 << 10
		if err := os.WriteFile(file, make([]byte, 4*n), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m, err := unix.Mmap(int(f.Fd()), 0, 4*n, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(m)
		if err := os.Truncate(file, 4096); err != nil {
			t.Fatal(err)
		}
		p := chain()
		if err := p.Compile(); err != nil {
			t.Fatal(err)
		}
		k, _ := p.Bind([]int{n}, make([][]int, 3))
		k.cold = 0
		in, out := unsafe.Pointer(&m[0]), ptrOf(make([]float32, n))
		for _, threads := range []int{1, 2} {
			func() {
				defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
				defer func() {
					if v := recover(); v == nil {
						t.Errorf("%d threads: no panic", threads)
					}
				}()
				k.Run(newPool(t, threads), nil, []unsafe.Pointer{in, in, in}, []unsafe.Pointer{out})
			}()
		}
		if k.code == nil {
			t.Error("no machine code")
		}
	})
}
