package gemv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/feature"
)

func eachLevel(t *testing.T, f func(t *testing.T)) {
	old := active
	defer func() { active = old }()
	for _, l := range feature.Levels() {
		active = kernelsFor(l)
		t.Run(l.String(), f)
	}
}

// weights returns rows of n finite elements and a gap of gap bytes between them.
func weights(r *rand.Rand, kind Kind, rows, n, gap int) ([]byte, int) {
	ld := n*kind.Size() + gap
	b := make([]byte, rows*ld+64)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	for i := range rows {
		for j := range n {
			p := unsafe.Pointer(&b[i*ld])
			switch kind {
			case F32:
				*(*float32)(unsafe.Add(p, 4*j)) = float32(r.NormFloat64())
			case BF16:
				*(*uint16)(unsafe.Add(p, 2*j)) = uint16(math.Float32bits(float32(r.NormFloat64())) >> 16)
			case F16: // any but infinity and NaN
				*(*uint16)(unsafe.Add(p, 2*j)) = uint16(r.Uint32()) & 0xbfff
			}
		}
	}
	return b, ld
}

func TestAllKindsAndSizes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for kind := range kinds {
			for _, rows := range []int{0, 1, 2, 3, 5, 7, 8, 9, 15, 31} {
				for _, n := range []int{1, 3, 4, 8, 15, 16, 17, 32, 47, 63, 100, 513} {
					w, ld := weights(r, kind, rows, n, 4)
					p := unsafe.Pointer(&w[0])
					x, xr := make([]float32, n), make([]float32, rows)
					for i := range x {
						x[i] = float32(r.NormFloat64())
					}
					for i := range xr {
						xr[i] = float32(r.NormFloat64())
					}
					out, y := make([]float32, rows), make([]float32, n)
					for i := range y {
						y[i] = float32(i)
					}
					Dots(kind, out, p, ld, x)
					Rows(kind, y, p, ld, xr)
					for i := range out {
						want, size := 0.0, 0.0
						for j := range x {
							v := float64(x[j]) * float64(kind.value(unsafe.Add(p, i*ld), j))
							want += v
							size += math.Abs(v)
						}
						if math.Abs(float64(out[i])-want) > 1e-6*size {
							t.Fatalf("dots kind %d %dx%d: [%d] = %v, want %v", kind, rows, n, i, out[i], want)
						}
					}
					for j := range y {
						want, size := float64(j), float64(j)
						for i := range xr {
							v := float64(xr[i]) * float64(kind.value(unsafe.Add(p, i*ld), j))
							want += v
							size += math.Abs(v)
						}
						if math.Abs(float64(y[j])-want) > 1e-6*size {
							t.Fatalf("rows kind %d %dx%d: [%d] = %v, want %v", kind, rows, n, j, y[j], want)
						}
					}
				}
			}
		}
	})
}

// TestManyOutputsAndStreams goes beyond what a second-level cache holds, in both
// orders, with rows and columns left over.
func TestManyOutputsAndStreams(t *testing.T) {
	big := feature.Cache().L2/4/100 + 3
	for _, c := range []struct{ m, k, n, gap int }{
		{1, big, 101, 0}, {1, 97, big, 4}, {3, big, 100, 8}, {9, 35, 301, 0}, {5, 18, 7, 0}, {2, 3, 40, 4}, {4, 8, 513, 0}, {7, 300, 650, 0},
		{3, 9, feature.Cache().L1, 0}, {1, 9, callElements/8 + 21, 0},
	} {
		r := rand.New(rand.NewPCG(3, uint64(c.k)))
		for kind := range kinds {
			w, ld := weights(r, kind, c.k, c.n, c.gap)
			p := unsafe.Pointer(&w[0])
			x := make([]float32, c.m*(c.k+1))
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			start := make([]float32, c.m*(c.n+2))
			for i := range start {
				start[i] = float32(r.NormFloat64())
			}
			want, size, column := make([]float64, len(start)), make([]float64, len(start)), make([]float64, c.n)
			for i := range c.k {
				for j := range column {
					column[j] = float64(kind.value(unsafe.Add(p, i*ld), j))
				}
				for v := range c.m {
					a, o := float64(x[v*(c.k+1)+i]), v*(c.n+2)
					for j, b := range column {
						want[o+j] += a * b
						size[o+j] += math.Abs(a * b)
					}
				}
			}
			eachLevel(t, func(t *testing.T) {
				y := append([]float32(nil), start...)
				RowsOfMany(kind, unsafe.Pointer(&y[0]), 4*(c.n+2), c.m, c.n, p, ld, unsafe.Pointer(&x[0]), 4*(c.k+1), c.k)
				for i := range y {
					exact := want[i] + float64(start[i])
					if math.Abs(float64(y[i])-exact) > 1e-6*(size[i]+math.Abs(float64(start[i]))) {
						t.Fatalf("kind %d %+v: y[%d] = %v, want %v", kind, c, i, y[i], exact)
					}
				}
			})
		}
	}
}

func TestManyDots(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct{ m, rows, k, gap int }{
		{1, feature.Cache().L2/99 + 3, 101, 0}, {3, feature.Cache().L2/99 + 1, 100, 4}, {9, 7, 530, 0}, {2, 30, 7, 0}, {5, 6, 64, 8}, {4, 9, callElements/8 + 16, 0}, {8, 1, 40, 0},
	} {
		for kind := range kinds {
			w, ld := weights(r, kind, c.rows, c.k, c.gap)
			p := unsafe.Pointer(&w[0])
			x := make([]float32, c.m*(c.k+1))
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			want, size, row := make([]float64, c.m*(c.rows+2)), make([]float64, c.m*(c.rows+2)), make([]float64, c.k)
			for i := range c.rows {
				for j := range row {
					row[j] = float64(kind.value(unsafe.Add(p, i*ld), j))
				}
				for v := range c.m {
					o := v*(c.rows+2) + i
					for j, a := range x[v*(c.k+1):][:c.k] {
						want[o] += float64(a) * row[j]
						size[o] += math.Abs(float64(a) * row[j])
					}
				}
			}
			eachLevel(t, func(t *testing.T) {
				out := make([]float32, len(want))
				DotsOfMany(kind, unsafe.Pointer(&out[0]), 4*(c.rows+2), c.m, c.rows, p, ld, unsafe.Pointer(&x[0]), 4*(c.k+1), c.k)
				for i, v := range out {
					if math.Abs(float64(v)-want[i]) > 1e-6*size[i] {
						t.Fatalf("kind %d %+v: [%d] = %v, want %v", kind, c, i, v, want[i])
					}
				}
			})
		}
	}
}

func BenchmarkGemv(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const n = 2048
	var mem arena.Arena
	for kind := range kinds {
		w, ld := weights(r, kind, n, n, 0)
		block, err := mem.Alloc(len(w)) // huge pages, as the weights of a model have
		if err != nil {
			b.Fatal(err)
		}
		copy(block.Bytes(), w)
		w = block.Bytes()
		x, y := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i] = 1
		}
		b.Run(fmt.Sprintf("dots/%d", kind), func(b *testing.B) {
			b.SetBytes(int64(n * ld))
			for b.Loop() {
				Dots(kind, y, unsafe.Pointer(&w[0]), ld, x)
			}
		})
		b.Run(fmt.Sprintf("rows/%d", kind), func(b *testing.B) {
			b.SetBytes(int64(n * ld))
			for b.Loop() {
				Rows(kind, y, unsafe.Pointer(&w[0]), ld, x)
			}
		})
	}
}
