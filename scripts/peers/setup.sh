#!/usr/bin/env bash
# Installs the peers of `make bench-peers` into build/peers: the Python ones from
# the registry (several GB), candle where cargo is present.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=build/peers
python=${PYTHON:-python3}
mkdir -p "$dir"
if ! cmp -s scripts/peers/requirements.txt "$dir/installed.txt"; then
  "$python" -m venv "$dir/venv"
  "$dir/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r scripts/peers/requirements.txt
  cp scripts/peers/requirements.txt "$dir/installed.txt"
fi
if command -v cargo >/dev/null 2>&1; then
  RUSTFLAGS="-C target-cpu=native" cargo build --release --quiet \
    --manifest-path scripts/peers/candle/Cargo.toml --target-dir "$dir/candle"
  cp "$dir/candle/release/candle-peer" "$dir/candle-peer"
else
  echo "cargo is missing: candle is left out"
fi
