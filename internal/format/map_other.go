//go:build !unix

package format

import "os"

// mapFile returns the bytes of a file.
func mapFile(path string) (data []byte, unmap func() error, err error) {
	data, err = os.ReadFile(path)
	return data, nil, err
}
