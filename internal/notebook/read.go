package notebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// largestFile bounds what is read as a notebook.
const largestFile = 1 << 30

// FormatError says where a notebook file is damaged.
type FormatError struct {
	File         string // may be empty
	Line, Column int    // from 1; 0 if the place is only known as Path
	Path         string // such as cells[3].source
	Msg          string
}

func (e *FormatError) Error() string {
	var s strings.Builder
	s.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&s, ":%d:%d", e.Line, e.Column)
	}
	if s.Len() > 0 {
		s.WriteString(": ")
	}
	if e.Path != "" {
		s.WriteString(e.Path + ": ")
	}
	return strings.TrimPrefix(s.String(), ":") + e.Msg
}

// ReadFile reads a notebook. Errors of its content are *FormatError.
func ReadFile(path string) (*Notebook, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no notebook %s: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("notebook: %w", err)
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%s is a folder: name an .ipynb file", path)
	}
	if st.Size() > largestFile {
		return nil, fmt.Errorf("%s has %d bytes; more than %d are not read", path, st.Size(), largestFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("notebook: %w", err)
	}
	nb, err := Parse(b)
	var fe *FormatError
	if errors.As(err, &fe) {
		fe.File = path
	}
	return nb, err
}

// Parse reads a notebook of nbformat 4.0 to 4.5 (later minors too, as the
// format allows) from JSON. Cells without an id get one.
func Parse(b []byte) (*Notebook, error) {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, &FormatError{Line: 1, Column: 1, Msg: "the file is empty: not a notebook"}
	}
	if at := invalidUTF8(b); at >= 0 {
		return nil, errorAt(b, at, "not UTF-8 text: not a notebook, or damaged")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var top any
	if err := dec.Decode(&top); err != nil {
		return nil, syntaxError(b, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errorAt(b, int(dec.InputOffset()), "damaged JSON: text after the end of the notebook")
	}
	root, ok := top.(map[string]any)
	if !ok {
		return nil, &FormatError{Line: 1, Column: 1, Msg: "not a notebook: the JSON is not an object"}
	}
	nb := &Notebook{extra: root}
	if err := nb.takeVersion(b, root); err != nil {
		return nil, err
	}
	r := &reader{}
	nb.Metadata = r.object(root, "metadata", "metadata")
	list, ok := root["cells"].([]any)
	if !ok {
		return nil, &FormatError{Msg: "not a notebook of format 4: cells is missing or not a list"}
	}
	delete(root, "cells")
	for i, c := range list {
		nb.Cells = append(nb.Cells, r.cell(c, fmt.Sprintf("cells[%d]", i)))
	}
	if r.err != nil {
		return nil, r.err
	}
	nb.repairIDs()
	nb.Minor = max(nb.Minor, 5)
	return nb, nil
}

func (nb *Notebook) takeVersion(b []byte, root map[string]any) error {
	at := func(key, msg string) error {
		if i := bytes.Index(b, []byte(strconv.Quote(key))); i >= 0 {
			return errorAt(b, i, msg)
		}
		return &FormatError{Msg: msg}
	}
	version, ok := integer(root["nbformat"])
	if !ok {
		return at("nbformat", "not a notebook: nbformat is missing or not a number")
	}
	if version < 4 {
		return at("nbformat", fmt.Sprintf("notebook format %d is too old, 4 is needed: convert it with `jupyter nbconvert --to notebook --nbformat 4`", version))
	}
	if version > 4 {
		return at("nbformat", fmt.Sprintf("notebook format %d is newer than the format 4 that this program knows", version))
	}
	if nb.Minor, ok = integer(root["nbformat_minor"]); !ok || nb.Minor < 0 {
		return at("nbformat_minor", "nbformat_minor is missing or not a number")
	}
	delete(root, "nbformat")
	delete(root, "nbformat_minor")
	return nil
}

func integer(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(n.String())
	return i, err == nil
}

// reader takes known fields out of decoded JSON and remembers the first error.
type reader struct{ err error }

func (r *reader) fail(path, msg string) {
	if r.err == nil {
		r.err = &FormatError{Path: path, Msg: msg}
	}
}

func (r *reader) object(m map[string]any, key, path string) map[string]any {
	v, ok := m[key]
	delete(m, key)
	if !ok || v == nil {
		return map[string]any{}
	}
	o, ok := v.(map[string]any)
	if !ok {
		r.fail(path, "must be an object")
	}
	return o
}

// text takes a string that may be stored as a list of lines.
func (r *reader) text(m map[string]any, key, path string) string {
	v, ok := m[key]
	delete(m, key)
	if !ok {
		return ""
	}
	s, ok := joined(v)
	if !ok {
		r.fail(path+"."+key, "must be a string or a list of strings")
	}
	return s
}

func joined(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []any:
		var s strings.Builder
		for _, line := range v {
			l, ok := line.(string)
			if !ok {
				return "", false
			}
			s.WriteString(l)
		}
		return s.String(), true
	}
	return "", false
}

func (r *reader) count(m map[string]any, path string) int {
	v := m["execution_count"]
	delete(m, "execution_count")
	if v == nil {
		return 0
	}
	n, ok := integer(v)
	if !ok {
		r.fail(path+".execution_count", "must be a whole number or null")
	}
	return n
}

func (r *reader) cell(v any, path string) *Cell {
	m, ok := v.(map[string]any)
	if !ok {
		r.fail(path, "must be an object")
		return &Cell{}
	}
	c := &Cell{extra: m}
	c.ID = r.text(m, "id", path)
	c.Type = r.text(m, "cell_type", path)
	c.Source = r.text(m, "source", path)
	c.Metadata = r.object(m, "metadata", path+".metadata")
	if v, ok := m["attachments"]; ok && v != nil {
		c.Attachments = r.object(m, "attachments", path+".attachments")
	}
	switch c.Type {
	case Markdown, Raw:
		return c
	case Code:
	default:
		r.fail(path+".cell_type", fmt.Sprintf("unknown cell type %q: code, markdown and raw are known", c.Type))
		return c
	}
	c.ExecutionCount = r.count(m, path)
	outputs, ok := m["outputs"].([]any)
	if !ok && m["outputs"] != nil {
		r.fail(path+".outputs", "must be a list")
	}
	delete(m, "outputs")
	for i, o := range outputs {
		c.Outputs = append(c.Outputs, r.output(o, fmt.Sprintf("%s.outputs[%d]", path, i)))
	}
	return c
}

func (r *reader) output(v any, path string) *Output {
	m, ok := v.(map[string]any)
	if !ok {
		r.fail(path, "must be an object")
		return &Output{}
	}
	o := &Output{extra: m}
	o.Type = r.text(m, "output_type", path)
	switch o.Type {
	case Stream:
		o.Name, o.Text = r.text(m, "name", path), r.text(m, "text", path)
	case DisplayData, ExecuteResult:
		o.Data = r.object(m, "data", path+".data")
		o.Metadata = r.object(m, "metadata", path+".metadata")
		for mime, content := range o.Data {
			if isJSON(mime) {
				continue
			}
			s, ok := joined(content)
			if !ok {
				r.fail(path+".data."+mime, "must be a string or a list of strings")
			}
			o.Data[mime] = s
		}
		if o.Type == ExecuteResult {
			o.ExecutionCount = r.count(m, path)
		}
	case Error:
		o.EName, o.EValue = r.text(m, "ename", path), r.text(m, "evalue", path)
		lines, ok := m["traceback"].([]any)
		if !ok && m["traceback"] != nil {
			r.fail(path+".traceback", "must be a list of strings")
		}
		delete(m, "traceback")
		for _, l := range lines {
			s, ok := l.(string)
			if !ok {
				r.fail(path+".traceback", "must be a list of strings")
			}
			o.Traceback = append(o.Traceback, s)
		}
	default:
		r.fail(path+".output_type", fmt.Sprintf("unknown output type %q", o.Type))
	}
	return o
}

// isJSON reports whether a MIME type's content is a JSON value in notebooks.
func isJSON(mime string) bool {
	return mime == "application/json" || strings.HasPrefix(mime, "application/") && strings.HasSuffix(mime, "+json")
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func syntaxError(b []byte, err error) error {
	var se *json.SyntaxError
	switch {
	case errors.As(err, &se):
		return errorAt(b, int(se.Offset)-1, "damaged JSON: "+se.Error())
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errorAt(b, len(b), "damaged JSON: the file ends in the middle")
	}
	return errorAt(b, 0, "damaged JSON: "+err.Error())
}

// errorAt turns an offset into a line and a column in code points.
func errorAt(b []byte, offset int, msg string) error {
	offset = min(max(offset, 0), len(b))
	before := b[:offset]
	line := 1 + bytes.Count(before, []byte("\n"))
	start := bytes.LastIndexByte(before, '\n') + 1
	return &FormatError{Line: line, Column: utf8.RuneCount(before[start:]) + 1, Msg: msg}
}
