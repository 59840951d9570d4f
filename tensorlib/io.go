package tensorlib

import (
	"fmt"
	"math"
	"runtime"

	"loris/internal/eval"
	"loris/internal/format"
	"loris/internal/ir"
)

// SaveOptions are the parameters of Save.
type SaveOptions struct {
	Metadata map[string]string // goes into the header
	AllowNaN bool              // else a NaN is an error: mostly it means that training has failed
}

// Save computes tensors and writes them to a safetensors file, in one step as
// seen from outside.
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
		return format.WriteSafetensors(path, arrays, o.Metadata)
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
			if n.DType.Bytes() == 0 {
				fail(name, ir.CodeDType, n, "tensor %q is packed %s: call Dequantize first", key, n.DType)
			}
			roots = append(roots, n)
		}
		if err := eval.Eval(background, roots...); err != nil {
			panic(asError(name, err))
		}
		arrays := make(map[string]*format.Array, len(tensors))
		for key, t := range tensors {
			t.read(name, func(b []byte, n *ir.Node) { arrays[key] = &format.Array{DType: n.DType, Shape: n.Shape, Data: b} })
		}
		failed = f(arrays) // roots keep the memory
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
// refused.
func Load(path string) (map[string]*Tensor, error) {
	f, err := format.Open(path)
	if err != nil {
		return nil, ioError("Load", err)
	}
	defer f.Close()
	out := make(map[string]*Tensor, len(f.Arrays))
	err = Try(func() {
		for name, a := range f.Arrays {
			out[name] = fromArray(a)
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func fromArray(a *format.Array) *Tensor { return wrap(fromBytes(a.Data, a.DType, a.Shape)) }

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

// LoadGGUF reads the tensors of a GGUF file: F32, F16, BF16, and Q8_0, Q4_0,
// Q4_K and Q6_K unpacked to f32. The metadata comes as text.
func LoadGGUF(path string) (tensors map[string]*Tensor, metadata map[string]string, err error) {
	f, err := format.Open(path)
	if err != nil {
		return nil, nil, ioError("LoadGGUF", err)
	}
	defer f.Close()
	tensors = make(map[string]*Tensor, len(f.Arrays))
	err = Try(func() {
		for name, a := range f.Arrays {
			tensors[name] = fromArray(a)
		}
	})
	return tensors, f.Metadata, err
}
