#!/usr/bin/env bash
# Runs the tests of everything with arm64 assembly (NEON kernels, the entry
# points of run-time types) under qemu-user. Correctness only: an emulator says
# nothing about speed.
set -euo pipefail
cd "$(dirname "$0")/.."
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if [ "$(uname -m)" = aarch64 ]; then
  qemu=
elif [ -z "$qemu" ]; then
  echo "qemu-user is missing: install qemu-user-static" >&2
  exit 1
fi
# What has assembly, and what runs it.
packages=($(find ./internal ./interp -name '*_arm64.s' -exec dirname {} + | sort -u)
  ./internal/cpu/attention ./internal/cpu/pool ./internal/cpu ./interp)
export CGO_ENABLED=0 GOARCH=arm64
go vet "${packages[@]}"
# The oracle of the random session is a program compiled for this machine.
go test ${qemu:+-exec "$qemu"} -short -timeout 20m -skip TestRandomSessionAgainstCompiledGo "${packages[@]}"
