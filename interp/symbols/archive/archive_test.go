package archive

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	base := []byte(strings.Repeat("the base text, which is long enough to help. ", 50))
	other := append(bytes.Clone(base), " and a little more"...)
	var w Writer
	w.Add(Export, "a", base, nil)
	w.Add(Doc, "a", nil, nil)
	w.Add(Export, "b/c", other, base)
	data := w.Bytes()
	a, err := Open(string(data))
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Paths(Export); !slices.Equal(got, []string{"a", "b/c"}) {
		t.Errorf("paths %q", got)
	}
	for _, c := range []struct {
		kind       Kind
		path       string
		dict, want []byte
	}{{Export, "a", nil, base}, {Doc, "a", nil, nil}, {Export, "b/c", base, other}} {
		got, err := a.Read(c.kind, c.path, c.dict)
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%c %s: %v, %d bytes, want %d", c.kind, c.path, err, len(got), len(c.want))
		}
	}
	if _, err := a.Read(Doc, "b/c", nil); err == nil || a.Has(Doc, "b/c") {
		t.Error("read what is not there")
	}
	if len(data) > len(base) {
		t.Errorf("%d bytes for texts of %d and %d", len(data), len(base), len(other))
	}
}

func TestDoc(t *testing.T) {
	want := map[string]string{"": "Package x.", "T": "T is.", "T.M": "M does\n\n\tcode"}
	if got := DecodeDoc(EncodeDoc(want)); !maps.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// Damage is an error, never a panic.
func FuzzOpen(f *testing.F) {
	var w Writer
	w.Add(Export, "a", []byte("text"), nil)
	f.Add(string(w.Bytes()))
	f.Add(magic)
	f.Add(magic + "\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
	f.Fuzz(func(t *testing.T, data string) {
		a, err := Open(data)
		if err != nil {
			return
		}
		for _, p := range a.Paths(Export) {
			if a.entries[key{Export, p}].raw < 1<<20 {
				_, _ = a.Read(Export, p, nil)
			}
		}
		DecodeDoc([]byte(data))
	})
}
