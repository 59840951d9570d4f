#!/usr/bin/env bash
# Runs the Go tests: the packages of $1 under the race detector where a C
# compiler exists, those of $2 (which execute cells) without it.
set -euo pipefail
race=()
if command -v "${CC:-gcc}" >/dev/null 2>&1; then
  race=(-race)
  export CGO_ENABLED=1
else
  echo "no C compiler: the Go tests run without the race detector"
fi
# shellcheck disable=SC2086 # the lists are words
go test -timeout 30m "${race[@]}" $1
if [ -n "$2" ]; then
  # shellcheck disable=SC2086
  CGO_ENABLED=0 go test -timeout 30m $2
fi
if [ ${#race[@]} -gt 0 ]; then
  # Cells that run beside others never use yaegi: what they share must be guarded.
  go test "${race[@]}" -run Beside ./interp
fi
