package cpu

import (
	"math"
	"slices"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// This file has the matrix factorisations. They run in float64 whatever the
// dtype, one matrix of the batch after the other.

func init() {
	register(compileQR, op.QR)
	register(compileSVD, op.SVD)
	register(compileSolve, op.Solve)
}

// matrix is row-major.
type matrix struct {
	rows, cols int
	v          []float64
}

func newMatrix(rows, cols int) matrix { return matrix{rows, cols, make([]float64, rows*cols)} }

func (m matrix) row(i int) []float64 { return m.v[i*m.cols : (i+1)*m.cols] }

// load64 reads n elements of a computed dtype as float64.
func load64(dst []float64, p unsafe.Pointer, d ir.DType) {
	if d == ir.F64 {
		copy(dst, slice[float64](p, len(dst)))
		return
	}
	for i, v := range slice[float32](p, len(dst)) {
		dst[i] = float64(v)
	}
}

func store64(p unsafe.Pointer, src []float64, d ir.DType) {
	if d == ir.F64 {
		copy(slice[float64](p, len(src)), src)
		return
	}
	for i, v := range src {
		*(*float32)(unsafe.Add(p, 4*i)) = float32(v)
	}
}

// factor runs f on each matrix of a batch; f returns the outputs.
func factor(r *run, s *plan.Step, f func(a matrix) [][]float64) (kernel, error) {
	x := newArg(&s.In[0])
	shape := s.In[0].Shape
	n := len(shape)
	rows, cols := shape[n-2], shape[n-1]
	outs := make([]*result, len(s.Out))
	for i := range outs {
		outs[i] = newResult(&s.Out[i])
	}
	return func() error {
		d := computed(s.In[0].DType)
		src := x.get(r)
		dst := make([]unsafe.Pointer, len(outs))
		for i, o := range outs {
			dst[i] = o.get(r)
		}
		a := newMatrix(rows, cols)
		for b := range shape[:n-2].Size() {
			if r.stopped() {
				return nil
			}
			load64(a.v, unsafe.Add(src, b*len(a.v)*d.Bytes()), d)
			for i, v := range f(a) {
				store64(unsafe.Add(dst[i], b*len(v)*d.Bytes()), v, d)
			}
		}
		for i, o := range outs {
			o.put(r, dst[i])
		}
		return nil
	}, nil
}

func compileQR(r *run, s *plan.Step) (kernel, error) {
	return factor(r, s, func(a matrix) [][]float64 {
		q, t := householder(a)
		return [][]float64{q.v, t.v}
	})
}

// householder factors a by reflections; the diagonal of the triangle is made
// non-negative.
func householder(a matrix) (q, t matrix) {
	m, n := a.rows, a.cols
	k := min(m, n)
	w := matrix{m, n, slices.Clone(a.v)}
	vs := make([][]float64, k)
	for j := range k {
		v := make([]float64, m)
		for i := j; i < m; i++ {
			v[i] = w.v[i*n+j]
		}
		if norm := euclidean(v); norm > 0 {
			v[j] += math.Copysign(norm, v[j])
			reflect(w, v, j, j)
		}
		vs[j] = v
	}
	q, t = newMatrix(m, k), newMatrix(k, n)
	for j := range k {
		q.v[j*k+j] = 1
	}
	for j := k - 1; j >= 0; j-- {
		reflect(q, vs[j], j, 0)
	}
	for i := range k {
		copy(t.row(i)[i:], w.row(i)[i:])
		if t.v[i*n+i] < 0 {
			for j := i; j < n; j++ {
				t.v[i*n+j] = -t.v[i*n+j]
			}
			for l := range m {
				q.v[l*k+i] = -q.v[l*k+i]
			}
		}
	}
	return q, t
}

// reflect applies I - 2vvᵀ/vᵀv to columns from c on; v is zero above row j. It walks
// along rows, as they lie.
func reflect(w matrix, v []float64, j, c int) {
	vv := 0.0
	for _, x := range v[j:] {
		vv += x * x
	}
	if vv == 0 {
		return
	}
	d := make([]float64, w.cols-c) // vᵀw
	for i := j; i < w.rows; i++ {
		addRow(d, v[i], w.row(i)[c:])
	}
	for i := j; i < w.rows; i++ {
		addRow(w.row(i)[c:], -2/vv*v[i], d)
	}
}

// addRow adds a·x to y.
func addRow(y []float64, a float64, x []float64) {
	x = x[:len(y)]
	i := 0
	for ; i+4 <= len(y); i += 4 {
		p, q := y[i:i+4:i+4], x[i:i+4:i+4]
		p[0] += a * q[0]
		p[1] += a * q[1]
		p[2] += a * q[2]
		p[3] += a * q[3]
	}
	for ; i < len(y); i++ {
		y[i] += a * x[i]
	}
}

// euclidean is the norm of x, without overflow on the way.
func euclidean(x []float64) float64 {
	most := 0.0
	for _, v := range x {
		if a := math.Abs(v); a > most || a != a {
			most = a
		}
	}
	if most == 0 || math.IsInf(most, 0) || most != most {
		return most
	}
	sum := 0.0
	for _, v := range x {
		sum += v / most * (v / most)
	}
	return most * math.Sqrt(sum)
}

func compileSVD(r *run, s *plan.Step) (kernel, error) {
	return factor(r, s, func(a matrix) [][]float64 {
		u, sv, vh := jacobi(a)
		return [][]float64{u.v, sv, vh.v}
	})
}

func (m matrix) transposed() matrix {
	t := newMatrix(m.cols, m.rows)
	for i := range m.rows {
		for j, v := range m.row(i) {
			t.v[j*m.rows+i] = v
		}
	}
	return t
}

// jacobi is the one-sided Jacobi method (Hestenes 1958): columns are rotated in
// pairs until all are orthogonal.
func jacobi(a matrix) (u matrix, s []float64, vh matrix) {
	if a.rows < a.cols {
		v, s, uh := jacobi(a.transposed())
		u, vh = uh.transposed(), v.transposed()
		fixSigns(u, vh)
		return u, s, vh
	}
	w := a.transposed() // rows are the columns
	k := a.cols
	v := newMatrix(k, k)
	for i := range k {
		v.v[i*k+i] = 1
	}
	for range 60 {
		if !sweep(w, v) {
			break
		}
	}
	size := make([]float64, k)
	order := make([]int, k)
	for j := range k {
		order[j], size[j] = j, euclidean(w.row(j))
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case size[i] > size[j]:
			return -1
		case size[i] < size[j]:
			return 1
		}
		return 0
	})
	ut := newMatrix(k, a.rows)
	vh, s = newMatrix(k, k), make([]float64, k)
	for to, from := range order {
		s[to] = size[from]
		copy(vh.row(to), v.row(from))
		for i, x := range w.row(from) {
			if size[from] > 0 {
				ut.v[to*a.rows+i] = x / size[from]
			}
		}
	}
	complete(ut, s)
	u = ut.transposed()
	fixSigns(u, vh)
	return u, s, vh
}

// sweep rotates each pair of rows of w (and of v) once and reports whether any
// was not orthogonal yet.
func sweep(w, v matrix) (changed bool) {
	squares := make([]float64, w.rows) // of the rows' norms, brought up to date by each turn
	for p := range squares {
		squares[p] = inner(w.row(p), w.row(p))
	}
	for p := range w.rows {
		for q := p + 1; q < w.rows; q++ {
			x, y := w.row(p), w.row(q)
			pp, qq, pq := squares[p], squares[q], inner(x, y)
			if pq == 0 || math.Abs(pq) <= 1e-15*math.Sqrt(pp*qq) {
				continue
			}
			changed = true
			z := (qq - pp) / (2 * pq)
			t := math.Copysign(1, z) / (math.Abs(z) + math.Hypot(1, z))
			c := 1 / math.Hypot(1, t)
			turn(x, y, c, c*t)
			squares[p], squares[q] = max(0, pp-t*pq), qq+t*pq
			turn(v.row(p), v.row(q), c, c*t)
		}
	}
	return changed
}

func turn(x, y []float64, c, s float64) {
	y = y[:len(x)]
	for i, a := range x {
		b := y[i]
		x[i], y[i] = c*a-s*b, s*a+c*b
	}
}

// inner is the inner product, in four sums.
func inner[T number](x, y []T) T {
	y = y[:len(x)]
	var a, b, c, d T
	for ; len(x) >= 4 && len(y) >= 4; x, y = x[4:], y[4:] {
		a += x[0] * y[0]
		b += x[1] * y[1]
		c += x[2] * y[2]
		d += x[3] * y[3]
	}
	for i, v := range x {
		a += v * y[i]
	}
	return (a + b) + (c + d)
}

// complete fills the rows that belong to singular values of 0 so that all rows
// are orthonormal.
func complete(ut matrix, s []float64) {
	for i := range ut.rows {
		if s[i] > 0 {
			continue
		}
		for unit := range ut.cols {
			row := ut.row(i)
			clear(row)
			row[unit] = 1
			for range 2 {
				for j := range i {
					d := 0.0
					for l, x := range ut.row(j) {
						d += x * row[l]
					}
					for l, x := range ut.row(j) {
						row[l] -= d * x
					}
				}
			}
			norm := euclidean(row)
			if norm > 0.5/math.Sqrt(float64(ut.cols)+1) {
				for l := range row {
					row[l] /= norm
				}
				break
			}
		}
	}
}

// fixSigns makes the element of largest magnitude of each column of u positive.
func fixSigns(u, vh matrix) {
	for j := range u.cols {
		best := 0.0
		for i := range u.rows {
			if x := u.v[i*u.cols+j]; math.Abs(x) > math.Abs(best)*(1+1e-9) {
				best = x
			}
		}
		if best >= 0 {
			continue
		}
		for i := range u.rows {
			u.v[i*u.cols+j] = -u.v[i*u.cols+j]
		}
		for i := range vh.row(j) {
			vh.row(j)[i] = -vh.row(j)[i]
		}
	}
}

// compileSolve solves a·w = b by elimination with partial pivoting.
func compileSolve(r *run, s *plan.Step) (kernel, error) {
	out := newResult(&s.Out[0])
	shape := s.Out[0].Shape
	n := len(shape)
	size, cols := shape[n-2], shape[n-1]
	ao, bo := s.In[0], s.In[1]
	ao.View = ao.View.Expand(append(slices.Clone(shape[:n-2]), size, size))
	bo.View = bo.View.Expand(shape)
	a, b := newArg(&ao), newArg(&bo)
	return func() error {
		d := computed(s.In[0].DType)
		pa, pb, dst := a.get(r), b.get(r), out.get(r)
		m, x := newMatrix(size, size), newMatrix(size, cols)
		for i := range shape[:n-2].Size() {
			if r.stopped() {
				return nil
			}
			load64(m.v, unsafe.Add(pa, i*len(m.v)*d.Bytes()), d)
			load64(x.v, unsafe.Add(pb, i*len(x.v)*d.Bytes()), d)
			eliminate(m, x)
			store64(unsafe.Add(dst, i*len(x.v)*d.Bytes()), x.v, d)
		}
		out.put(r, dst)
		return nil
	}, nil
}

// eliminate replaces x by the solution of m·w = x; m is destroyed.
func eliminate(m, x matrix) {
	n := m.rows
	for p := range n {
		pivot := p
		for i := p; i < n; i++ {
			if math.Abs(m.v[i*n+p]) > math.Abs(m.v[pivot*n+p]) {
				pivot = i
			}
		}
		if pivot != p {
			swap(m.row(p), m.row(pivot))
			swap(x.row(p), x.row(pivot))
		}
		for i := p + 1; i < n; i++ {
			f := m.v[i*n+p] / m.v[p*n+p]
			if f == 0 {
				continue
			}
			addRow(m.row(i)[p:], -f, m.row(p)[p:])
			addRow(x.row(i), -f, x.row(p))
		}
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			addRow(x.row(i), -m.v[i*n+k], x.row(k))
		}
		for j := range x.cols {
			x.v[i*x.cols+j] /= m.v[i*n+i]
		}
	}
}

func swap(a, b []float64) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}
