// Command cudarun runs the conformance cases on an NVIDIA GPU, from PTX that clang made of the Metal kernels, to see
// the same sources on real hardware with real concurrency. It needs the NVIDIA driver and nothing else. It is built
// for Linux with the tag softmetal, by `ladder -ptx`, which puts it into one folder with the PTX.
package main
