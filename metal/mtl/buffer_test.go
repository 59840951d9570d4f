//go:build darwin || softmetal

package mtl

import (
	"errors"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestSmallBuffersShareASlab(t *testing.T) {
	d := open(t, Options{})
	var all []*Buffer
	seen := map[unsafe.Pointer]bool{}
	for range 100 {
		b, err := d.NewBuffer(300)
		if err != nil {
			t.Fatal(err)
		}
		if seen[b.data] || b.ID() != all0(all, b).ID() {
			t.Fatal("pieces overlap, or 100 small buffers took two slabs")
		}
		seen[b.data] = true
		all = append(all, b)
	}
	if s := d.MemoryStats(); s.Active != 100*512 {
		t.Errorf("active %d, want %d", s.Active, 100*512)
	}
	for _, b := range all {
		b.Free()
	}
	if s := d.MemoryStats(); s.Active != 0 || s.Peak != 100*512 {
		t.Errorf("after freeing: %+v", s)
	}
}

func all0(all []*Buffer, b *Buffer) *Buffer {
	if len(all) > 0 {
		return all[0]
	}
	return b
}

func TestFreedBuffersAreRecycledAfterTheirLastUse(t *testing.T) {
	d := open(t, Options{})
	const n = 100000
	a, b, c := floatBuffer(t, d, n), floatBuffer(t, d, n), floatBuffer(t, d, n)
	d.Stream.Begin()
	d.Stream.Dispatch(addDispatch(t, d, a, b, c, n, false))
	ticket := d.Stream.End()
	c.Free()
	other := floatBuffer(t, d, n)
	if other.ID() == c.ID() {
		t.Error("a buffer was recycled while work that writes it is pending")
	}
	if err := d.Stream.Wait(ticket); err != nil {
		t.Fatal(err)
	}
	d.Purge() // collects c, and gives it back
	d.Stream.Flush()
	other.Free()
	again := floatBuffer(t, d, n)
	if again.ID() != other.ID() {
		t.Error("a free buffer of the right size was not used again")
	}
}

func TestMemoryLimitIsAnError(t *testing.T) {
	d := open(t, Options{Limit: 1 << 20})
	first, err := d.NewBuffer(700 << 10)
	if err != nil {
		t.Fatal(err)
	}
	var memory *ErrMemory
	if _, err := d.NewBuffer(700 << 10); !errors.As(err, &memory) || memory.Bytes != 700<<10 {
		t.Errorf("got %v", err)
	}
	first.Free()
	if _, err := d.NewBuffer(700 << 10); err != nil {
		t.Errorf("after freeing: %v", err)
	}
}

func TestBorrowedMemoryIsReleasedOnce(t *testing.T) {
	d := open(t, Options{})
	data, err := unix.Mmap(-1, 0, 4*PageBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(data)
	start := (PageBytes - int(uintptr(unsafe.Pointer(&data[0]))%PageBytes)) % PageBytes
	whole := data[start : start+2*PageBytes]
	released := make(chan bool, 2)
	b, err := d.Borrow(whole, func() { released <- true })
	if err != nil {
		t.Fatal(err)
	}
	n := len(whole) / 4
	one, sum := floatBuffer(t, d, n), floatBuffer(t, d, n)
	for i := range n {
		floats(b)[i], floats(one)[i] = float32(i), 1
	}
	d.Stream.Begin()
	d.Stream.Dispatch(addDispatch(t, d, b, one, sum, n, false))
	if err := d.Stream.Wait(d.Stream.End()); err != nil {
		t.Fatal(err)
	}
	if floats(sum)[n-1] != float32(n) {
		t.Errorf("the GPU read %v", floats(sum)[n-1]-1)
	}
	b.Free()
	if len(released) != 1 {
		t.Errorf("released %d times", len(released))
	}
	if _, err := d.Borrow(whole[4:], nil); err == nil {
		t.Error("memory that does not start at a page was accepted")
	}
}
