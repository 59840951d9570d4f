//go:build !noasm

#include "textflag.h"

// func call(code unsafe.Pointer, a *Arguments)
TEXT ·call(SB), NOSPLIT, $8-16
	MOVQ code+0(FP), BX
	MOVQ a+8(FP), AX
	CALL BX
	RET
