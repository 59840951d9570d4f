// Package archive packs many small texts, each compressed by itself, behind
// one index, so that any of them is read in microseconds.
package archive

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A Kind says what an entry holds.
type Kind byte

const (
	Export Kind = 'e' // export data of a package, as gcexportdata writes it
	Doc    Kind = 'd' // documentation of a package, see EncodeDoc
	Source Kind = 's' // source of the declarations of a package, see EncodeDoc
)

const magic = "loris symbols 1\n"

// Writer collects entries. The zero value is ready to use.
type Writer struct {
	index, body []byte
	Raw         map[Kind]int // bytes before compression
}

// Add appends an entry. If dict is not nil, the reader must give the same.
func (w *Writer) Add(kind Kind, path string, data, dict []byte) {
	if w.Raw == nil {
		w.Raw = map[Kind]int{}
	}
	w.Raw[kind] += len(data)
	var b bytes.Buffer
	z, err := flate.NewWriterDict(&b, flate.BestCompression, dict)
	if err == nil {
		_, err = z.Write(data)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // a bytes.Buffer does not fail
	}
	w.index = append(w.index, byte(kind))
	w.index = binary.AppendUvarint(w.index, uint64(len(path)))
	w.index = append(w.index, path...)
	w.index = binary.AppendUvarint(w.index, uint64(len(data)))
	w.index = binary.AppendUvarint(w.index, uint64(b.Len()))
	w.body = append(w.body, b.Bytes()...)
}

// Bytes is the finished archive.
func (w *Writer) Bytes() []byte {
	out := binary.AppendUvarint([]byte(magic), uint64(len(w.index)))
	return append(append(out, w.index...), w.body...)
}

type entry struct {
	raw    int
	packed string
}

type key struct {
	kind Kind
	path string
}

// Archive reads what Writer wrote. It is safe for concurrent use.
type Archive struct {
	entries map[key]entry
	order   []key
}

var errDamaged = errors.New("archive: damaged index")

// Open reads the index.
func Open(data string) (*Archive, error) {
	if len(data) < len(magic) || data[:len(magic)] != magic {
		return nil, errors.New("archive: not an archive of symbols")
	}
	data = data[len(magic):]
	number := func(s *string) (int, bool) {
		var n uint64
		for i := 0; i < len(*s) && i < 9; i++ {
			n |= uint64((*s)[i]&0x7f) << (7 * i)
			if (*s)[i] < 0x80 {
				*s = (*s)[i+1:]
				return int(n), n < 1<<40
			}
		}
		return 0, false
	}
	n, ok := number(&data)
	if !ok || n > len(data) {
		return nil, errDamaged
	}
	index, body := data[:n], data[n:]
	a := &Archive{entries: map[key]entry{}}
	for index != "" {
		kind := Kind(index[0])
		index = index[1:]
		n, ok := number(&index)
		if !ok || n > len(index) {
			return nil, errDamaged
		}
		path := index[:n]
		index = index[n:]
		raw, ok1 := number(&index)
		packed, ok2 := number(&index)
		if !ok1 || !ok2 || packed > len(body) {
			return nil, errDamaged
		}
		a.entries[key{kind, path}] = entry{raw, body[:packed]}
		body = body[packed:]
		a.order = append(a.order, key{kind, path})
	}
	return a, nil
}

// Paths lists the packages with an entry of a kind, in the order they were
// added.
func (a *Archive) Paths(kind Kind) (paths []string) {
	for _, k := range a.order {
		if k.kind == kind {
			paths = append(paths, k.path)
		}
	}
	return paths
}

// Has reports whether there is such an entry.
func (a *Archive) Has(kind Kind, path string) bool {
	_, ok := a.entries[key{kind, path}]
	return ok
}

// Read unpacks an entry; dict is what it was added with.
func (a *Archive) Read(kind Kind, path string, dict []byte) ([]byte, error) {
	e, ok := a.entries[key{kind, path}]
	if !ok {
		return nil, fmt.Errorf("archive: nothing about package %q", path)
	}
	out := make([]byte, e.raw)
	z := flate.NewReaderDict(&stringReader{e.packed}, dict)
	if _, err := io.ReadFull(z, out); err != nil {
		return nil, fmt.Errorf("archive: package %q: %w", path, err)
	}
	return out, nil
}

// stringReader is an io.ByteReader, which keeps flate from adding a buffer.
type stringReader struct{ s string }

func (r *stringReader) Read(p []byte) (int, error) {
	if r.s == "" {
		return 0, io.EOF
	}
	n := copy(p, r.s)
	r.s = r.s[n:]
	return n, nil
}

func (r *stringReader) ReadByte() (byte, error) {
	if r.s == "" {
		return 0, io.EOF
	}
	c := r.s[0]
	r.s = r.s[1:]
	return c, nil
}
