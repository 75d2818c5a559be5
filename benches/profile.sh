#!/bin/sh
# Where the instructions go, function by function, by callgrind. Knows the drivers' one-shot commands.
# usage: profile.sh BUILD-DIRECTORY VARIANT replay FILE | micro NAME | pairs SIZE COUNT
set -eu
b=$1
variant=$2
shift 2
command -v valgrind >/dev/null 2>&1 || { echo "skipped: profile (no valgrind)"; exit 0; }
f=$(mktemp)
valgrind --tool=callgrind --callgrind-out-file="$f" "$b/driver-vmma" "$variant" 512 4 "$@" >/dev/null 2>"$f.log" || { tail -n 3 "$f.log"; exit 1; }
callgrind_annotate --auto=no "$f" | sed -n '/Ir *file:function/,$p' | head -n 40
rm -f "$f" "$f.log"
