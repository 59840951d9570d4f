#!/usr/bin/env bash
# Runs matrix products through the call path that Accelerate takes on macOS, with
# OpenBLAS in its place, which has the same ABI. Needs no C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ "$(ldconfig -p)" != *libopenblas.so.0* ]]; then
  echo "OpenBLAS is missing: install libopenblas0-pthread" >&2
  exit 1
fi
export CGO_ENABLED=0
packages=(./internal/cpu/blas ./internal/cpu/gemm ./internal/eval)
go vet -tags openblas "${packages[@]}"
go test -short -tags openblas "${packages[@]}"
