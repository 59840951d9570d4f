#include "textflag.h"

// func goroutine() unsafe.Pointer
TEXT ·goroutine(SB), NOSPLIT, $0-8
	MOVQ R14, ret+0(FP)
	RET
