#!/usr/bin/env bash
# Builds the release binaries and checks that the Linux ones are static.
set -euo pipefail
ldflags=${1:--s -w}
mkdir -p build/release
for os in linux darwin; do
  for arch in amd64 arm64; do
    out=build/release/loris-$os-$arch
    CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "$ldflags" -o "$out" ./cmd/loris
    if [ "$os" = linux ] && LC_ALL=C grep -aq -E '/lib(64)?/ld-(linux|musl)' "$out"; then
      echo "$out names an ELF interpreter: it is not static" >&2
      exit 1
    fi
    echo "$out $(($(wc -c <"$out") / 1024 / 1024)) MiB"
  done
done
