package conformance

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
)

// fileMagic is "LSC1".
const fileMagic = 0x3143534c

// WriteFile writes the case for the runners that are not Go: the race runner and the NVIDIA runner. All numbers are
// little-endian uint32 unless said: magic; length and bytes of the kernel's name; threadgroups (3); threads per
// threadgroup (3); count of function constants, each index and value; count of buffers, each size and bytes, the
// parameters being the last; count of expectations, each argument, element type, count, tolerance (float64), values
// (float64).
func (c *Case) WriteFile(path string) error {
	var b []byte
	words := func(values ...int) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
	}
	l := c.Launch
	words(fileMagic, len(l.Kernel))
	b = append(b, l.Kernel...)
	words(l.Groups[:]...)
	words(l.Threads[:]...)
	words(len(l.Constants))
	for _, k := range l.Constants {
		words(k.Index, int(constantBits(k.Value)))
	}
	words(len(c.Before) + 1)
	for _, data := range append(append([][]byte(nil), c.Before...), l.Params) {
		words(len(data))
		b = append(b, data...)
	}
	words(len(c.Want))
	for _, w := range c.Want {
		words(w.Argument, int(l.Arguments[w.Argument].Type), len(w.Values))
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(w.Tolerance))
		for _, v := range w.Values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
	}
	return os.WriteFile(path, b, 0o644)
}

// PTXName is the file that holds the case's source, with its function constants, as PTX.
func PTXName(c *Case) string {
	hash := sha256.Sum256([]byte(c.Launch.Source + fmt.Sprint(c.Launch.Constants)))
	return hex.EncodeToString(hash[:8]) + ".ptx"
}

// ConstantValues are the function constants as C++ literals, for targets where they are compile-time values.
func ConstantValues(c *Case) map[int]string {
	values := map[int]string{}
	for _, k := range c.Launch.Constants {
		values[k.Index] = fmt.Sprint(k.Value)
	}
	return values
}

func constantBits(v any) uint32 {
	switch v := v.(type) {
	case bool:
		if v {
			return 1
		}
		return 0
	case uint32:
		return v
	}
	panic("conformance: function constant that is neither bool nor uint32")
}
