#!/bin/sh
# Writes the expected output of each program: what it prints when compiled.
# Run from this folder; needs the Go toolchain.
set -e
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for f in ${*:-*.go}; do
	name=${f%.go}
	go build -o "$dir/program" "$f"
	"$dir/program" >"$name.out" 2>&1 || echo "$name: exit status $?" >&2
done
