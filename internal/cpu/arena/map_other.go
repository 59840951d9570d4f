//go:build !unix

package arena

import "unsafe"

const pageSize = 4096

// mapMemory uses the Go heap where there is no mmap; the live map keeps it from the collector.
func mapMemory(n int) ([]byte, error) {
	m := make([]byte, n+Align)
	head := int(-uintptr(unsafe.Pointer(&m[0])) & (Align - 1))
	m = m[head:][:n]
	live[unsafe.Pointer(&m[0])] = m
	return m, nil
}

var live = map[unsafe.Pointer][]byte{}

func unmapMemory(m []byte) { delete(live, unsafe.Pointer(&m[0])) }
