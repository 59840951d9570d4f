package format

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"

	"loris/internal/ir"
)

// The npy format: magic, version, length of the header, and a Python literal
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, then the data.
// (numpy.lib.format)

const npyMagic = "\x93NUMPY"

var npyTypes = map[string]source{
	"f8": plain(ir.F64), "f4": plain(ir.F32), "f2": plain(ir.F16), "i8": plain(ir.I64), "i4": plain(ir.I32), "u1": plain(ir.U8),
	"b1": fromBool, "i2": fromI16, "i1": fromI8, "u2": fromU16, "u4": fromU32, "u8": fromU64,
}

// ParseNPY reads a whole file.
func ParseNPY(data []byte) (*Array, error) {
	h, rest, err := npyHead(data)
	if err != nil {
		return nil, err
	}
	return h.array(rest)
}

// npyHead reads the header; rest is what follows it.
func npyHead(data []byte) (h *npyHeader, rest []byte, err error) {
	if len(data) < 10 || string(data[:6]) != npyMagic {
		if isPickle(data) {
			return nil, nil, pickleError()
		}
		return nil, nil, problem("not an npy file: it does not begin with \\x93NUMPY")
	}
	var length int
	rest = data[8:]
	switch data[6] {
	case 1:
		length, rest = int(le.Uint16(rest)), rest[2:]
	case 2, 3:
		if len(rest) < 4 {
			return nil, nil, problem("the npy header is cut off")
		}
		length, rest = int(le.Uint32(rest)), rest[4:]
	default:
		return nil, nil, problem("npy version %d.%d is unknown", data[6], data[7])
	}
	if length > len(rest) {
		return nil, nil, problem("the npy header is cut off: %d bytes of %d", len(rest), length)
	}
	if h, err = parseNPYHeader(string(rest[:length])); err != nil {
		return nil, nil, err
	}
	return h, rest[length:], nil
}

type npyHeader struct {
	descr   string
	fortran bool
	shape   ir.Shape
}

// parseNPYHeader reads the three entries of the literal; nothing else may be in it.
func parseNPYHeader(s string) (*npyHeader, error) {
	p := &literal{s: s}
	h := &npyHeader{}
	seen := map[string]bool{}
	p.expect("{")
	for !p.accept("}") && p.err == nil {
		key := p.quoted()
		p.expect(":")
		if seen[key] {
			return nil, problem("the npy header has %q twice", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			h.descr = p.quoted()
		case "fortran_order":
			switch {
			case p.accept("True"):
				h.fortran = true
			case !p.accept("False"):
				p.fail("True or False")
			}
		case "shape":
			h.shape = p.tuple()
		default:
			if p.err == nil {
				return nil, problem("the npy header has the unknown key %q", key)
			}
		}
		if !p.accept(",") {
			p.expect("}")
			break
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	if len(seen) != 3 || strings.TrimSpace(p.s[p.at:]) != "" {
		return nil, problem("the npy header is not descr, fortran_order and shape: %.80q", s)
	}
	return h, nil
}

// literal reads the few Python literals of a header.
type literal struct {
	s   string
	at  int
	err error
}

func (p *literal) skip() {
	for p.at < len(p.s) && strings.IndexByte(" \t\n\r", p.s[p.at]) >= 0 {
		p.at++
	}
}

func (p *literal) accept(t string) bool {
	p.skip()
	if p.err == nil && strings.HasPrefix(p.s[p.at:], t) {
		p.at += len(t)
		return true
	}
	return false
}

func (p *literal) expect(t string) {
	if !p.accept(t) {
		p.fail(strconv.Quote(t))
	}
}

func (p *literal) fail(want string) {
	if p.err == nil {
		p.err = problem("the npy header has no %s at byte %d: %.80q", want, p.at, p.s)
	}
}

func (p *literal) quoted() string {
	for _, q := range []string{"'", "\""} {
		if !p.accept(q) {
			continue
		}
		end := strings.Index(p.s[p.at:], q)
		if end < 0 {
			break
		}
		s := p.s[p.at : p.at+end]
		p.at += end + 1
		return s
	}
	if p.accept("[") {
		p.err = problem("structured npy arrays cannot be read")
	}
	p.fail("string")
	return ""
}

func (p *literal) tuple() ir.Shape {
	s := ir.Shape{}
	p.expect("(")
	for p.err == nil && !p.accept(")") {
		p.skip()
		end := p.at
		for end < len(p.s) && p.s[end] >= '0' && p.s[end] <= '9' {
			end++
		}
		n, err := strconv.Atoi(p.s[p.at:end])
		if err != nil || len(s) == 16 {
			p.fail("size")
			return nil
		}
		p.at = end
		s = append(s, n)
		if !p.accept(",") {
			p.expect(")")
			break
		}
	}
	return s
}

// layout tells the element type, whether its bytes lie the other way round, and how
// many bytes there have to be.
func (h *npyHeader) layout() (s source, swap bool, size int, err error) {
	if strings.Contains(h.descr, "O") {
		return s, false, 0, problem("the array holds Python objects, pickled; Loris refuses pickles")
	}
	order, kind := byte('|'), h.descr
	if len(kind) == 3 {
		order, kind = kind[0], kind[1:]
	}
	s, ok := npyTypes[kind]
	if !ok || strings.IndexByte("<>|=", order) < 0 {
		return s, false, 0, problem("dtype %q cannot be read", h.descr)
	}
	_, size, bad := sizeOf(h.shape, s.bytes)
	if bad != nil {
		return s, false, 0, bad
	}
	return s, order == '>' && s.bytes > 1, size, nil
}

func (h *npyHeader) array(data []byte) (*Array, error) {
	s, swap, size, err := h.layout()
	if err != nil {
		return nil, err
	}
	if len(data) != size {
		return nil, problem("%s%v needs %d bytes; there are %d", h.descr, h.shape, size, len(data))
	}
	if swap {
		data = swapped(data, s.bytes)
	}
	if h.fortran && len(h.shape) > 1 {
		data = rowMajor(data, h.shape, s.bytes)
	}
	return s.array(h.shape, data)
}

// swapped reverses the bytes of each element.
func swapped(data []byte, width int) []byte {
	out := make([]byte, len(data))
	for i := range data {
		out[i] = data[i/width*width+width-1-i%width]
	}
	return out
}

// rowMajor reorders column-major data.
func rowMajor(data []byte, shape ir.Shape, width int) []byte {
	out := make([]byte, 0, len(data))
	at := make([]int, len(shape))
	for range shape.Size() {
		offset, step := 0, width
		for a, i := range at {
			offset += i * step
			step *= shape[a]
		}
		out = append(out, data[offset:offset+width]...)
		for a := len(at) - 1; a >= 0; a-- {
			if at[a]++; at[a] < shape[a] {
				break
			}
			at[a] = 0
		}
	}
	return out
}

// ReadNPY reads a file.
func ReadNPY(path string) (*Array, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	a, err := ParseNPY(data)
	if err != nil {
		return nil, located(path, err)
	}
	return a, nil
}

// EncodeNPY writes an array as version 1.0. bf16, which NumPy lacks, is an error.
func EncodeNPY(w io.Writer, a *Array) error {
	descr := ""
	for d, s := range npyTypes {
		if s.dtype == a.DType && s.bytes == a.DType.Bytes() && (s.convert == nil || a.DType == ir.Bool) {
			descr = d
		}
	}
	if descr == "" {
		return problem("%s cannot be written as npy: NumPy has no such dtype; cast it first", a.DType)
	}
	order := "<"
	if a.DType.Bytes() == 1 {
		order = "|"
	}
	dims := make([]string, len(a.Shape))
	for i, d := range a.Shape {
		dims[i] = strconv.Itoa(d)
	}
	tuple := strings.Join(dims, ", ")
	if len(dims) == 1 {
		tuple += ","
	}
	h := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", order, descr, tuple)
	for (10+len(h)+1)%64 != 0 {
		h += " "
	}
	h += "\n"
	head := binary.LittleEndian.AppendUint16([]byte(npyMagic+"\x01\x00"), uint16(len(h)))
	for _, b := range [][]byte{head, []byte(h), a.Data} {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// WriteNPY writes a file.
func WriteNPY(path string, a *Array) error {
	return writeAtomically(path, func(f *os.File) error { return EncodeNPY(f, a) })
}

// largestUnpacked bounds what a compressed member may grow to.
const largestUnpacked = 64 << 30

// ParseNPZ reads a zip archive of npy files.
func ParseNPZ(data []byte) (map[string]*Array, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, problem("damaged zip archive: %v", err)
	}
	arrays := map[string]*Array{}
	for _, m := range z.File {
		if strings.HasSuffix(m.Name, ".pkl") || strings.HasSuffix(m.Name, "/data.pkl") {
			return nil, pickleError()
		}
		name, isArray := strings.CutSuffix(m.Name, ".npy")
		if !isArray {
			return nil, problem("member %q is no .npy file", m.Name)
		}
		if arrays[name] != nil {
			return nil, problem("member %q stands twice in the archive", m.Name)
		}
		b, err := unpack(m)
		if err != nil {
			return nil, problem("member %q: %v", m.Name, err)
		}
		a, err := ParseNPY(b)
		if err != nil {
			return nil, problem("member %q: %v", m.Name, err)
		}
		arrays[name] = a
	}
	return arrays, nil
}

func unpack(m *zip.File) ([]byte, error) {
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, largestUnpacked))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// WriteNPZ writes an uncompressed archive, as numpy.savez.
func WriteNPZ(path string, arrays map[string]*Array) error {
	names := make([]string, 0, len(arrays))
	for n := range arrays {
		names = append(names, n)
	}
	sort.Strings(names)
	return writeAtomically(path, func(f *os.File) error {
		z := zip.NewWriter(f)
		for _, n := range names {
			w, err := z.CreateHeader(&zip.FileHeader{Name: n + ".npy", Method: zip.Store})
			if err != nil {
				return err
			}
			if err := EncodeNPY(w, arrays[n]); err != nil {
				return problem("array %q: %v", n, err)
			}
		}
		return z.Close()
	})
}
