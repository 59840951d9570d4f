package devicetest

import (
	"math"
	"slices"

	"loris/internal/ir"
)

// matrix is row-major.
type matrix struct {
	rows, cols int
	v          []float64
}

func newMatrix(rows, cols int) matrix { return matrix{rows, cols, make([]float64, rows*cols)} }

func (m matrix) at(i, j int) float64     { return m.v[i*m.cols+j] }
func (m matrix) set(i, j int, x float64) { m.v[i*m.cols+j] = x }

func (m matrix) transposed() matrix {
	t := newMatrix(m.cols, m.rows)
	for i := range m.rows {
		for j := range m.cols {
			t.set(j, i, m.at(i, j))
		}
	}
	return t
}

// eachMatrix splits a batch.
func eachMatrix(a *Array, f func(i int, m matrix)) {
	rank := len(a.Shape)
	rows, cols := a.Shape[rank-2], a.Shape[rank-1]
	for i := range a.Shape[:rank-2].Size() {
		f(i, matrix{rows, cols, a.Data[i*rows*cols:][:rows*cols]})
	}
}

// qr uses modified Gram-Schmidt, twice, which is exact enough in float64.
func qr(n *ir.Node, in []*Array) (*Array, error) {
	out := NewArray(n.Shape)
	eachMatrix(in[0], func(b int, a matrix) {
		k := min(a.rows, a.cols)
		q, r := newMatrix(a.rows, k), newMatrix(k, a.cols)
		for j := range a.cols {
			col := make([]float64, a.rows)
			for i := range col {
				col[i] = a.at(i, j)
			}
			for range 2 {
				for p := range min(j, k) {
					d := 0.0
					for i := range col {
						d += q.at(i, p) * col[i]
					}
					r.set(p, j, r.at(p, j)+d)
					for i := range col {
						col[i] -= d * q.at(i, p)
					}
				}
			}
			if j < k {
				size := 0.0
				for _, v := range col {
					size = math.Hypot(size, v)
				}
				r.set(j, j, size)
				for i := range col {
					q.set(i, j, col[i]/size)
				}
			}
		}
		if n.Output == 0 {
			copy(out.Data[b*len(q.v):], q.v)
		} else {
			copy(out.Data[b*len(r.v):], r.v)
		}
	})
	return out, nil
}

// svd is one-sided Jacobi on the columns of the tall one of a and aᵀ.
func svd(n *ir.Node, in []*Array) (*Array, error) {
	out := NewArray(n.Shape)
	eachMatrix(in[0], func(b int, a matrix) {
		u, s, vh := jacobi(a)
		part := [...][]float64{u.v, s, vh.v}[n.Output]
		copy(out.Data[b*len(part):], part)
	})
	return out, nil
}

func jacobi(a matrix) (u matrix, s []float64, vh matrix) {
	if a.rows < a.cols {
		v, s, uh := jacobi(a.transposed())
		u, vh := uh.transposed(), v.transposed()
		fixSigns(u, vh)
		return u, s, vh
	}
	k := a.cols
	w := matrix{a.rows, k, slices.Clone(a.v)}
	v := newMatrix(k, k)
	for i := range k {
		v.set(i, i, 1)
	}
	rotate := func(m matrix, p, q int, c, s float64) {
		for i := range m.rows {
			x, y := m.at(i, p), m.at(i, q)
			m.set(i, p, c*x-s*y)
			m.set(i, q, s*x+c*y)
		}
	}
	for range 60 {
		off := 0.0
		for p := range k {
			for q := p + 1; q < k; q++ {
				var pp, qq, pq float64
				for i := range w.rows {
					pp += w.at(i, p) * w.at(i, p)
					qq += w.at(i, q) * w.at(i, q)
					pq += w.at(i, p) * w.at(i, q)
				}
				if pq == 0 {
					continue
				}
				off = math.Max(off, math.Abs(pq)/math.Sqrt(pp*qq))
				z := (qq - pp) / (2 * pq)
				t := math.Copysign(1, z) / (math.Abs(z) + math.Hypot(1, z))
				c := 1 / math.Hypot(1, t)
				rotate(w, p, q, c, c*t)
				rotate(v, p, q, c, c*t)
			}
		}
		if off < 1e-15 {
			break
		}
	}
	size := make([]float64, k)
	for j := range k {
		for i := range w.rows {
			size[j] = math.Hypot(size[j], w.at(i, j))
		}
	}
	order := ranked(size, true)
	u, vh, s = newMatrix(a.rows, k), newMatrix(k, k), make([]float64, k)
	for to, from := range order {
		s[to] = size[from]
		for i := range w.rows {
			u.set(i, to, w.at(i, from)/size[from])
		}
		for i := range k {
			vh.set(to, i, v.at(i, from))
		}
	}
	fixSigns(u, vh)
	return u, s, vh
}

// fixSigns makes the largest element of each column of u positive.
func fixSigns(u, vh matrix) {
	for j := range u.cols {
		best := 0.0
		for i := range u.rows {
			if math.Abs(u.at(i, j)) > math.Abs(best)*(1+1e-9) {
				best = u.at(i, j)
			}
		}
		if best >= 0 {
			continue
		}
		for i := range u.rows {
			u.set(i, j, -u.at(i, j))
		}
		for i := range vh.cols {
			vh.set(j, i, -vh.at(j, i))
		}
	}
}

// solve is Gaussian elimination with partial pivoting.
func solve(n *ir.Node, in []*Array) (*Array, error) {
	rank := len(n.Shape)
	size, cols := n.Shape[rank-2], n.Shape[rank-1]
	batch := n.Shape[:rank-2]
	a := in[0].broadcast(append(slices.Clone(batch), size, size))
	out := &Array{n.Shape, slices.Clone(in[1].broadcast(n.Shape).Data)}
	for b := range batch.Size() {
		m := matrix{size, size, slices.Clone(a.Data[b*size*size:][:size*size])}
		x := matrix{size, cols, out.Data[b*size*cols:][:size*cols]}
		for p := range size {
			pivot := p
			for i := p; i < size; i++ {
				if math.Abs(m.at(i, p)) > math.Abs(m.at(pivot, p)) {
					pivot = i
				}
			}
			for j := range size {
				m.v[p*size+j], m.v[pivot*size+j] = m.v[pivot*size+j], m.v[p*size+j]
			}
			for j := range cols {
				x.v[p*cols+j], x.v[pivot*cols+j] = x.v[pivot*cols+j], x.v[p*cols+j]
			}
			for i := range size {
				if i == p {
					continue
				}
				f := m.at(i, p) / m.at(p, p)
				for j := p; j < size; j++ {
					m.set(i, j, m.at(i, j)-f*m.at(p, j))
				}
				for j := range cols {
					x.set(i, j, x.at(i, j)-f*x.at(p, j))
				}
			}
		}
		for i := range size {
			for j := range cols {
				x.set(i, j, x.at(i, j)/m.at(i, i))
			}
		}
	}
	return out, nil
}
