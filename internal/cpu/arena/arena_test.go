package arena

import (
	"errors"
	"sync"
	"testing"
	"unsafe"
)

func TestClasses(t *testing.T) {
	last := -1
	for n := 1; n < 5<<20; n += 61 {
		i, size := classOf(n)
		if size < n || (n > 256 && size*4 > n*5+4*Align) {
			t.Fatalf("classOf(%d): size %d", n, size)
		}
		if sizeOfClass(i) != size {
			t.Fatalf("class %d: %d, want %d", i, sizeOfClass(i), size)
		}
		if i < last {
			t.Fatalf("classOf(%d) = %d below %d", n, i, last)
		}
		last = i
	}
}

func TestAllocFree(t *testing.T) {
	const step = Align // blocks differ by whole multiples of it
	var a Arena
	seen := map[unsafe.Pointer]bool{}
	var blocks []Block
	for i := range 400 {
		b, err := a.Alloc(1 + i*i*17)
		if err != nil {
			t.Fatal(err)
		}
		if uintptr(b.Pointer())%Align != 0 || seen[b.Pointer()] {
			t.Fatalf("block %d at %p", i, b.Pointer())
		}
		seen[b.Pointer()] = true
		for j := 0; j < b.Size(); j += step {
			b.Bytes()[j] = byte(i)
		}
		b.Bytes()[b.Size()-1] = byte(i)
		blocks = append(blocks, b)
	}
	for i, b := range blocks {
		for j := 0; j < b.Size(); j += step {
			if b.Bytes()[j] != byte(i) {
				t.Fatalf("block %d was overwritten", i)
			}
		}
		if b.Bytes()[b.Size()-1] != byte(i) {
			t.Fatalf("the end of block %d was overwritten", i)
		}
		a.Free(b)
	}
	s := a.Stats()
	if s.Active != 0 || s.Blocks != 0 || s.Peak == 0 || s.Cached == 0 {
		t.Errorf("after free: %+v", s)
	}
	a.Trim()
	if c := a.Stats().Cached; c < 0 || c >= s.Cached {
		t.Errorf("after trim: %d cached, was %d", c, s.Cached)
	}
}

func TestReuseAllocatesNothing(t *testing.T) {
	var a Arena
	b, _ := a.Alloc(3 << 20)
	p := b.Pointer()
	a.Free(b)
	if n := testing.AllocsPerRun(100, func() {
		b, _ := a.Alloc(3<<20 - 5)
		if b.Pointer() != p {
			t.Fatal("not reused")
		}
		a.Free(b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLimit(t *testing.T) {
	var a Arena
	a.SetLimit(1 << 20)
	b, err := a.Alloc(1 << 19)
	if err != nil {
		t.Fatal(err)
	}
	var le *LimitError
	if _, err := a.Alloc(1 << 20); !errors.As(err, &le) || le.Limit != 1<<20 {
		t.Errorf("error %v", err)
	}
	a.Free(b)
	if _, err := a.Alloc(1 << 20); err != nil {
		t.Error(err)
	}
	if _, err := a.Alloc(-1); err == nil {
		t.Error("negative size accepted")
	}
	if b, err := a.Alloc(0); err != nil || b.Pointer() != nil {
		t.Error("empty block", b, err)
	}
	a.Free(Block{})
}

func TestConcurrent(t *testing.T) {
	var a Arena
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				b, err := a.Alloc(64 + i*997%100000)
				if err != nil {
					t.Error(err)
					return
				}
				b.Bytes()[0] = byte(g)
				if b.Bytes()[0] != byte(g) {
					t.Error("shared block")
				}
				a.Free(b)
			}
		})
	}
	wg.Wait()
	if s := a.Stats(); s.Active != 0 {
		t.Errorf("%+v", s)
	}
}
