package tensorlib

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"loris/display"
	"loris/internal/format"
)

// FileInfo tells what is in a file of tensors.
type FileInfo struct {
	Path     string
	Tensors  []TensorInfo // by name
	Metadata map[string]string
}

// TensorInfo is a tensor of a file.
type TensorInfo struct {
	Name  string
	Type  string // in the file: "BF16", "Q4_K", "<f4"
	DType DType  // as Load reads it
	Shape Shape
	Bytes int64 // in the file
}

// Inspect tells what is in a file that Load or LoadNPY reads, without reading the
// data: names, types and shapes, and the metadata that Save wrote.
func Inspect(path string) (*FileInfo, error) {
	entries, metadata, err := format.Inspect(path)
	if err != nil {
		return nil, ioError("Inspect", err)
	}
	info := &FileInfo{Path: path, Metadata: metadata}
	for _, e := range entries {
		t := TensorInfo(e)
		if a := (&format.Array{DType: e.DType, Shape: e.Shape}); quantisedShape(e.Name, a, metadata) {
			t.DType, t.Shape = a.DType, a.Shape
		}
		info.Tensors = append(info.Tensors, t)
	}
	return info, nil
}

// Size returns the number of elements and of bytes of all tensors.
func (f *FileInfo) Size() (elements, bytes int64) {
	for _, t := range f.Tensors {
		elements += int64(t.Shape.Size())
		bytes += t.Bytes
	}
	return elements, bytes
}

func (f *FileInfo) block() *display.Block {
	elements, bytes := f.Size()
	facts := display.Facts{{"file", f.Path}, {"tensors", fmt.Sprint(len(f.Tensors))}, {"elements", fmt.Sprint(elements)}, {"size", display.Bytes(bytes).String()}}
	for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		if !strings.HasPrefix(key, quantisedKey) {
			facts = append(facts, [2]string{key, f.Metadata[key]})
		}
	}
	t := &display.Table{Columns: []display.Column{{Name: "tensor"}, {Name: "type"}, {Name: "read as"}, {Name: "shape"}, {Name: "bytes", Align: display.AlignRight}}}
	for _, x := range f.Tensors {
		t.Add(x.Name, x.Type, x.DType.String(), x.Shape.String(), display.Bytes(x.Bytes))
	}
	return display.Stack("", facts, t)
}

// String lists the tensors.
func (f *FileInfo) String() string { return f.block().Text() }

// MIME shows the tensors as a table.
func (f *FileInfo) MIME() map[string]any { return f.block().MIME() }
