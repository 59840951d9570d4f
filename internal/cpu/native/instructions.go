package native

// form is how an instruction's operands lie in its encoding.
type form uint8

const (
	threeOperands form = iota // second source (or memory), first source, destination
	twoOperands               // source (or memory), destination
	store                     // source, memory (or destination)
	shift                     // immediate, source, destination
	blend                     // second source, first source, mask register, destination
	blendLanes                // mask vector, second source, first source, destination
)

// Widths of vectors in bytes, of which instructions have sets. Those on Z registers are
// encoded as EVEX, the others as VEX.
const (
	xmm = 16
	ymm = 32
	zmm = 64
)

// wide64 marks an instruction on lanes of 64 bits, beside its prefix.
const wide64 = 0x80

// encoding is an instruction: VEX prefix and opcode map as the processor counts them, and
// the bytes that its memory operand has with Z registers, by which EVEX scales a short
// displacement.
type encoding struct {
	form          form
	widths        byte
	prefix, opmap byte // prefix: 0 none, 1 66, 2 F3, 3 F2; map: 1 0F, 2 0F38, 3 0F3A
	opcode        byte
	bytes         int
	immediate     bool // comes first and last
	extension     byte // of a shift's opcode
}

var encodings = map[string]encoding{
	"VADDPS": {threeOperands, ymm | zmm, 0, 1, 0x58, 64, false, 0}, "VMULPS": {threeOperands, ymm | zmm, 0, 1, 0x59, 64, false, 0},
	"VSUBPS": {threeOperands, ymm | zmm, 0, 1, 0x5c, 64, false, 0}, "VMINPS": {threeOperands, ymm | zmm, 0, 1, 0x5d, 64, false, 0},
	"VDIVPS": {threeOperands, ymm | zmm, 0, 1, 0x5e, 64, false, 0}, "VMAXPS": {threeOperands, ymm | zmm, 0, 1, 0x5f, 64, false, 0},
	"VFMADD213PS": {threeOperands, ymm | zmm, 1, 2, 0xa8, 64, false, 0}, "VFMADD231PS": {threeOperands, ymm | zmm, 1, 2, 0xb8, 64, false, 0},
	"VFMSUB213PS": {threeOperands, ymm | zmm, 1, 2, 0xaa, 64, false, 0}, "VFMSUB231PS": {threeOperands, ymm | zmm, 1, 2, 0xba, 64, false, 0},
	"VFNMADD213PS": {threeOperands, ymm | zmm, 1, 2, 0xac, 64, false, 0}, "VFNMADD231PS": {threeOperands, ymm | zmm, 1, 2, 0xbc, 64, false, 0},
	"VPADDD": {threeOperands, ymm | zmm, 1, 1, 0xfe, 64, false, 0}, "VPSUBD": {threeOperands, ymm | zmm, 1, 1, 0xfa, 64, false, 0},
	"VPMULLD": {threeOperands, ymm | zmm, 1, 2, 0x40, 64, false, 0}, "VPMINSD": {threeOperands, ymm | zmm, 1, 2, 0x39, 64, false, 0},
	"VPMAXSD": {threeOperands, ymm | zmm, 1, 2, 0x3d, 64, false, 0}, "VCMPPS": {threeOperands, ymm | zmm, 0, 1, 0xc2, 64, true, 0},
	"VPCMPEQD": {threeOperands, ymm | zmm, 1, 1, 0x76, 64, false, 0}, "VPCMPGTD": {threeOperands, ymm | zmm, 1, 1, 0x66, 64, false, 0},
	"VPAND": {threeOperands, ymm, 1, 1, 0xdb, 64, false, 0}, "VPANDD": {threeOperands, zmm, 1, 1, 0xdb, 64, false, 0},
	"VPANDN": {threeOperands, ymm, 1, 1, 0xdf, 64, false, 0}, "VPANDND": {threeOperands, zmm, 1, 1, 0xdf, 64, false, 0},
	"VPOR": {threeOperands, ymm, 1, 1, 0xeb, 64, false, 0}, "VPORD": {threeOperands, zmm, 1, 1, 0xeb, 64, false, 0},
	"VPXOR": {threeOperands, ymm, 1, 1, 0xef, 64, false, 0}, "VPXORD": {threeOperands, zmm, 1, 1, 0xef, 64, false, 0},
	"VSCALEFPS": {threeOperands, zmm, 1, 2, 0x2c, 64, false, 0},

	"VSQRTPS": {twoOperands, ymm | zmm, 0, 1, 0x51, 64, false, 0}, "VRCP14PS": {twoOperands, zmm, 1, 2, 0x4c, 64, false, 0},
	"VCVTPS2DQ": {twoOperands, ymm | zmm, 1, 1, 0x5b, 64, false, 0}, "VCVTTPS2DQ": {twoOperands, ymm | zmm, 2, 1, 0x5b, 64, false, 0},
	"VCVTDQ2PS": {twoOperands, ymm | zmm, 0, 1, 0x5b, 64, false, 0}, "VRNDSCALEPS": {twoOperands, zmm, 1, 3, 0x08, 64, true, 0},
	"VROUNDPS": {twoOperands, ymm, 1, 3, 0x08, 64, true, 0}, "VMOVUPS": {twoOperands, ymm | zmm, 0, 1, 0x10, 64, false, 0},
	"VBROADCASTSS": {twoOperands, ymm | zmm, 1, 2, 0x18, 4, false, 0}, "VCVTPH2PS": {twoOperands, ymm | zmm, 1, 2, 0x13, 32, false, 0},
	"VPMOVZXWD": {twoOperands, ymm | zmm, 1, 2, 0x33, 32, false, 0}, "VPMOVZXBD": {twoOperands, ymm | zmm, 1, 2, 0x31, 16, false, 0},
	"VPMOVD2M": {twoOperands, zmm, 2, 2, 0x39, 64, false, 0}, "VPMOVM2D": {twoOperands, zmm, 2, 2, 0x38, 64, false, 0},

	"VSHUFF32X4": {threeOperands, zmm, 1, 3, 0x23, 64, true, 0}, "VPERM2F128": {threeOperands, ymm, 1, 3, 0x06, 64, true, 0},
	"VPERMILPS": {twoOperands, ymm | zmm, 1, 3, 0x04, 64, true, 0}, "VPERMQ": {twoOperands, ymm, 1 | wide64, 3, 0x00, 64, true, 0},
	"VPACKUSDW": {threeOperands, ymm, 1, 2, 0x2b, 64, false, 0}, "VPACKUSWB": {threeOperands, xmm, 1, 1, 0x67, 64, false, 0},

	"VMOVAPS": {store, ymm | zmm, 0, 1, 0x29, 64, false, 0}, "VCVTPS2PH": {store, ymm | zmm, 1, 3, 0x1d, 32, true, 0},
	"VPMOVDW": {store, zmm, 2, 2, 0x33, 32, false, 0}, "VPMOVDB": {store, zmm, 2, 2, 0x31, 16, false, 0},
	"VMOVQ": {store, xmm, 1 | wide64, 1, 0x7e, 8, false, 0}, "VMOVSS": {store, xmm, 2, 1, 0x11, 4, false, 0},

	"VPSLLD": {shift, ymm | zmm, 1, 1, 0x72, 64, true, 6}, "VPSRLD": {shift, ymm | zmm, 1, 1, 0x72, 64, true, 2},
	"VPSRAD":    {shift, ymm | zmm, 1, 1, 0x72, 64, true, 4},
	"VBLENDMPS": {blend, zmm, 1, 2, 0x65, 64, false, 0}, "VBLENDVPS": {blendLanes, ymm, 1, 3, 0x4a, 64, false, 0},
}

// storeUnaligned is VMOVUPS to memory.
var storeUnaligned = encoding{store, xmm | ymm | zmm, 0, 1, 0x11, 64, false, 0}
