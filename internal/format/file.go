package format

import (
	"bytes"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"unsafe"

	"loris/internal/ir"
)

// File is an open file of named arrays.
type File struct {
	Arrays   map[string]*Array
	Metadata map[string]string
	close    []func() error
}

// Close gives the memory of the arrays back.
func (f *File) Close() error {
	var first error
	for _, c := range f.close {
		if err := c(); err != nil && first == nil {
			first = err
		}
	}
	f.close = nil
	return first
}

// Names returns the names of the arrays, sorted.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.Arrays))
	for n := range f.Arrays {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Open reads safetensors (a file, an index of shards, or a directory that
// holds one), npz or GGUF; which one, the bytes tell.
func Open(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if path, err = weightsIn(path); err != nil {
			return nil, err
		}
	}
	if strings.HasSuffix(path, ".json") {
		return openIndex(path)
	}
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{}
	if unmap != nil {
		f.close = append(f.close, unmap)
	}
	if err := f.parse(data); err != nil {
		f.Close()
		return nil, located(path, err)
	}
	if unmap != nil {
		for _, a := range f.Arrays {
			a.Mapped = within(a.Data, data)
		}
	}
	return f, nil
}

// within reports whether part is a piece of all.
func within(part, all []byte) bool {
	if len(part) == 0 || len(all) == 0 {
		return false
	}
	first, from := uintptr(unsafe.Pointer(&part[0])), uintptr(unsafe.Pointer(&all[0]))
	return first >= from && first-from < uintptr(len(all))
}

func (f *File) parse(data []byte) (err error) {
	switch {
	case bytes.HasPrefix(data, []byte("GGUF")):
		f.Arrays, f.Metadata, err = ParseGGUF(data)
	case bytes.HasPrefix(data, []byte("PK\x03\x04")), bytes.HasPrefix(data, []byte("PK\x05\x06")):
		f.Arrays, err = ParseNPZ(data)
	case bytes.HasPrefix(data, []byte(npyMagic)):
		return &ir.Error{Code: ir.CodeFormat, Msg: "this is a single array, not a file of named ones", Hint: "lt.LoadNPY reads it"}
	case isPickle(data):
		return pickleError()
	default:
		f.Arrays, f.Metadata, err = ParseSafetensors(data)
	}
	return err
}

// isPickle reports whether data begins as Python's pickle of protocol 2 or later.
func isPickle(data []byte) bool {
	return len(data) > 1 && data[0] == 0x80 && data[1] >= 2 && data[1] <= 5
}

func pickleError() *ir.Error {
	return &ir.Error{Code: ir.CodeFormat, Msg: "this is a Python pickle, which runs code of its author when it is read; Loris refuses pickles",
		Hint: "in Python: safetensors.torch.save_file(torch.load(path, weights_only=True), \"model.safetensors\")"}
}

// located adds the path to an error of this package.
func located(path string, err error) error {
	if e, ok := err.(*ir.Error); ok {
		c := *e
		c.Msg = path + ": " + c.Msg
		return &c
	}
	return err
}

// weightsIn looks for the weights in a model's directory.
func weightsIn(dir string) (path string, err error) {
	for _, pattern := range []string{"*.safetensors.index.json", "*.safetensors", "*.gguf", "*.npz"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			return "", problem("%s holds several files: %s; name one of them", dir, strings.Join(found, ", "))
		}
	}
	for _, pattern := range []string{"*.bin", "*.pt", "*.pth", "*.pkl"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return "", located(found[0], pickleError())
		}
	}
	return "", problem("%s holds no .safetensors, .gguf or .npz file", dir)
}

// writeAtomically writes a file under another name first, so that a reader
// never sees half of it, and a failure leaves the old one.
func writeAtomically(path string, write func(f *os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
