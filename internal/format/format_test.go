package format

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loris/internal/ir"
)

// values decodes an array to float64.
func values(a *Array) []float64 {
	out := make([]float64, a.Shape.Size())
	for i := range out {
		switch a.DType {
		case ir.F64:
			out[i] = math.Float64frombits(le.Uint64(a.Data[8*i:]))
		case ir.F32:
			out[i] = float64(math.Float32frombits(le.Uint32(a.Data[4*i:])))
		case ir.F16:
			out[i] = float64(ir.F16ToF32(le.Uint16(a.Data[2*i:])))
		case ir.BF16:
			out[i] = float64(ir.BF16ToF32(le.Uint16(a.Data[2*i:])))
		case ir.I32:
			out[i] = float64(int32(le.Uint32(a.Data[4*i:])))
		case ir.I64:
			out[i] = float64(int64(le.Uint64(a.Data[8*i:])))
		case ir.Q8, ir.Q4:
			out[i] = quantisedValue(a, i)
		default:
			out[i] = float64(a.Data[i])
		}
	}
	return out
}

// quantisedValue reads a value of a packed matrix; see packer.
func quantisedValue(a *Array, i int) float64 {
	n := a.Shape.Size()
	var q float64
	var steps []byte
	if a.DType == ir.Q8 {
		steps = a.Data[n:]
		q = float64(int8(a.Data[i]))
	} else {
		steps = a.Data[n/2:]
		q = float64(a.Data[i/32*16+i%16]>>(i%32/16*4)&15) - 8
	}
	at := func(b []byte, k int) float64 { return float64(math.Float32frombits(le.Uint32(b[4*k:]))) }
	return at(steps[n/32*4:], i/32) + at(steps, i/32)*q
}

// Files written by NumPy, safetensors and gguf read as these libraries say.
func TestFilesOfOthersAreRead(t *testing.T) {
	text, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]map[string]struct {
		Shape  []int
		Values []float64
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	for file, arrays := range expected {
		f, err := Open(filepath.Join("testdata", file))
		if err != nil {
			t.Error(err)
			continue
		}
		if len(f.Arrays) != len(arrays) {
			t.Errorf("%s: arrays %v", file, f.Names())
		}
		for name, want := range arrays {
			a := f.Arrays[name]
			if a == nil || !a.Shape.Equal(want.Shape) {
				t.Errorf("%s: %s: %v, want shape %v", file, name, a, want.Shape)
				continue
			}
			for i, v := range values(a) {
				// Of Q4_K the low and the step are rounded apart.
				if math.Abs(v-want.Values[i]) > 1e-6*math.Abs(want.Values[i])+map[ir.DType]float64{ir.Q4: 1e-6}[a.DType] {
					t.Errorf("%s: %s: element %d is %v, want %v", file, name, i, v, want.Values[i])
					break
				}
			}
		}
		if file == "ggml.gguf" && (f.Metadata["answer"] != "42" || f.Metadata["text"] != "grüße" || f.Metadata["list"] != "[1 2 3]") {
			t.Errorf("metadata %v", f.Metadata)
		}
		if file == "official.safetensors" && f.Metadata["format"] != "pt" {
			t.Errorf("metadata %v", f.Metadata)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func sample() map[string]*Array {
	return map[string]*Array{
		"b":     {DType: ir.F32, Shape: ir.Shape{2, 2}, Data: bytes.Repeat([]byte{0, 0, 128, 63}, 4)},
		"a":     {DType: ir.Bool, Shape: ir.Shape{3}, Data: []byte{1, 0, 1}},
		"é \"x": {DType: ir.F16, Shape: ir.Shape{}, Data: []byte{0, 60}},
		"none":  {DType: ir.I64, Shape: ir.Shape{0, 4}},
	}
}

func TestWrittenFilesReadBack(t *testing.T) {
	dir := t.TempDir()
	for path, write := range map[string]func(string) error{
		filepath.Join(dir, "x.safetensors"): func(p string) error {
			return WriteSafetensors(p, sample(), map[string]string{"k": "v"})
		},
		filepath.Join(dir, "x.npz"): func(p string) error { return WriteNPZ(p, sample()) },
	} {
		if err := write(path); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range sample() {
			got := f.Arrays[name]
			if got == nil || got.DType != want.DType || !got.Shape.Equal(want.Shape) || !bytes.Equal(got.Data, want.Data) {
				t.Errorf("%s: %q: %v, want %v", path, name, got, want)
			}
		}
		f.Close()
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// safetensorsOf builds a file from a header.
func safetensorsOf(header string, body int) []byte {
	b := le.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, body)...)
}

func TestSafetensorsHeadersAreChecked(t *testing.T) {
	for _, c := range []struct {
		what, header string
		body         int
		want         string // part of the error, empty if it is fine
	}{
		{"null metadata", `{"__metadata__":null,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4, ""},
		{"data in another order, unaligned", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}, "b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 5, ""},
		{"empty", `{}`, 0, ""},
		{"spaces", `{}     `, 0, ""},
		{"duplicate", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1, "twice"},
		{"overlap", `{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3, "overlap"},
		{"gap", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2, "gap"},
		{"short", `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 3, "cut off"},
		{"long", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 3, "damaged"},
		{"wrong size", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4, "needs 8 bytes"},
		{"overflow", `{"a":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,0]}}`, 0, "too large"},
		{"negative", `{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4, "negative"},
		{"backwards", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4, "begin and end"},
		{"unknown dtype", `{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}`, 1, "F8_E4M3"},
		{"null entry", `{"a":null}`, 0, "null"},
		{"list", `[]`, 0, "JSON"},
		{"rest", `{} x`, 0, "after the header"},
	} {
		_, _, err := ParseSafetensors(safetensorsOf(c.header, c.body))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	if _, _, err := ParseSafetensors([]byte{255, 255, 255, 255, 255, 255, 255, 127, '{'}); err == nil {
		t.Error("a header of 2^63 bytes was read")
	}
}

func TestShardsAreReadThroughTheirIndex(t *testing.T) {
	dir := t.TempDir()
	s := sample()
	for file, names := range map[string][]string{"m-1.safetensors": {"a", "b"}, "m-2.safetensors": {"none"}} {
		part := map[string]*Array{}
		for _, n := range names {
			part[n] = s[n]
		}
		if err := WriteSafetensors(filepath.Join(dir, file), part, nil); err != nil {
			t.Fatal(err)
		}
	}
	index := filepath.Join(dir, "m.safetensors.index.json")
	write := func(text string) {
		if err := os.WriteFile(index, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"weight_map":{"a":"m-1.safetensors","b":"m-1.safetensors","none":"m-2.safetensors"}}`)
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.Names(), " "); got != "a b none" {
		t.Error(got)
	}
	f.Close()
	entries, _, err := Inspect(dir)
	if err != nil || len(entries) != 3 || entries[1].Name != "b" || !entries[1].Shape.Equal(ir.Shape{2, 2}) {
		t.Errorf("%+v %v", entries, err)
	}
	for text, want := range map[string]string{
		`{"weight_map":{"x":"m-1.safetensors"}}`:          `no tensor "x"`,
		`{"weight_map":{"x":"../../etc/passwd"}}`:         "no file name",
		`{"weight_map":{"x":"missing.safetensors"}}`:      "no such file",
		`{"weight_map":{"x":"m.safetensors.index.json"}}`: "no file name",
		`{}`: "weight_map",
	} {
		write(text)
		if _, err := Open(index); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if _, _, err := Inspect(index); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("inspecting %s: %v, want %q", text, err, want)
		}
	}
}

func TestPicklesAreRefused(t *testing.T) {
	dir := t.TempDir()
	pickle := filepath.Join(dir, "adapter_model.bin")
	if err := os.WriteFile(pickle, []byte("\x80\x02}q\x00."), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pickle, dir} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "refuses pickles") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := ReadNPY("testdata/object.npy"); err == nil || !strings.Contains(err.Error(), "refuses pickles") {
		t.Error(err)
	}
}

// corpus seeds a fuzzer with the fixtures.
func corpus(f *testing.F, files ...string) {
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// checkArrays holds that whatever was accepted is consistent.
func checkArrays(t *testing.T, arrays map[string]*Array) {
	for name, a := range arrays {
		want := a.Shape.Size() * a.DType.Bytes()
		switch a.DType {
		case ir.Q8:
			want = a.Shape.Size() / 32 * 40
		case ir.Q4:
			want = a.Shape.Size() / 32 * 24
		}
		if want != len(a.Data) {
			t.Fatalf("%q: %s%v in %d bytes", name, a.DType, a.Shape, len(a.Data))
		}
	}
}

// checkInspect holds that what was read is described as it is.
func checkInspect(t *testing.T, b []byte, arrays map[string]*Array) {
	entries, _, err := inspect(b)
	if err != nil || len(entries) != len(arrays) {
		t.Fatalf("%d arrays were read, inspection gives %d: %v", len(arrays), len(entries), err)
	}
	for _, e := range entries {
		if a := arrays[e.Name]; a == nil || a.DType != e.DType || !a.Shape.Equal(e.Shape) || e.Type == "" {
			t.Fatalf("%+v, read as %+v", e, a)
		}
	}
}

func TestInspectionTellsWhatIsRead(t *testing.T) {
	for _, file := range []string{"official.safetensors", "numpy.npz", "numpy_order.npz", "ggml.gguf"} {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		f, err := Open(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		checkInspect(t, b, f.Arrays)
		entries, metadata, err := Inspect(filepath.Join("testdata", file))
		if err != nil || len(metadata) != len(f.Metadata) {
			t.Errorf("%s: metadata %v, %v", file, metadata, err)
		}
		names := map[string]Entry{}
		for _, e := range entries {
			names[e.Name] = e
		}
		switch file {
		case "ggml.gguf":
			if e := names["Q4_K"]; e.Type != "Q4_K" || e.DType != ir.Q4 || e.Bytes != 2*144 {
				t.Errorf("%+v", e)
			}
		case "numpy.npz":
			if e := names["i2"]; e.Type != "<i2" || e.DType != ir.I32 || e.Bytes != 24 {
				t.Errorf("%+v", e)
			}
		}
		f.Close()
	}
	if _, _, err := Inspect("testdata/object.npy"); err == nil || !strings.Contains(err.Error(), "refuses pickles") {
		t.Error(err)
	}
	if entries, _, err := Inspect("testdata"); err != nil || len(entries) == 0 {
		t.Errorf("a directory with one safetensors file: %v", err)
	}
}

func FuzzSafetensors(f *testing.F) {
	corpus(f, "official.safetensors")
	f.Add(safetensorsOf(`{"__metadata__":null,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		if arrays, _, err := ParseSafetensors(b); err == nil {
			checkArrays(t, arrays)
			if !bytes.HasPrefix(b, []byte("GGUF")) && !bytes.HasPrefix(b, []byte("PK")) && !isPickle(b) {
				checkInspect(t, b, arrays)
			}
		}
	})
}

func FuzzNPY(f *testing.F) {
	corpus(f, "object.npy")
	var b bytes.Buffer
	if err := EncodeNPY(&b, sample()["b"]); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := ParseNPY(b); err == nil {
			checkArrays(t, map[string]*Array{"": a})
			checkInspect(t, b, map[string]*Array{"": a})
		}
	})
}

func FuzzNPZ(f *testing.F) {
	corpus(f, "numpy.npz", "numpy_order.npz")
	f.Fuzz(func(t *testing.T, b []byte) {
		if arrays, err := ParseNPZ(b); err == nil {
			checkArrays(t, arrays)
			if bytes.HasPrefix(b, []byte("PK\x03\x04")) {
				checkInspect(t, b, arrays)
			}
		}
	})
}

func FuzzGGUF(f *testing.F) {
	corpus(f, "ggml.gguf")
	f.Fuzz(func(t *testing.T, b []byte) {
		if arrays, _, err := ParseGGUF(b); err == nil {
			checkArrays(t, arrays)
			checkInspect(t, b, arrays)
		}
	})
}
