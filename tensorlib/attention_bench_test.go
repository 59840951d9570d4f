package tensorlib_test

import (
	"testing"

	lt "loris/tensorlib"
)

// BenchmarkAttention is a causal layer of 8 heads over 512 positions, and its gradient.
func BenchmarkAttention(b *testing.B) {
	r := lt.NewRand(1)
	q, k, v := r.Normal(1, 8, 512, 64).Eval(), r.Normal(1, 8, 512, 64).Eval(), r.Normal(1, 8, 512, 64).Eval()
	attend := func() *lt.Tensor { return q.Attention(k, v, lt.AttentionOptions{Causal: true}) }
	b.Run("forward", func(b *testing.B) {
		for b.Loop() {
			attend().Eval().Release()
		}
	})
	b.Run("gradient", func(b *testing.B) {
		for b.Loop() {
			gs := lt.Grads(attend().Square().Sum(), q, k, v)
			lt.Eval(gs...)
			for _, g := range gs {
				g.Release()
			}
		}
	})
}
