package tensorlib_test

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestQuantisedMatricesSurviveAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.safetensors")
	saved := map[string]*lt.Tensor{"plain": lt.Of(1, 2, 3)}
	for name, c := range map[string]struct {
		dtype lt.DType
		group int
	}{"q8": {lt.Q8, 32}, "q4": {lt.Q4, 64}, "q4.wide": {lt.Q4, 128}} {
		saved[name] = lt.NewRand(1).Normal(96, 256).Quantize(c.dtype, c.group).Eval()
	}
	if err := lt.Save(path, saved, lt.SaveOptions{Metadata: map[string]string{"made by": "a test"}}); err != nil {
		t.Fatal(err)
	}
	loaded := must[map[string]*lt.Tensor](t)(lt.Load(path))
	x := lt.NewRand(2).Normal(3, 256)
	for name, w := range saved {
		got := loaded[name]
		if got == nil || got.DType() != w.DType() || !got.Shape().Equal(w.Shape()) {
			t.Fatalf("%s came back as %v", name, got)
		}
		if name != "plain" && !x.MatMul(got.T()).Eq(x.MatMul(w.T())).All().Bools()[0] {
			t.Errorf("%s multiplies differently after a file", name)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.safetensors")
	if err := os.WriteFile(bad, []byte(strings.Replace(string(raw), `"q8 96 256"`, `"q8 96 257"`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := lt.Load(bad); err == nil || !strings.Contains(err.Error(), `"q8 96 257"`) {
		t.Errorf("a wrong shape: %v", err)
	}
}

func TestInspect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	saved := map[string]*lt.Tensor{"w": lt.Ones(3, 64).Cast(lt.BF16), "q": lt.Ones(2, 64).Quantize(lt.Q4), "step": lt.Full(7)}
	if err := lt.Save(path, saved, lt.SaveOptions{Metadata: map[string]string{"rank": "8"}}); err != nil {
		t.Fatal(err)
	}
	info := must[*lt.FileInfo](t)(lt.Inspect(path))
	elements, _ := info.Size()
	if elements != 3*64+2*64+1 || info.Metadata["rank"] != "8" || len(info.Tensors) != 3 {
		t.Errorf("%+v", info)
	}
	if q := info.Tensors[0]; q.Name != "q" || q.DType != lt.Q4 || !q.Shape.Equal(lt.Shape{2, 64}) || q.Type != "U8" {
		t.Errorf("%+v", q)
	}
	if s := info.String(); !strings.Contains(s, "BF16") || !strings.Contains(s, "[3 64]") || strings.Contains(s, "loris.quantised") {
		t.Error(s)
	}
	if info.MIME()["text/html"] == nil {
		t.Error("no table")
	}
	if _, err := lt.Inspect(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
}

// TestLoadedTensorsLieInTheirFile follows a mapped tensor through its life: no copy,
// independent of what replaces the file, unmapped when it is released.
func TestLoadedTensorsLieInTheirFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc/self/maps")
	}
	path := filepath.Join(t.TempDir(), "large.safetensors")
	w := lt.NewRand(1).Normal(256, 256).Eval()
	if err := lt.Save(path, map[string]*lt.Tensor{"a": w, "b": w.Neg(), "small": lt.Of(1)}); err != nil {
		t.Fatal(err)
	}
	mapped := func() bool {
		maps, err := os.ReadFile("/proc/self/maps")
		return err == nil && strings.Contains(string(maps), "large.safetensors")
	}
	loaded := must[map[string]*lt.Tensor](t)(lt.Load(path))
	if !mapped() {
		t.Fatal("the tensors were copied")
	}
	if err := lt.Save(path, map[string]*lt.Tensor{"a": lt.Zeros(256, 256)}); err != nil {
		t.Fatal(err)
	}
	if !loaded["a"].Eq(w).All().Bools()[0] || loaded["b"].Add(w).Abs().Max().Item() != 0 || loaded["small"].Item() != 1 {
		t.Error("replacing the file changed the tensors that were read from it")
	}
	loaded["a"].Release()
	if !mapped() {
		t.Error("the file was unmapped while another tensor lay in it")
	}
	loaded["b"].Release()
	if mapped() {
		t.Error("the file is mapped after its tensors were released")
	}
	func() {
		again := must[map[string]*lt.Tensor](t)(lt.Load(path))
		runtime.KeepAlive(again)
	}()
	for i := 0; mapped() && i < 200; i++ {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	if mapped() {
		t.Error("the file is mapped after its tensors became unreachable")
	}
}

func TestAFileThatWasCutOffIsAnError(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files in use cannot be cut off")
	}
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := lt.Save(path, map[string]*lt.Tensor{"w": lt.NewRand(1).Normal(1024, 1024)}); err != nil {
		t.Fatal(err)
	}
	w := must[map[string]*lt.Tensor](t)(lt.Load(path))["w"]
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"one thread": func() { w.At(1000).Sum().Item() }, "threads": func() { w.Exp().Sum().Item() },
		"product": func() { lt.Ones(64, 1024).MatMul(w).Eval() }, "read": func() { w.Floats() }, "save": func() {
			if err := lt.Save(filepath.Join(t.TempDir(), "x.safetensors"), map[string]*lt.Tensor{"w": w}); err != nil {
				panic(err)
			}
		},
	} {
		err := lt.Try(f)
		var e *lt.Error
		if !errors.As(err, &e) || e.Code != ir.CodeFormat || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := lt.Of(1, 2).Sum().Item(); got != 3 {
		t.Errorf("afterwards 1+2 = %v", got)
	}
}

// gguf writes a file with one matrix [rows 256] of a ggml type.
func gguf(kind uint32, rows int, data []byte) []byte {
	le := binary.LittleEndian
	b := append([]byte("GGUF"), 3, 0, 0, 0)
	b = le.AppendUint64(le.AppendUint64(b, 1), 0)
	b = append(le.AppendUint64(b, 1), 'w')
	b = le.AppendUint64(le.AppendUint64(le.AppendUint32(b, 2), 256), uint64(rows))
	b = le.AppendUint64(le.AppendUint32(b, kind), 0)
	for len(b)%32 != 0 {
		b = append(b, 0)
	}
	return append(b, data...)
}

// TestGGUFMatricesStayQuantised compares what they hold with the definition of the
// formats, written down here once more, value by value.
func TestGGUFMatricesStayQuantised(t *testing.T) {
	f16 := func(v float32) []byte { return binary.LittleEndian.AppendUint16(nil, ir.F32ToF16(v)) }
	next := uint32(12345)
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			next = next*1664525 + 1013904223
			b[i] = byte(next >> 24)
		}
		return b
	}
	const rows = 5
	for _, c := range []struct {
		name  string
		kind  uint32
		want  lt.DType
		block func() ([]byte, []float64)
		per   int
	}{
		{"Q8_0", 8, lt.Q8, func() ([]byte, []float64) {
			q, v := random(32), make([]float64, 32)
			for i := range v {
				v[i] = 0.125 * float64(int8(q[i]))
			}
			return append(f16(0.125), q...), v
		}, 32},
		{"Q4_0", 2, lt.Q4, func() ([]byte, []float64) {
			q, v := random(16), make([]float64, 32)
			for i := range 16 {
				v[i], v[16+i] = -0.5*float64(int(q[i]&15)-8), -0.5*float64(int(q[i]>>4)-8)
			}
			return append(f16(-0.5), q...), v
		}, 32},
		{"Q4_K", 12, lt.Q4, func() ([]byte, []float64) {
			scales, q, v := random(12), random(128), make([]float64, 256)
			for j := range 8 {
				var s, m byte
				if j < 4 {
					s, m = scales[j]&63, scales[j+4]&63
				} else {
					s, m = scales[j+4]&15|scales[j-4]>>6<<4, scales[j+4]>>4|scales[j]>>6<<4
				}
				for i := range 32 {
					n := q[j/2*32+i] >> (j % 2 * 4) & 15
					v[32*j+i] = 0.25*float64(s)*float64(n) - 0.0625*float64(m)
				}
			}
			return append(append(append(f16(0.25), f16(0.0625)...), scales...), q...), v
		}, 256},
	} {
		var data []byte
		var want []float64
		for len(want) < rows*256 {
			b, v := c.block()
			data, want = append(data, b...), append(want, v...)
		}
		path := filepath.Join(t.TempDir(), "w.gguf")
		if err := os.WriteFile(path, gguf(c.kind, rows, data), 0o644); err != nil {
			t.Fatal(err)
		}
		w := must[map[string]*lt.Tensor](t)(lt.Load(path))["w"]
		if w.DType() != c.want || !w.Shape().Equal(lt.Shape{rows, 256}) {
			t.Errorf("%s came as %s%v", c.name, w.DType(), w.Shape())
			continue
		}
		for i, v := range w.Dequantize().Floats() {
			if math.Abs(v-want[i]) > 1e-6*math.Abs(want[i])+1e-5 {
				t.Errorf("%s: element %d is %v, want %v", c.name, i, v, want[i])
				break
			}
		}
	}
}
