#!/usr/bin/env bash
# fuzz/replay.sh: every input of fuzz/corpus/ once more, with all assertions, on stable Rust. `make check` calls it.
# The last line is `N passed, N failed, N skipped`; it fails if an input fails or there are none.
set -euo pipefail
cd "$(dirname "$0")"

target=${CARGO_TARGET_DIR:-$PWD/../target}/fuzz/stable
${CARGO:-cargo} build --release --locked --quiet --manifest-path stable/Cargo.toml --target-dir "$target"
if command -v "${CC:-cc}" >/dev/null; then
    trace/build.sh "$target/trace" -DPLAIN -Wall -Wextra -Werror
    "$target/trace" corpus/trace/*
else
    echo "skipped: trace (no C compiler)"
fi
exec "$target/release/vmma-replay" replay corpus
