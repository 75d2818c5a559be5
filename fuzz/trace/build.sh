#!/usr/bin/env bash
# fuzz/trace/build.sh OUT [FLAGS...]: the target for the trace readers: a program of C, `$CC FLAGS`.
set -euo pipefail
cd "$(dirname "$0")"
out=$1
shift
"${CC:-cc}" -std=c11 -g -O1 "$@" -o "$out" trace.c bench.c ../../examples/vmtrace.c
