#!/bin/sh
# The Metal ladder: every proof that this machine allows. On Linux it needs clang-19, lld-19 and, for the arm64 rung,
# qemu-user and the arm64 cross headers:
#   apt-get install clang-19 lld-19 libclang-rt-19-dev llvm-19 qemu-user \
#     libstdc++-12-dev-arm64-cross libc6-dev-arm64-cross libgcc-12-dev-arm64-cross
# Writes build/metal.json; the last line is "metal ladder: N kernels, M cases, F failed". Arguments go to the ladder.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build
export CGO_ENABLED=0
if [ "$(uname)" = Darwin ]; then
  export MTL_DEBUG_LAYER=1 MTL_SHADER_VALIDATION=1
  go test ./metal/...
else
  if ! command -v clang++-19 >/dev/null; then
    echo "metal ladder: skipped, clang++-19 is not installed (Debian: apt-get install clang-19 lld-19)"
    exit 0
  fi
  go test ./metal/... && go test -tags softmetal ./metal/mtl ./metal/softmetal/... ./metal/objc/... ./metal/kernels
  go test -tags softmetal -run Training ./metal/conformance
  # The device: a quarter of the cases of the op table, or all with LORIS_METAL_FULL=1.
  parts=4
  [ "${LORIS_METAL_FULL:-}" != 1 ] || parts=1
  go test -tags softmetal -timeout 60m ./metal -args -parts "$parts"
fi
go build -tags softmetal -o build/metal-ladder ./metal/ladder
exec build/metal-ladder -o build/metal.json "$@"
