package ir

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Every half decodes to a number that encodes to the same half.
func TestHalvesSurviveTheRoundTrip(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		if f := F16ToF32(h); f == f && F32ToF16(f) != h {
			t.Fatalf("f16 %#04x → %v → %#04x", h, f, F32ToF16(f))
		}
		if f := BF16ToF32(h); f == f && F32ToBF16(f) != h {
			t.Fatalf("bf16 %#04x → %v → %#04x", h, f, F32ToBF16(f))
		}
	}
}

// Encoding agrees with rounding in float64 arithmetic, an independent way.
func TestHalvesRoundToNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300000 {
		f := math.Float32frombits(rng.Uint32())
		if f != f {
			continue
		}
		if got, want := float64(F16ToF32(F32ToF16(f))), F16.Round(float64(f)); got != want {
			t.Fatalf("f16 of %v: %v, want %v", f, got, want)
		}
		if got, want := float64(BF16ToF32(F32ToBF16(f))), BF16.Round(float64(f)); got != want {
			t.Fatalf("bf16 of %v: %v, want %v", f, got, want)
		}
	}
	if F32ToF16(float32(math.NaN()))&0x7fff <= 0x7c00 || F32ToBF16(float32(math.NaN()))&0x7fff <= 0x7f80 {
		t.Error("NaN is lost")
	}
}
