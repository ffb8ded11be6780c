#!/usr/bin/env bash
# Tests of the second implementation: against the vectors, then against a fresh running instance on each runtime.
# Called by `cargo xtask test`; installs what it needs into the target directory.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
target="${CARGO_TARGET_DIR:-$root/target}"
venv="$target/python-client"
python="$venv/bin/python"

if ! cmp --silent "$here/requirements.txt" "$venv/requirements.txt"; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        echo "Python 3.11 or later with venv is needed (Debian: apt-get install python3-venv)" >&2
        exit 1
    fi
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.txt"
fi

if [ -z "${LAMA_BIN:-}" ]; then
    cargo build --manifest-path "$root/Cargo.toml" --locked --quiet --package lama-cli
    export LAMA_BIN="$target/debug/lama"
fi
cd "$here"
export PYTHONDONTWRITEBYTECODE=1
"$python" -m unittest
