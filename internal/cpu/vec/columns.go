package vec

import "unsafe"

// The sums and extremes of columns fold rows into a row of results: dst[j] becomes
// the fold of dst[j] and of x[i][j] over all rows i.

// AddColumns adds the rows of x to dst, one after the other: callers that add many
// rows add up parts of them, for the error grows with the number of rows.
func AddColumns(dst []float32, x Rows, rows int) { foldRows(kAddColumns, Add, dst, x, rows) }

// MaxColumns keeps the larger elements in dst, NaN where there is one.
func MaxColumns(dst []float32, x Rows, rows int) { foldRows(kMaxColumns, Maximum, dst, x, rows) }

// MinColumns keeps the smaller elements in dst, NaN where there is one.
func MinColumns(dst []float32, x Rows, rows int) { foldRows(kMinColumns, Minimum, dst, x, rows) }

func foldRows(k rowKernel, o Op, dst []float32, x Rows, rows int) {
	n := len(dst)
	if n == 0 {
		return
	}
	at := func(i int) unsafe.Pointer { return unsafe.Add(x.Data, 4*i*x.Stride) }
	if threes := rows / 3; threes > 0 {
		s := scraps.Get().(*scrap)
		ld := 3 * x.bytes()
		s.r = rowArgs{dst: unsafe.Pointer(&dst[0]), x: at(0), b: at(1), c: at(2), ldx: ld, ldb: ld, ldc: ld, rows: threes, n: n}
		runRows(k, &s.r)
		s.r = rowArgs{}
		scraps.Put(s)
	}
	for i := rows / 3 * 3; i < rows; i++ {
		Binary(o, dst, dst, unsafe.Slice((*float32)(at(i)), n))
	}
}
