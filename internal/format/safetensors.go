package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"loris/internal/ir"
)

// safetensors: 8 bytes length of the header, a JSON header that maps names to
// {dtype, shape, data_offsets}, then the data. Real files have null metadata,
// data in any order, and headers that leave the data unaligned.

const longestHeader = 100 << 20

var safetensorTypes = map[string]source{
	"F64": plain(ir.F64), "F32": plain(ir.F32), "F16": plain(ir.F16), "BF16": plain(ir.BF16),
	"I64": plain(ir.I64), "I32": plain(ir.I32), "U8": plain(ir.U8), "BOOL": fromBool,
	"I16": fromI16, "I8": fromI8, "U16": fromU16, "U32": fromU32, "U64": fromU64,
}

type safetensorEntry struct {
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets []int  `json:"data_offsets"`
}

// safetensorsHeader reads and checks the header of a whole file; body is the rest.
func safetensorsHeader(data []byte) (entries map[string]*safetensorEntry, metadata map[string]string, body []byte, err error) {
	if len(data) < 8 {
		return nil, nil, nil, problem("%d bytes are too few for a safetensors file", len(data))
	}
	length := le.Uint64(data)
	if length > longestHeader || length > uint64(len(data)-8) {
		return nil, nil, nil, &ir.Error{Code: ir.CodeFormat, Msg: fmt.Sprintf("not a safetensors file: its header would be %d bytes long, and the file has %d", length, len(data)),
			Hint: "safetensors, npz and GGUF can be read"}
	}
	if entries, metadata, err = parseHeader(data[8 : 8+length]); err != nil {
		return nil, nil, nil, err
	}
	body = data[8+length:]
	return entries, metadata, body, checkCoverage(entries, len(body))
}

// ParseSafetensors reads a whole file. The arrays point into data.
func ParseSafetensors(data []byte) (map[string]*Array, map[string]string, error) {
	entries, metadata, body, err := safetensorsHeader(data)
	if err != nil {
		return nil, nil, err
	}
	arrays := make(map[string]*Array, len(entries))
	for name, e := range entries {
		a, err := safetensorTypes[e.DType].array(e.Shape, body[e.Offsets[0]:e.Offsets[1]:e.Offsets[1]])
		if err != nil {
			return nil, nil, problem("tensor %q: %v", name, err)
		}
		arrays[name] = a
	}
	return arrays, metadata, nil
}

// parseHeader decodes the header key by key: encoding/json would let the last
// of two equal names win.
func parseHeader(header []byte) (map[string]*safetensorEntry, map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(header))
	bad := func(err error) error { return problem("the header is no valid JSON object: %v", err) }
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, bad(fmt.Errorf("it begins with %v", t))
	}
	entries, metadata := map[string]*safetensorEntry{}, map[string]string{}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, nil, bad(err)
		}
		name, ok := t.(string)
		if !ok {
			return nil, nil, bad(fmt.Errorf("a key is %v", t))
		}
		if seen[name] {
			return nil, nil, problem("tensor %q stands twice in the header", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := d.Decode(&metadata); err != nil {
				return nil, nil, problem("the metadata is no map of strings: %v", err)
			}
			continue
		}
		var e *safetensorEntry
		if err := d.Decode(&e); err != nil {
			return nil, nil, problem("tensor %q: %v", name, err)
		}
		if err := e.check(); err != nil {
			return nil, nil, problem("tensor %q: %s", name, err.Msg)
		}
		entries[name] = e
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, bad(err)
	}
	if rest, err := io.ReadAll(io.MultiReader(d.Buffered(), bytes.NewReader(nil))); err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, nil, problem("there is something after the header's JSON object")
	}
	return entries, metadata, nil
}

func (e *safetensorEntry) check() *ir.Error {
	if e == nil {
		return problem("the entry is null")
	}
	s, ok := safetensorTypes[e.DType]
	if !ok {
		return problem("dtype %q cannot be read", e.DType)
	}
	_, size, err := sizeOf(e.Shape, s.bytes)
	if err != nil {
		return err
	}
	if len(e.Offsets) != 2 || e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] {
		return problem("data_offsets %v are not begin and end", e.Offsets)
	}
	if have := e.Offsets[1] - e.Offsets[0]; have != size {
		return problem("%s%v needs %d bytes, data_offsets %v hold %d", e.DType, ir.Shape(e.Shape), size, e.Offsets, have)
	}
	return nil
}

// checkCoverage makes sure that the tensors fill the data, without gap or overlap.
func checkCoverage(entries map[string]*safetensorEntry, size int) error {
	names := make([]string, 0, len(entries))
	for n := range entries {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := entries[names[i]].Offsets, entries[names[j]].Offsets
		if a[0] != b[0] {
			return a[0] < b[0]
		}
		return a[1] < b[1]
	})
	end := 0
	for _, n := range names {
		o := entries[n].Offsets
		if o[0] != end {
			return problem("tensor %q begins at byte %d of the data; %d was expected: the tensors overlap or leave a gap", n, o[0], end)
		}
		end = o[1]
	}
	if end != size {
		return problem("the tensors end at byte %d of the data, which has %d: the file is damaged or cut off", end, size)
	}
	return nil
}

// readIndex reads a model.safetensors.index.json: the shard of each tensor.
func readIndex(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var index struct {
		Shards map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, problem("%s: %v", path, err)
	}
	if len(index.Shards) == 0 {
		return nil, problem("%s: there is no weight_map: this is no index of shards", path)
	}
	for _, shard := range index.Shards {
		if shard == "" || filepath.Base(shard) != shard || strings.HasSuffix(shard, ".json") {
			return nil, problem("%s: shard %q is no file name beside the index", path, shard)
		}
	}
	return index.Shards, nil
}

// openIndex opens the shards that an index names.
func openIndex(path string) (*File, error) {
	index, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	shards := map[string]*File{}
	out := &File{Arrays: map[string]*Array{}, Metadata: map[string]string{}}
	for name, shard := range index {
		f := shards[shard]
		if f == nil {
			if f, err = Open(filepath.Join(filepath.Dir(path), shard)); err != nil {
				out.Close()
				return nil, err
			}
			shards[shard] = f
			out.close = append(out.close, f.Close)
			for k, v := range f.Metadata {
				out.Metadata[k] = v
			}
		}
		a := f.Arrays[name]
		if a == nil {
			out.Close()
			return nil, problem("%s: shard %s has no tensor %q", path, shard, name)
		}
		out.Arrays[name] = a
	}
	return out, nil
}

// WriteSafetensors writes a file, in one step as seen from outside. The header
// is padded so that the data is aligned to 64 bytes, the wider dtypes first.
func WriteSafetensors(path string, arrays map[string]*Array, metadata map[string]string) error {
	names := make([]string, 0, len(arrays))
	for n := range arrays {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := arrays[names[i]].DType.Bytes(), arrays[names[j]].DType.Bytes()
		if a != b {
			return a > b
		}
		return names[i] < names[j]
	})
	var header bytes.Buffer
	header.WriteByte('{')
	if len(metadata) > 0 {
		m, err := json.Marshal(metadata)
		if err != nil {
			return err
		}
		fmt.Fprintf(&header, `"__metadata__":%s`, m)
	}
	offset := 0
	for _, n := range names {
		a := arrays[n]
		t := typeName(a.DType)
		if t == "" {
			return problem("tensor %q: %s cannot be written; dequantise it first", n, a.DType)
		}
		if n == "__metadata__" {
			return problem("a tensor cannot be named %q", n)
		}
		entry := safetensorEntry{DType: t, Shape: append([]int{}, a.Shape...), Offsets: []int{offset, offset + len(a.Data)}}
		if err := entry.check(); err != nil {
			return problem("tensor %q: %s", n, err.Msg)
		}
		key, err := json.Marshal(n)
		if err != nil {
			return err
		}
		value, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		if header.Len() > 1 {
			header.WriteByte(',')
		}
		header.Write(key)
		header.WriteByte(':')
		header.Write(value)
		offset += len(a.Data)
	}
	header.WriteByte('}')
	for (8+header.Len())%64 != 0 { // the data begins on a cache line
		header.WriteByte(' ')
	}
	return writeAtomically(path, func(f *os.File) error {
		if _, err := f.Write(le.AppendUint64(nil, uint64(header.Len()))); err != nil {
			return err
		}
		if _, err := f.Write(header.Bytes()); err != nil {
			return err
		}
		for _, n := range names {
			if _, err := f.Write(arrays[n].Data); err != nil {
				return err
			}
		}
		return nil
	})
}

// typeName is the name of a dtype in a header.
func typeName(d ir.DType) string {
	for name, s := range safetensorTypes {
		if s.dtype == d && s.bytes == d.Bytes() && (s.convert == nil || d == ir.Bool) {
			return name
		}
	}
	return ""
}
