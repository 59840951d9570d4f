// Package metal is the Metal backend. Below it: objc sends Objective-C messages, mtl is Metal's devices, buffers and
// command streams, kernels holds the MSL sources and their launches, launch joins the two, conformance proves the
// kernels on any device, softmetal is a Metal in software for tests, and ladder runs all proofs.
package metal
