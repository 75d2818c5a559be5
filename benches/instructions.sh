#!/bin/sh
# Instructions per pair of alloc and free, counted by callgrind: the difference of a long and a short run, less the same
# of an allocator whose functions are empty (for libvmma a shared library of the same names). Knows the drivers' "pairs".
# usage: instructions.sh BUILD-DIRECTORY OUT.tsv
set -u
b=$1
out=$2
command -v valgrind >/dev/null 2>&1 || { echo "skipped: instructions (no valgrind)"; exit 0; }
short=2000
long=22000
count() { # driver variant size: instructions per pair, in hundredths
    for n in $short $long; do
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" "$2" 64 4 pairs "$3" "$n" 2>&1 |
            sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
    done | { read -r a && read -r z && echo $(((z - a) * 100 / (long - short))); }
}
printf 'allocator\tsize\tinstructions\n' > "$out"
for size in 16 64 256 1024 4096 32768; do
    base=$(count "$b/driver-empty" - "$size")
    vbase=$(LD_LIBRARY_PATH=$b/empty count "$b/driver-vmma" default "$size")
    row() { # label driver variant base
        [ -x "$b/driver-$2" ] || return 0
        n=$(count "$b/driver-$2" "$3" "$size")
        [ -n "$n" ] || { echo "skipped: $1 (callgrind gave no count)"; return 0; }
        n=$((n - $4))
        printf '%s\t%s\t%d.%02d\n' "$1" "$size" $((n / 100)) $((n % 100)) | tee -a "$out"
    }
    row "libvmma" vmma default "$vbase"
    row "libvmma PACKED" vmma packed "$vbase"
    row "libvmma NO_CACHE" vmma nocache "$vbase"
    if [ $size = 64 ]; then
        for flag in threads shared zero wipe guard quarantine release abort; do
            row "flag $flag" vmma $flag "$vbase"
        done
    fi
    row "mimalloc 2 heaps" mimalloc2 keep "$base"
    row "mimalloc 3 heaps" mimalloc3 keep "$base"
    row "glibc malloc" glibc - "$base"
    row "dlmalloc mspace" dlmalloc - "$base"
    row "TLSF" tlsf - "$base"
    row "o1heap" o1heap - "$base"
    row "floor" floor - "$base"
done
