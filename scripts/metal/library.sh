#!/bin/sh
# Builds the software Metal and prints the two environment variables by which a program built with -tags softmetal
# finds it: eval "$(scripts/metal/library.sh)" && build/loris-softmetal …
set -eu
cd "$(dirname "$0")/../.."
CGO_ENABLED=0 exec go run ./metal/softmetal/mslc -library
