// Package softmetal is a software Metal for Linux, for tests: a library that looks like libobjc and Metal.framework
// to the host code, and runs Metal Shading Language on the CPU. It takes MSL in and gives numbers, plus a list of
// everything the host code did that real Metal would punish.
//
// The library is C++ (folder runtime), built by clang 19 when it is first needed. MSL is turned into C++ by package
// msl and compiled by the program mslc, which the library calls. Lanes of a SIMD group meet only at SIMD operations
// and barriers; between those, threads run in one of three orders. Threadgroup memory starts poisoned, buffers end
// at a guard page, and dispatches of a concurrent encoder that touch the same bytes without a barrier are reported.
package softmetal
