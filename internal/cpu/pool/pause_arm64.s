//go:build !noasm

#include "textflag.h"

// func pause(n int); ISB waits longer than YIELD, which most cores ignore
TEXT ·pause(SB), NOSPLIT, $0-8
	MOVD n+0(FP), R0
loop:
	ISB  $15
	SUBS $1, R0, R0
	BNE  loop
	RET
