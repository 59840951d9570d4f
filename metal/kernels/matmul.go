package kernels

import (
	"fmt"
	"math"
	"math/bits"
)

func floatBits(f float32) uint32 { return math.Float32bits(f) }

// Activation is a function applied to elements on their way.
type Activation uint32

const (
	Identity Activation = iota
	Relu
	Gelu
	GeluTanh
	Silu
	Sigmoid
	Tanh
)

// Chip is what the choice of tiles needs to know of the GPU.
type Chip struct {
	Class byte // 'p' phone, 'g' base, 's' Pro and Max, 'd' Ultra
}

// Tile is the block of the result that a threadgroup makes, BK of the inner dimension at a time, by SM×SN SIMD groups:
// 32·SM·SN is tileThreads.
type Tile struct{ BM, BN, BK, SM, SN int }

func (t Tile) String() string { return fmt.Sprintf("%dx%dx%d", t.BM, t.BN, t.BK) }

var (
	LargeTile = Tile{64, 64, 16, 2, 2}
	WideTile  = Tile{32, 64, 16, 2, 2}
	SmallTile = Tile{32, 32, 16, 2, 2}
)

// Tiles lists all shapes that GEMM uses.
var Tiles = []Tile{LargeTile, WideTile, SmallTile}

// GEMM describes C = activate(alpha·A'·B + bias + addend), A' = prologue(A)·gate, for `Batches` matrices. Strides are
// in elements; a zero row stride means dense rows, a zero batch stride one matrix for all.
type GEMM struct {
	Type                   Type
	M, N, K                int
	TransposeA, TransposeB bool
	RowA, RowB, RowC       int
	BatchA, BatchB, BatchC int
	Batches                int // 0 is 1
	Alpha                  float32
	Bias, Addend, Gate     bool
	Prologue, Activation   Activation
	Tile                   Tile // zero: chosen
	Splits                 int  // of K; 0: chosen
}

// Resolve fills in what was left zero: strides, tile, splits.
func (g GEMM) Resolve(chip Chip) GEMM {
	if g.Batches == 0 {
		g.Batches = 1
	}
	pick := func(stride *int, transposed bool, rows, columns int) {
		if *stride == 0 {
			*stride = columns
			if transposed {
				*stride = rows
			}
		}
	}
	pick(&g.RowA, g.TransposeA, g.M, g.K)
	pick(&g.RowB, g.TransposeB, g.K, g.N)
	pick(&g.RowC, false, g.M, g.N)
	if g.Batches > 1 && g.BatchC == 0 {
		g.BatchC = g.M * g.RowC
	}
	if g.Tile == (Tile{}) {
		g.Tile = chooseTile(g, chip)
	}
	if g.Splits == 0 {
		g.Splits = chooseSplits(g, chip)
	}
	return g
}

// chooseTile takes the largest tile that still gives each core about two threadgroups.
func chooseTile(g GEMM, chip Chip) Tile {
	cores := map[byte]int{'p': 6, 'g': 10, 's': 30, 'd': 60}[chip.Class]
	if cores == 0 {
		cores = 10
	}
	for _, t := range []Tile{LargeTile, WideTile} {
		if ceil(g.M, t.BM)*ceil(g.N, t.BN)*g.Batches >= 2*cores && g.M >= t.BM && g.N >= t.BN {
			return t
		}
	}
	return SmallTile
}

// chooseSplits divides a long K when the result has few tiles, as mlx does: by size of the result in 16×16 blocks.
func chooseSplits(g GEMM, chip Chip) int {
	blocks := 1024
	if chip.Class == 's' || chip.Class == 'd' {
		blocks = 2048
	}
	if g.Batches > 1 || ceil(g.M, 16)*ceil(g.N, 16) > blocks || g.K < 128 || g.K < max(g.M, g.N) {
		return 1
	}
	tiles := ceil(g.M, g.Tile.BM) * ceil(g.N, g.Tile.BN)
	wanted := g.K / 16 / tiles
	if wanted < 2 {
		return 1
	}
	return min(32, 1<<bits.Len(uint(wanted-1)))
}

// PerSplit is the part of K that one split of a resolved product sums.
func (g GEMM) PerSplit() int { return ceil(ceil(g.K, g.Splits), g.Tile.BK) * g.Tile.BK }

// Launches returns the one or two dispatches of the product. With two, the first writes `partial`, a float scratch
// buffer, and the second reads it.
func (g GEMM) Launches(chip Chip) []*Launch {
	g = g.Resolve(chip)
	size := func(batch, rows, row, columns int) int {
		return (g.Batches-1)*batch + (rows-1)*row + columns
	}
	aSize, bSize := size(g.BatchA, g.M, g.RowA, g.K), size(g.BatchB, g.K, g.RowB, g.N)
	if g.TransposeA {
		aSize = size(g.BatchA, g.K, g.RowA, g.M)
	}
	if g.TransposeB {
		bSize = size(g.BatchB, g.N, g.RowB, g.K)
	}
	cSize := size(g.BatchC, g.M, g.RowC, g.N)
	split := g.Splits > 1
	perSplit := g.PerSplit()
	splits := max(1, ceil(g.K, perSplit))
	partial := g.M * g.N * g.Batches * splits
	flags := constants(g.TransposeA, g.TransposeB, g.Bias, g.Addend, uint32(g.Activation), g.Gate, uint32(g.Prologue), split)
	t := g.Tile
	text := source("gemm.metal", g.Type, fmt.Sprintf("BM %d", t.BM), fmt.Sprintf("BN %d", t.BN), fmt.Sprintf("BK %d", t.BK), fmt.Sprintf("SM %d", t.SM), fmt.Sprintf("SN %d", t.SN))
	bias, addend := in("bias", g.Type, sizeIf(g.Bias, g.N)), in("addend", g.Type, sizeIf(g.Addend, cSize))
	first := &Launch{
		Kernel: "gemm", Variant: fmt.Sprintf("%v %v", g.Type, t), Source: text, Constants: flags,
		Arguments: []Argument{in("A", g.Type, aSize), in("B", g.Type, bSize), bias, addend, in("gate", g.Type, sizeIf(g.Gate, aSize)),
			out("C", g.Type, sizeIf(!split, cSize)), out("partial", F32, sizeIf(split, partial))},
		Params:  params(g.M, g.N, g.K, g.RowA, g.RowB, g.RowC, g.BatchA, g.BatchB, g.BatchC, g.Batches, perSplit, g.Alpha),
		Factor:  44,
		Groups:  [3]int{ceil(g.N, t.BN), ceil(g.M, t.BM), g.Batches * splits},
		Threads: [3]int{tileThreads, 1, 1},
		Flops:   2 * int64(g.M) * int64(g.N) * int64(g.K) * int64(g.Batches),
	}
	if !split {
		return []*Launch{first.account()}
	}
	first.Arguments[2], first.Arguments[3] = in("bias", g.Type, 0), in("addend", g.Type, 0)
	second := &Launch{
		Kernel: "gemm_sum_splits", Variant: g.Type.String(), Source: text, Constants: flags,
		Arguments: []Argument{in("partial", F32, partial), bias, addend, out("C", g.Type, cSize)},
		Params:    params(g.M, g.N, splits, g.Batches, g.RowC, g.BatchC, g.Alpha),
		Factor:    24,
	}
	second.flat(g.M * g.N * g.Batches)
	return []*Launch{first.account(), second.account()}
}

// GEMV describes y[M,N] = activate(x[M,K]·Wᵀ + bias) with W [N,K], or x·W with W [K,N] if not TransposeW; M is at most
// MaxVectors.
type GEMV struct {
	Type       Type
	M, N, K    int
	TransposeW bool // W is [N,K], the usual layout of weights
	RowW       int
	Bias       bool
	Activation Activation
}

// MaxVectors is how many vectors GEMV multiplies at once: VECTORS in gemv.metal.
const MaxVectors = 4

// Launch returns the product's dispatch.
func (g GEMV) Launch() *Launch {
	rows, columns, kernel, groups, threads := g.K, g.N, "gemv_transposed", ceil(g.N, 32), 256
	if g.TransposeW {
		rows, columns, kernel, groups, threads = g.N, g.K, "gemv", ceil(g.N, 16), tileThreads
	}
	if g.RowW == 0 {
		g.RowW = columns
	}
	l := &Launch{Kernel: kernel, Variant: g.Type.String(), Source: source("gemv.metal", g.Type), Constants: constants(g.Bias, uint32(g.Activation), uint32(g.M)),
		Arguments: []Argument{in("W", g.Type, (rows-1)*g.RowW+columns), in("x", g.Type, g.M*g.K), in("bias", g.Type, sizeIf(g.Bias, g.N)), out("y", g.Type, g.M*g.N)},
		Params:    params(g.N, g.K, g.RowW), Groups: [3]int{groups, 1, 1}, Threads: [3]int{threads, 1, 1}, Flops: 2 * int64(g.M) * int64(g.N) * int64(g.K)}
	return l.account()
}

// QuantGroup is the number of consecutive weights of a row that share a scale and a low.
const QuantGroup = 32

// Quantised describes a product with weights W [N,K] of 4 or 8 bits, packed as quantised.metal tells.
type Quantised struct {
	Type    Type
	M, N, K int
	Bits    int // 4 or 8
}

// Groups is the number of groups of W.
func (q Quantised) Groups() int { return q.N * ceil(q.K, QuantGroup) }

// Words is the number of 32-bit words that the weights without scales and lows take.
func (q Quantised) Words() int { return q.Groups() * q.Bits }

func (q Quantised) launch(kernel string, arguments ...Argument) *Launch {
	l := &Launch{Kernel: kernel, Variant: fmt.Sprintf("%v q%d", q.Type, q.Bits), Source: source("quantised.metal", q.Type, fmt.Sprintf("BITS %d", q.Bits)),
		Arguments: append([]Argument{in("W", U32, q.Words()), in("scales", F32, q.Groups()), in("lows", F32, q.Groups())}, arguments...),
		Params:    params(q.M, q.N, q.K), Threads: [3]int{tileThreads, 1, 1}, Flops: 2 * int64(q.M) * int64(q.N) * int64(q.K)}
	return l.account()
}

// Launch returns the dispatch of y[M,N] = x[M,K]·Wᵀ: by rows of W for up to 8 rows of x, by tiles beyond.
func (q Quantised) Launch() *Launch {
	x, y := in("x", q.Type, q.M*q.K), out("y", q.Type, q.M*q.N)
	if q.M <= 8 {
		l := q.launch("quantised_gemv", x, y)
		l.Groups = [3]int{ceil(q.N, 4), q.M, 1}
		return l
	}
	l := q.launch("quantised_gemm", x, y)
	l.Groups = [3]int{ceil(q.N, 32), ceil(q.M, 32), 1}
	return l
}

// Transposed returns the dispatch of y[M,K] = x[M,N]·W.
func (q Quantised) Transposed() *Launch {
	l := q.launch("quantised_gemm_transposed", in("x", q.Type, q.M*q.N), out("y", q.Type, q.M*q.K))
	l.Groups = [3]int{ceil(q.K, QuantGroup), ceil(q.M, 32), 1}
	return l
}

// Dequantise returns the dispatch that writes all of W out.
func (q Quantised) Dequantise() *Launch {
	l := q.launch("dequantise", out("out", q.Type, q.N*q.K))
	l.flat(q.Words())
	return l
}
