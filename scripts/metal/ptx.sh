#!/bin/sh
# Turns the Metal kernels into PTX with clang-19 (no CUDA SDK) and puts them with a runner into build/metal-ptx. Copy
# that folder to a machine with an NVIDIA GPU and start run.sh there.
set -eu
cd "$(dirname "$0")/../.."
CGO_ENABLED=0 exec go run -tags softmetal ./metal/ladder -ptx build/metal-ptx
