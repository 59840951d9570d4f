//go:build (amd64 || arm64) && !noasm

package feature

const hasAssembly = true
