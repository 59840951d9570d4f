package tensorlib

import (
	"fmt"
	"maps"
	"math"
	"runtime"
	"sync/atomic"

	"loris/internal/eval"
	"loris/internal/format"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// SaveOptions are the parameters of Save.
type SaveOptions struct {
	Metadata map[string]string // goes into the header
	AllowNaN bool              // else a NaN is an error: mostly it means that training has failed
}

// Save computes tensors and writes them to a safetensors file, in one step as
// seen from outside. Quantised matrices keep their bits, as Load does.
func Save(path string, tensors map[string]*Tensor, options ...SaveOptions) error {
	var o SaveOptions
	if len(options) > 0 {
		o = options[0]
	}
	return withArrays("Save", tensors, func(arrays map[string]*format.Array) error {
		if !o.AllowNaN {
			for name, a := range arrays {
				if i := firstNaN(a); i >= 0 {
					return &Error{Code: ir.CodeNumber, Op: "Save", Msg: fmt.Sprintf("tensor %q holds NaN, first at element %d of %v; nothing was written", name, i, a.Shape),
						Hint: "set AllowNaN if that is meant"}
				}
			}
		}
		metadata := maps.Clone(o.Metadata)
		if metadata == nil {
			metadata = map[string]string{}
		}
		for name, a := range arrays {
			pack(name, a, metadata)
		}
		return format.WriteSafetensors(path, arrays, metadata)
	})
}

func firstNaN(a *format.Array) int {
	if !a.DType.IsFloat() {
		return -1
	}
	const chunk = 1 << 16
	width := a.DType.Bytes()
	for start := 0; start < len(a.Data); start += chunk * width {
		for i, v := range decodeFloats(a.Data[start:min(len(a.Data), start+chunk*width)], a.DType) {
			if math.IsNaN(v) {
				return start/width + i
			}
		}
	}
	return -1
}

// withArrays computes tensors and calls f with their elements.
func withArrays(name string, tensors map[string]*Tensor, f func(map[string]*format.Array) error) (err error) {
	var failed error
	err = Try(func() {
		var roots []*ir.Node
		for key, t := range tensors {
			n := t.n(name)
			if n.DType.Bytes() == 0 && (name != "Save" || n.Op == op.Transpose) {
				fail(name, ir.CodeDType, n, "tensor %q is packed %s: call Dequantize first", key, n.DType)
			}
			roots = append(roots, n)
		}
		if err := eval.Eval(background, roots...); err != nil {
			panic(asError(name, err))
		}
		arrays := make(map[string]*format.Array, len(tensors))
		for key, t := range tensors {
			t.readBytes(name, func(b []byte, n *ir.Node) { arrays[key] = &format.Array{DType: n.DType, Shape: n.Shape, Data: b} })
		}
		if err := eval.Guarded(func() { failed = f(arrays) }); err != nil { // roots keep the memory
			panic(asError(name, err))
		}
		for _, n := range roots {
			runtime.KeepAlive(n)
		}
	})
	if err == nil {
		err = failed
	}
	return err
}

// Load reads the tensors of a safetensors file (or of an index of shards, or of
// a directory that holds one), of an npz archive or of a GGUF file. Pickles are
// refused. Large tensors are not copied: their memory is the file's, mapped, until
// they are released or unreachable. Replacing the file (as Save does) leaves them
// alone; cutting it off makes the next evaluation that reads them an error.
func Load(path string) (map[string]*Tensor, error) {
	tensors, _, err := load("Load", path)
	return tensors, err
}

func load(name, path string) (tensors map[string]*Tensor, metadata map[string]string, err error) {
	f, err := format.Open(path)
	if err != nil {
		return nil, nil, ioError(name, err)
	}
	open := &openFile{f: f}
	open.users.Store(1)
	defer open.done()
	tensors = make(map[string]*Tensor, len(f.Arrays))
	err = Try(func() {
		for key, a := range f.Arrays {
			if err := unpack(key, a, f.Metadata); err != nil {
				panic(ioError(name, err))
			}
			tensors[key] = open.tensor(a)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	return tensors, f.Metadata, nil
}

// openFile is a file that tensors lie in.
type openFile struct {
	f     *format.File
	users atomic.Int64 // tensors, and the call that opens it
}

func (o *openFile) done() {
	if o.users.Add(-1) == 0 {
		o.f.Close()
	}
}

// mapFrom is the size from which a tensor stays in its file: small ones would keep
// all of it mapped.
const mapFrom = 64 << 10

func (o *openFile) tensor(a *format.Array) *Tensor {
	if a.Mapped && len(a.Data) >= mapFrom {
		o.users.Add(1)
		if n, ok := eval.FromMapped(a.DType, a.Shape, a.Data, o.done); ok {
			return wrap(n)
		}
		o.users.Add(-1)
	}
	return fromArray(a)
}

func fromArray(a *format.Array) *Tensor { return wrap(fromBytes(a.Data, a.DType, a.Shape)) }

// safetensors has no dtypes of quantised matrices: they are saved as bytes, and the
// metadata under this prefix and the tensor's name tells "q4 4096 1024": dtype, rows
// and columns.
const quantisedKey = "loris.quantised."

// pack makes a quantised matrix bytes that safetensors can hold.
func pack(name string, a *format.Array, metadata map[string]string) {
	if a.DType.Bytes() > 0 {
		return
	}
	metadata[quantisedKey+name] = fmt.Sprintf("%s %d %d", a.DType, a.Shape[0], a.Shape[1])
	a.DType, a.Shape = U8, Shape{len(a.Data)}
}

// unpack is the inverse of pack.
func unpack(name string, a *format.Array, metadata map[string]string) error {
	text, ok := metadata[quantisedKey+name]
	if !ok {
		return nil
	}
	if !quantisedShape(name, a, metadata) || plan.QuantBytes(a.DType, a.Shape) != len(a.Data) {
		return &Error{Code: ir.CodeFormat, Msg: fmt.Sprintf("tensor %q: %d bytes are no quantised matrix %q", name, len(a.Data), text)}
	}
	return nil
}

// quantisedShape gives bytes the dtype and shape of the quantised matrix that they
// are by the metadata, if they are one.
func quantisedShape(name string, a *format.Array, metadata map[string]string) bool {
	var kind string
	var rows, cols int
	if _, err := fmt.Sscanf(metadata[quantisedKey+name], "%s %d %d", &kind, &rows, &cols); err != nil {
		return false
	}
	d := Q8
	if kind == Q4.String() {
		d = Q4
	}
	if kind != d.String() || a.DType != U8 || rows < 0 || cols < 0 || rows > math.MaxInt32 || cols > math.MaxInt32 {
		return false
	}
	a.DType, a.Shape = d, Shape{rows, cols}
	return true
}

// ioError names the call in an error of a file's content.
func ioError(name string, err error) error {
	if e, ok := err.(*Error); ok && e.Op == "" {
		e.Op = name
	}
	return err
}

// SaveNPY computes a tensor and writes it to an npy file (not bf16, which NumPy
// lacks).
func SaveNPY(path string, x *Tensor) error {
	return withArrays("SaveNPY", map[string]*Tensor{"": x}, func(arrays map[string]*format.Array) error {
		return ioError("SaveNPY", format.WriteNPY(path, arrays[""]))
	})
}

// SaveNPZ computes tensors and writes them to an npz archive.
func SaveNPZ(path string, tensors map[string]*Tensor) error {
	return withArrays("SaveNPZ", tensors, func(arrays map[string]*format.Array) error {
		return ioError("SaveNPZ", format.WriteNPZ(path, arrays))
	})
}

// LoadNPY reads the array of an npy file.
func LoadNPY(path string) (*Tensor, error) {
	a, err := format.ReadNPY(path)
	if err != nil {
		return nil, ioError("LoadNPY", err)
	}
	var t *Tensor
	err = Try(func() { t = fromArray(a) })
	return t, err
}

// LoadNPZ reads the arrays of an npz archive.
func LoadNPZ(path string) (map[string]*Tensor, error) { return Load(path) }

// LoadGGUF reads the tensors of a GGUF file: F32, F16, BF16, and quantised ones.
// Matrices of Q8_0, Q4_0 and Q4_K stay quantised (Q8 and Q4): x.MatMul(w.T()) takes
// them as they are, Dequantize makes them f32. Q6_K is unpacked to f32. The metadata
// comes as text.
func LoadGGUF(path string) (tensors map[string]*Tensor, metadata map[string]string, err error) {
	return load("LoadGGUF", path)
}
