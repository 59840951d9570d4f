// Package metal is the Metal device: steps of plans come in (lower.go and its neighbours turn each into launches of
// kernels, pairs.go joins those that one launch can do), and runs of them go out as dispatches on the one stream
// (executable.go). Steps that it has no kernel for are planned onto the CPU, which the graph view and timings show.
//
// Below it: objc sends Objective-C messages, mtl is Metal's devices, buffers and command streams, kernels holds the MSL
// sources and their launches, launch joins the two, conformance proves the kernels on any device, softmetal is a Metal
// in software for tests, and ladder runs all proofs.
package metal
