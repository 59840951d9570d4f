package gemm

import "unsafe"

// Span is a part of the k of a product whose factors the caller has laid out himself:
// it begins A elements into the rows of the left factor and B elements into the right
// one, whose rows lie Step elements apart.
type Span struct{ A, B, Step, K int }

// Tile runs the micro-kernel over such factors, for products that are no [Call], such
// as convolutions. One may be used by one goroutine at a time.
type Tile struct {
	t        tile
	out      [dotRows * 8]float32
	ends     [dotRows * 16]float32 // of rows, padded with zeros
	otherEnd [8 * 16]float32
}

// TileSize returns how large the products of a [Tile] are that take full registers,
// and of how many columns narrower ones are made.
func TileSize() (rows, cols, part int) {
	return active.mr, active.nr, active.nr / len(active.width)
}

// Run computes rows × cols of C = Σ A·B over the spans, or adds that to C. Rows of A
// and of C lie lda and ldc elements apart. There are at most as many columns as TileSize
// tells; those of the last part are computed, read in B and written to C, as a whole.
func (x *Tile) Run(c unsafe.Pointer, ldc int, a unsafe.Pointer, lda int, b unsafe.Pointer, spans []Span, rows, cols int, add bool) {
	t := &x.t
	t.ldc, t.ldinit = uintptr(4*ldc), uintptr(4*ldc)
	k := active
	multiply := k.width[len(k.width)-1]
	if cols != k.nr {
		multiply = k.width[k.readWidth(cols)*len(k.width)/k.nr-1]
	}
	blocks := 1
	if rows > k.mr {
		blocks = (rows + k.mr - 1) / k.mr
	}
	for len(spans) > 0 {
		group := spans[:min(len(spans), len(t.segment))]
		t.segments = len(group)
		for i := range group {
			// Field by field: a value as a whole is written twice, and read before it is there.
			from, to := &group[i], &t.segment[i]
			to.a, to.lda = unsafe.Add(a, 4*from.A), uintptr(4*lda)
			to.b, to.ldb, to.k = unsafe.Add(b, 4*from.B), uintptr(4*from.Step), from.K
		}
		t.c = c
		for left, n := rows, blocks; ; n-- {
			if t.rows = left; n > 1 {
				t.rows = left / n
			}
			if t.init = nil; add {
				t.init = t.c
			}
			multiply(t)
			if left -= t.rows; left == 0 {
				break
			}
			t.c = unsafe.Add(t.c, 4*t.rows*ldc)
			for i := range group {
				t.segment[i].a = unsafe.Add(t.segment[i].a, 4*t.rows*lda)
			}
		}
		spans, add = spans[len(group):], true
	}
}

// Forget drops the addresses of the last run: memory outside the heap may go away before
// the collector looks.
func (x *Tile) Forget() { x.t = tile{} }

// DotRows is how many rows the products of Dots have that use registers best.
const DotRows = dotRows

// Dots adds A·Bᵀ to rows × cols of C, for rows of A and B of k contiguous elements, as dot
// products. Rows of C, A and B lie ldc, lda and ldb elements apart.
func (x *Tile) Dots(c unsafe.Pointer, ldc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb, k, rows, cols int) {
	for i := 0; i < rows; i += dotRows {
		m := min(dotRows, rows-i)
		for j := 0; j < cols; {
			n := active.dotCols
			for n > cols-j {
				n /= 2
			}
			x.dots(unsafe.Add(c, 4*(i*ldc+j)), ldc, unsafe.Add(a, 4*i*lda), lda, unsafe.Add(b, 4*j*ldb), ldb, k, m, n)
			j += n
		}
	}
}

func (x *Tile) dots(c unsafe.Pointer, ldc int, a unsafe.Pointer, lda int, b unsafe.Pointer, ldb, k, m, n int) {
	add := func() {
		for i := range m {
			for j := range n {
				*(*float32)(unsafe.Add(c, 4*(i*ldc+j))) += x.out[active.dotCols*i+j]
			}
		}
	}
	lanes := active.lanes
	whole := k - k%lanes
	for from := 0; from < whole; from += dotLength {
		active.dot(&x.out[0], unsafe.Add(a, 4*from), uintptr(4*lda), unsafe.Add(b, 4*from), uintptr(4*ldb), min(dotLength, whole-from), m, n)
		add()
	}
	if whole == k {
		return
	}
	for i := range m {
		fillTail(x.ends[16*i:], unsafe.Add(a, 4*(i*lda+whole)), k-whole, lanes)
	}
	for j := range n {
		fillTail(x.otherEnd[16*j:], unsafe.Add(b, 4*(j*ldb+whole)), k-whole, lanes)
	}
	active.dot(&x.out[0], unsafe.Pointer(&x.ends), 64, unsafe.Pointer(&x.otherEnd), 64, lanes, m, n)
	add()
}
