package format

import (
	"fmt"
	"math"
	"strconv"

	"loris/internal/ir"
)

// GGUF (ggml): header with metadata, tensor infos, aligned data. Quantised
// matrices stay so where the layout of ours holds the same numbers (packed.go);
// others come out as f32.

// block is one of ggml's tensor types: so many elements in so many bytes.
type block struct {
	name     string
	elements int
	bytes    int
	dtype    ir.DType
	decode   func(dst []float32, b []byte) // nil: the bytes are the elements
	packed   ir.DType                      // what matrices of it become, Invalid if they are decoded
	repack   func(p *packer, b []byte)
}

var ggmlTypes = map[uint32]block{
	0:  {"F32", 1, 4, ir.F32, nil, ir.Invalid, nil},
	1:  {"F16", 1, 2, ir.F16, nil, ir.Invalid, nil},
	2:  {"Q4_0", 32, 18, ir.F32, decodeQ4_0, ir.Q4, repackQ4_0},
	8:  {"Q8_0", 32, 34, ir.F32, decodeQ8_0, ir.Q8, repackQ8_0},
	12: {"Q4_K", 256, 144, ir.F32, decodeQ4_K, ir.Q4, repackQ4_K},
	14: {"Q6_K", 256, 210, ir.F32, decodeQ6_K, ir.Invalid, nil},
	26: {"I32", 1, 4, ir.I32, nil, ir.Invalid, nil},
	27: {"I64", 1, 8, ir.I64, nil, ir.Invalid, nil},
	28: {"F64", 1, 8, ir.F64, nil, ir.Invalid, nil},
	30: {"BF16", 1, 2, ir.BF16, nil, ir.Invalid, nil},
}

func half(b []byte) float32 { return ir.F16ToF32(le.Uint16(b)) }

// decodeQ8_0: scale, 32 signed bytes.
func decodeQ8_0(dst []float32, b []byte) {
	d := half(b)
	for i := range 32 {
		dst[i] = d * float32(int8(b[2+i]))
	}
}

// decodeQ4_0: scale, 16 bytes whose low halves are elements 0…15 and high
// halves 16…31, less 8.
func decodeQ4_0(dst []float32, b []byte) {
	d := half(b)
	for i := range 16 {
		dst[i] = d * float32(int(b[2+i]&15)-8)
		dst[16+i] = d * float32(int(b[2+i]>>4)-8)
	}
}

// decodeQ4_K: scale d and offset m of the block, 8 pairs of 6-bit scales and
// offsets in 12 bytes, 128 bytes of halves: x = d·s·q − m·o.
func decodeQ4_K(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	packed, q := b[4:16], b[16:]
	for j := range 8 {
		s, o := scaleOfQ4_K(packed, j)
		scale, offset := d*float32(s), m*float32(o)
		for i := range 32 {
			v := q[j/2*32+i]
			if j%2 == 0 {
				v &= 15
			} else {
				v >>= 4
			}
			dst[j*32+i] = scale*float32(v) - offset
		}
	}
}

// scaleOfQ4_K returns scale and offset of part j of 8.
func scaleOfQ4_K(packed []byte, j int) (s, o byte) {
	if j < 4 {
		return packed[j] & 63, packed[j+4] & 63
	}
	return packed[j+4]&15 | packed[j-4]>>6<<4, packed[j+4]>>4 | packed[j]>>6<<4
}

// decodeQ6_K: 128 bytes of low 4 bits, 64 of high 2 bits, 16 signed scales, one
// scale of the block: x = d·s·(q − 32).
func decodeQ6_K(dst []float32, b []byte) {
	low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
	for n := range 2 { // halves of 128 elements
		for i := range 32 {
			h := high[n*32+i]
			for part := range 4 {
				l := low[n*64+part%2*32+i]
				if part < 2 {
					l &= 15
				} else {
					l >>= 4
				}
				q := int(l|h>>(2*part)&3<<4) - 32
				s := int8(scales[n*8+part*2+i/16])
				dst[n*128+part*32+i] = d * float32(s) * float32(q)
			}
		}
	}
}

// reader walks through the bytes and remembers the first failure.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)-r.at) {
		if r.err == nil {
			r.err = problem("cut off at byte %d: %d more bytes are needed", r.at, n)
		}
		return nil
	}
	b := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return le.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return le.Uint64(b)
	}
	return 0
}

func (r *reader) text() string { return string(r.take(r.u64())) }

// value reads a metadata value as text; arrays longer than a few elements are
// counted only.
func (r *reader) value(kind uint32, depth int) string {
	switch kind {
	case 0, 7:
		if b := r.take(1); b != nil {
			if kind == 7 {
				return strconv.FormatBool(b[0] != 0)
			}
			return strconv.Itoa(int(b[0]))
		}
	case 1:
		if b := r.take(1); b != nil {
			return strconv.Itoa(int(int8(b[0])))
		}
	case 2, 3:
		if b := r.take(2); b != nil {
			if kind == 3 {
				return strconv.Itoa(int(int16(le.Uint16(b))))
			}
			return strconv.Itoa(int(le.Uint16(b)))
		}
	case 4:
		return strconv.FormatUint(uint64(r.u32()), 10)
	case 5:
		return strconv.FormatInt(int64(int32(r.u32())), 10)
	case 6:
		return strconv.FormatFloat(float64(math.Float32frombits(r.u32())), 'g', -1, 32)
	case 8:
		return r.text()
	case 9:
		return r.list(depth)
	case 10:
		return strconv.FormatUint(r.u64(), 10)
	case 11:
		return strconv.FormatInt(int64(r.u64()), 10)
	case 12:
		return strconv.FormatFloat(math.Float64frombits(r.u64()), 'g', -1, 64)
	default:
		if r.err == nil {
			r.err = problem("metadata of unknown type %d at byte %d", kind, r.at)
		}
	}
	return ""
}

func (r *reader) list(depth int) string {
	kind, n := r.u32(), r.u64()
	if depth > 4 && r.err == nil {
		r.err = problem("metadata nested too deep at byte %d", r.at)
	}
	s := "["
	for i := uint64(0); i < n && r.err == nil; i++ {
		before := r.at
		v := r.value(kind, depth+1)
		if r.at == before && r.err == nil {
			r.err = problem("empty metadata elements at byte %d", r.at)
		}
		if i < 8 {
			if i > 0 {
				s += " "
			}
			s += v
		}
	}
	if n > 8 {
		s += fmt.Sprintf(" … %d elements", n)
	}
	return s + "]"
}

type ggufTensor struct {
	name   string
	shape  ir.Shape
	kind   block
	offset uint64
}

// ggufHeader reads what stands before the data of a file of version 2 or 3; the data
// begins at start.
func ggufHeader(data []byte) (infos []ggufTensor, metadata map[string]string, start uint64, err error) {
	r := &reader{b: data}
	if string(r.take(4)) != "GGUF" {
		return nil, nil, 0, problem("not a GGUF file")
	}
	if v := r.u32(); v != 2 && v != 3 {
		return nil, nil, 0, problem("GGUF version %d cannot be read; 2 and 3 can", v)
	}
	tensors, pairs := r.u64(), r.u64()
	metadata = map[string]string{}
	for i := uint64(0); i < pairs && r.err == nil; i++ {
		key := r.text()
		metadata[key] = r.value(r.u32(), 0)
	}
	for i := uint64(0); i < tensors && r.err == nil; i++ {
		infos = append(infos, r.tensor())
	}
	if r.err != nil {
		return nil, nil, 0, r.err
	}
	alignment := uint64(32)
	if a := metadata["general.alignment"]; a != "" {
		v, err := strconv.ParseUint(a, 10, 32)
		if err != nil || v == 0 || v&(v-1) != 0 {
			return nil, nil, 0, problem("general.alignment %q is no power of two", a)
		}
		alignment = v
	}
	return infos, metadata, (uint64(r.at) + alignment - 1) / alignment * alignment, nil
}

// ParseGGUF reads a whole file of version 2 or 3. Arrays that are not
// quantised point into data.
func ParseGGUF(data []byte) (map[string]*Array, map[string]string, error) {
	infos, metadata, start, err := ggufHeader(data)
	if err != nil {
		return nil, nil, err
	}
	arrays := make(map[string]*Array, len(infos))
	for _, t := range infos {
		if arrays[t.name] != nil {
			return nil, nil, problem("tensor %q stands twice in the file", t.name)
		}
		a, err := t.array(data, start)
		if err != nil {
			return nil, nil, problem("tensor %q: %s", t.name, err.Msg)
		}
		arrays[t.name] = a
	}
	return arrays, metadata, nil
}

func (r *reader) tensor() (t ggufTensor) {
	t.name = r.text()
	rank := r.u32()
	if rank > 8 && r.err == nil {
		r.err = problem("tensor %q has %d axes", t.name, rank)
	}
	for i := uint32(0); i < rank && r.err == nil; i++ {
		d := r.u64()
		if d > math.MaxInt32 {
			r.err = problem("tensor %q has an axis of %d", t.name, d)
		}
		t.shape = append(ir.Shape{int(d)}, t.shape...) // ggml names the innermost axis first
	}
	kind := r.u32()
	t.offset = r.u64()
	b, ok := ggmlTypes[kind]
	if !ok && r.err == nil {
		r.err = problem("tensor %q has ggml type %d; F32, F16, BF16, F64, I32, I64, Q8_0, Q4_0, Q4_K and Q6_K can be read", t.name, kind)
	}
	t.kind = b
	return t
}

// bytes returns the tensor's part of a file whose data begins at start.
func (t ggufTensor) bytes(data []byte, start uint64) ([]byte, *ir.Error) {
	elements, _, err := sizeOf(t.shape, 8)
	if err != nil {
		return nil, err
	}
	k := t.kind
	if len(t.shape) > 0 && t.shape[len(t.shape)-1]%k.elements != 0 || elements%k.elements != 0 {
		return nil, problem("shape %v is not a multiple of the %d elements of a %s block", t.shape, k.elements, k.name)
	}
	size := uint64(elements / k.elements * k.bytes)
	if t.offset > uint64(len(data)) || start > uint64(len(data))-t.offset || size > uint64(len(data))-t.offset-start {
		return nil, problem("its data ends behind the end of the file")
	}
	return data[start+t.offset:][:size:size], nil
}

// dtype is what the tensor is read as.
func (t ggufTensor) dtype() ir.DType {
	if t.kind.repack != nil && len(t.shape) == 2 {
		return t.kind.packed
	}
	return t.kind.dtype
}

func (t ggufTensor) array(data []byte, start uint64) (*Array, *ir.Error) {
	b, err := t.bytes(data, start)
	if err != nil {
		return nil, err
	}
	k, elements := t.kind, t.shape.Size()
	if k.decode == nil {
		return &Array{DType: k.dtype, Shape: t.shape, Data: b}, nil
	}
	if t.dtype() == k.packed {
		return &Array{DType: k.packed, Shape: t.shape, Data: repacked(k, elements, b)}, nil
	}
	values := make([]float32, k.elements)
	out := make([]byte, 0, elements*4)
	for len(b) > 0 {
		k.decode(values, b)
		for _, v := range values {
			out = le.AppendUint32(out, math.Float32bits(v))
		}
		b = b[k.bytes:]
	}
	return &Array{DType: ir.F32, Shape: t.shape, Data: out}, nil
}
