package arena

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

var pageSize = unix.Getpagesize()

const hugePage = 2 << 20

// mapMemory maps n bytes; from one huge page on, aligned to it and advised as huge.
// A refusal of the advice costs only speed.
func mapMemory(n int) ([]byte, error) {
	if n < hugePage {
		return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	}
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(n+hugePage), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	head := int(-uintptr(p) & (hugePage - 1))
	if head > 0 {
		unix.MunmapPtr(p, uintptr(head))
	}
	p = unsafe.Add(p, head)
	if tail := hugePage - head; tail > 0 {
		unix.MunmapPtr(unsafe.Add(p, n), uintptr(tail))
	}
	m := unsafe.Slice((*byte)(p), n)
	_ = unix.Madvise(m, unix.MADV_HUGEPAGE)
	return m, nil
}

func unmapMemory(m []byte) {
	unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(m)), uintptr(len(m)))
}
