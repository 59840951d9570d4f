package notebook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// WriteFile writes the notebook so that a reader sees the old file or the new
// one, never half; an existing file keeps its permissions, a symbolic link its
// target.
func (nb *Notebook) WriteFile(path string) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	b, err := nb.Bytes()
	if err != nil {
		return fmt.Errorf("notebook %s: %w", path, err)
	}
	return writeAtomic(path, b)
}

func writeAtomic(path string, b []byte) (err error) {
	mode := fs.FileMode(0o644)
	if st, err := os.Stat(path); err == nil {
		mode = st.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".loris-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Bytes returns the notebook as Jupyter writes it: sorted keys, an indent of
// one, text as lists of lines, a newline at the end.
func (nb *Notebook) Bytes() ([]byte, error) {
	root := maps.Clone(nb.extra)
	if root == nil {
		root = map[string]any{}
	}
	cells := make([]any, len(nb.Cells))
	for i, c := range nb.Cells {
		cells[i] = c.fields()
	}
	root["cells"] = cells
	root["metadata"] = orEmpty(nb.Metadata)
	root["nbformat"] = 4
	root["nbformat_minor"] = max(nb.Minor, 5)
	w := &jsonWriter{}
	if err := w.value(root, 0); err != nil {
		return nil, err
	}
	w.WriteByte('\n')
	return w.Bytes(), nil
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

func orNull(n int) any {
	if n <= 0 {
		return nil
	}
	return n
}

func (c *Cell) fields() map[string]any {
	m := maps.Clone(c.extra)
	if m == nil {
		m = map[string]any{}
	}
	m["id"], m["cell_type"], m["metadata"], m["source"] = c.ID, c.Type, orEmpty(c.Metadata), lines(c.Source)
	if c.Attachments != nil {
		m["attachments"] = c.Attachments
	}
	if c.Type == Code {
		m["execution_count"] = orNull(c.ExecutionCount)
		outputs := make([]any, len(c.Outputs))
		for i, o := range c.Outputs {
			outputs[i] = o.fields()
		}
		m["outputs"] = outputs
	}
	return m
}

func (o *Output) fields() map[string]any {
	m := maps.Clone(o.extra)
	if m == nil {
		m = map[string]any{}
	}
	m["output_type"] = o.Type
	switch o.Type {
	case Stream:
		m["name"], m["text"] = o.Name, lines(o.Text)
	case Error:
		traceback := make([]any, len(o.Traceback))
		for i, l := range o.Traceback {
			traceback[i] = l
		}
		m["ename"], m["evalue"], m["traceback"] = o.EName, o.EValue, traceback
	default:
		data := make(map[string]any, len(o.Data))
		for mime, content := range o.Data {
			if s, ok := content.(string); ok && splitsLines(mime) {
				content = lines(s)
			}
			data[mime] = content
		}
		m["data"], m["metadata"] = data, orEmpty(o.Metadata)
		if o.Type == ExecuteResult {
			m["execution_count"] = orNull(o.ExecutionCount)
		}
	}
	return m
}

// splitsLines reports whether Jupyter stores a MIME type as a list of lines.
func splitsLines(mime string) bool {
	return !isJSON(mime) && (strings.HasPrefix(mime, "text/") || mime == "application/javascript" || mime == "image/svg+xml")
}

// lines splits text after each newline.
func lines(s string) []any {
	out := []any{}
	for l := range strings.Lines(s) {
		out = append(out, l)
	}
	return out
}

// jsonWriter writes JSON byte for byte as Python's
// json.dumps(indent=1, sort_keys=True, ensure_ascii=False) does, so that
// notebooks do not change when one tool or the other saves them.
type jsonWriter struct{ bytes.Buffer }

func (w *jsonWriter) newline(depth int) {
	w.WriteByte('\n')
	for range depth {
		w.WriteByte(' ')
	}
}

func (w *jsonWriter) value(v any, depth int) error {
	switch v := v.(type) {
	case nil:
		w.WriteString("null")
	case bool:
		w.WriteString(strconv.FormatBool(v))
	case string:
		w.text(v)
	case json.Number:
		w.WriteString(v.String())
	case int:
		w.WriteString(strconv.Itoa(v))
	case int64:
		w.WriteString(strconv.FormatInt(v, 10))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("the number %v cannot be stored as JSON", v)
		}
		w.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	case []any:
		return w.list(v, depth)
	case map[string]any:
		return w.object(v, depth)
	default:
		return w.other(v, depth)
	}
	return nil
}

func (w *jsonWriter) list(v []any, depth int) error {
	if len(v) == 0 {
		w.WriteString("[]")
		return nil
	}
	w.WriteByte('[')
	for i, x := range v {
		if i > 0 {
			w.WriteByte(',')
		}
		w.newline(depth + 1)
		if err := w.value(x, depth+1); err != nil {
			return err
		}
	}
	w.newline(depth)
	w.WriteByte(']')
	return nil
}

func (w *jsonWriter) object(v map[string]any, depth int) error {
	if len(v) == 0 {
		w.WriteString("{}")
		return nil
	}
	w.WriteByte('{')
	for i, k := range slices.Sorted(maps.Keys(v)) {
		if i > 0 {
			w.WriteByte(',')
		}
		w.newline(depth + 1)
		w.text(k)
		w.WriteString(": ")
		if err := w.value(v[k], depth+1); err != nil {
			return err
		}
	}
	w.newline(depth)
	w.WriteByte('}')
	return nil
}

// other takes any Go value by way of its JSON.
func (w *jsonWriter) other(v any, depth int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var plain any
	if err := dec.Decode(&plain); err != nil {
		return err
	}
	return w.value(plain, depth)
}

func (w *jsonWriter) text(s string) {
	w.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"':
			w.WriteString(`\"`)
		case '\\':
			w.WriteString(`\\`)
		case '\n':
			w.WriteString(`\n`)
		case '\r':
			w.WriteString(`\r`)
		case '\t':
			w.WriteString(`\t`)
		case '\b':
			w.WriteString(`\b`)
		case '\f':
			w.WriteString(`\f`)
		default:
			if r < 0x20 {
				fmt.Fprintf(w, `\u%04x`, r)
				continue
			}
			w.Write(utf8.AppendRune(nil, r))
		}
	}
	w.WriteByte('"')
}
