package format

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"loris/internal/ir"
)

// Entry describes an array of a file.
type Entry struct {
	Name  string
	Type  string   // the file's own name of the element type: "BF16", "Q4_K", "<f4"
	DType ir.DType // what it is read as
	Shape ir.Shape
	Bytes int64 // in the file
}

// Inspect reads what Open would, but for the data: names, types and shapes, sorted by
// name, and the metadata. It reads npy too.
func Inspect(path string) ([]Entry, map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		if path, err = weightsIn(path); err != nil {
			return nil, nil, err
		}
	}
	if strings.HasSuffix(path, ".json") {
		return inspectIndex(path)
	}
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, nil, err
	}
	if unmap != nil {
		defer unmap()
	}
	entries, metadata, err := inspect(data)
	if err != nil {
		return nil, nil, located(path, err)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name < entries[j].Name })
	return entries, metadata, nil
}

func inspect(data []byte) (entries []Entry, metadata map[string]string, err error) {
	switch {
	case bytes.HasPrefix(data, []byte("GGUF")):
		infos, metadata, start, err := ggufHeader(data)
		if err != nil {
			return nil, nil, err
		}
		for _, t := range infos {
			b, err := t.bytes(data, start)
			if err != nil {
				return nil, nil, problem("tensor %q: %s", t.name, err.Msg)
			}
			entries = append(entries, Entry{t.name, t.kind.name, t.dtype(), t.shape, int64(len(b))})
		}
		return entries, metadata, nil
	case bytes.HasPrefix(data, []byte("PK\x03\x04")), bytes.HasPrefix(data, []byte("PK\x05\x06")):
		entries, err = inspectNPZ(data)
		return entries, nil, err
	case bytes.HasPrefix(data, []byte(npyMagic)):
		e, err := inspectNPY("", data)
		return []Entry{e}, nil, err
	case isPickle(data):
		return nil, nil, pickleError()
	}
	headers, metadata, _, err := safetensorsHeader(data)
	if err != nil {
		return nil, nil, err
	}
	for name, e := range headers {
		entries = append(entries, Entry{name, e.DType, safetensorTypes[e.DType].dtype, e.Shape, int64(e.Offsets[1] - e.Offsets[0])})
	}
	return entries, metadata, nil
}

func inspectNPY(name string, data []byte) (Entry, error) {
	h, _, err := npyHead(data)
	if err != nil {
		return Entry{}, err
	}
	s, _, size, err := h.layout()
	if err != nil {
		return Entry{}, err
	}
	return Entry{name, h.descr, s.dtype, h.shape, int64(size)}, nil
}

// longestNPYHeader is what is unpacked of a member of an archive to find its header.
const longestNPYHeader = 64 << 10

func inspectNPZ(data []byte) ([]Entry, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, problem("damaged zip archive: %v", err)
	}
	var entries []Entry
	for _, m := range z.File {
		name, isArray := strings.CutSuffix(m.Name, ".npy")
		if !isArray {
			if strings.HasSuffix(m.Name, ".pkl") {
				return nil, pickleError()
			}
			return nil, problem("member %q is no .npy file", m.Name)
		}
		r, err := m.Open()
		if err != nil {
			return nil, problem("member %q: %v", m.Name, err)
		}
		head, err := io.ReadAll(io.LimitReader(r, longestNPYHeader))
		r.Close()
		if err != nil {
			return nil, problem("member %q: %v", m.Name, err)
		}
		e, err := inspectNPY(name, head)
		if err != nil {
			return nil, problem("member %q: %v", m.Name, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// inspectIndex describes the tensors that an index of shards names.
func inspectIndex(path string) ([]Entry, map[string]string, error) {
	shards, err := readIndex(path)
	if err != nil {
		return nil, nil, err
	}
	read := map[string]map[string]Entry{}
	metadata := map[string]string{}
	var out []Entry
	for name, file := range shards {
		shard := read[file]
		if shard == nil {
			entries, m, err := Inspect(filepath.Join(filepath.Dir(path), file))
			if err != nil {
				return nil, nil, err
			}
			shard = make(map[string]Entry, len(entries))
			for _, e := range entries {
				shard[e.Name] = e
			}
			for k, v := range m {
				metadata[k] = v
			}
			read[file] = shard
		}
		e, ok := shard[name]
		if !ok {
			return nil, nil, problem("%s: shard %s has no tensor %q", path, file, name)
		}
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, metadata, nil
}
