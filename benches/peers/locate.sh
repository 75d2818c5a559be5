#!/bin/sh
# Fetches the peers' archives with cargo and prints make variables with the places of their C sources.
# A peer that cannot be had is left empty and named as skipped. Knows nothing of libvmma.
# usage: locate.sh CRATE-DIRECTORY OUTPUT
set -u
here=$1
out=$2
tmp=$out.tmp
work=$out.pkg
mkdir -p "$work"
cp "$here/Cargo.toml" "$here/lib.rs" "$work/"
: > "$tmp"
if command -v cargo >/dev/null 2>&1; then
    (cd "$work" && cargo fetch -q && cargo metadata -q --format-version 1) > "$out.json" 2> "$out.log" ||
        echo "skipped: peers (cargo could not fetch them: $(tail -n 1 "$out.log"))" >&2
else
    echo "skipped: peers (no cargo)" >&2
    : > "$out.json"
fi
crate() { # prints the directory of a crate
    tr ',' '\n' < "$out.json" 2>/dev/null |
        sed -n 's/.*"manifest_path":"\([^"]*\)\/Cargo.toml".*/\1/p' | grep "/$1-[0-9][^/]*\$" | head -n 1
}
put() { # variable, file that must exist, name
    if [ -n "$2" ] && [ -f "$2" ]; then
        echo "$1 := $2" >> "$tmp"
    else
        echo "$1 :=" >> "$tmp"
        echo "skipped: $3 (its source was not found in the fetched crates)" >&2
    fi
}
mi=$(crate libmimalloc-sys)/c_src/mimalloc
put MI2 "$mi/v2/src/static.c" "mimalloc 2"
put MI3 "$mi/v3/src/static.c" "mimalloc 3"
put DLMALLOC "$(crate libffi-sys)/libffi/src/dlmalloc.c" "dlmalloc mspace"
put TLSF "$(crate lvgl-sys)/vendor/lvgl/src/misc/lv_tlsf.c" TLSF
put O1HEAP "$(crate o1heap)/o1heap/o1heap/o1heap.c" o1heap
mv "$tmp" "$out"
