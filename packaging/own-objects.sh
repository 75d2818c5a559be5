#!/bin/sh
# own-objects.sh FROM.a TO.a: keeps of a Rust static library only the objects of this crate.
# Knows how rustc names them (vmma.*) and nothing else. Writes TO only when it is complete.
set -eu
from=$(realpath "$1")
to=$2
ar=${AR:-ar}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
own=$("$ar" t "$from" | grep '^vmma\.' || true)
[ -n "$own" ] || { echo "own-objects: no object of ours in $from" >&2; exit 1; }
(
    cd "$work"
    n=0
    for member in $own; do
        "$ar" x "$from" "$member"
        mv "$member" "libvmma-$n.o" # the hash in rustc's name would differ from build to build
        n=$((n + 1))
    done
    "$ar" rcsD own.a libvmma-*.o
)
cmp -s "$work/own.a" "$to" || cp "$work/own.a" "$to"
