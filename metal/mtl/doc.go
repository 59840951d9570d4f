// Package mtl is Metal as the host code uses it: kernels and buffers in, filled buffers, timings and errors out.
//
// One device has one command queue and one Stream. The stream keeps one command buffer open, with one encoder whose
// dispatches may run at the same time; a tracker of byte ranges puts a memory barrier where two of them touch the
// same bytes. Buffers are shared with the CPU and untracked by Metal, kept alive by the stream and recycled.
package mtl
