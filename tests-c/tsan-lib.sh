#!/usr/bin/env bash
# tsan-lib.sh TARGET-DIRECTORY OUT.a: the library with ThreadSanitizer in it, core included, for run.sh's VMMA_TSAN_LIB.
# Needs a nightly Rust with rust-src; says `skipped: ... (why)` and exits with 77 where there is none.
# Knows how cargo builds core anew, and which functions older runtimes of ThreadSanitizer lack.
set -u
cd "$(dirname "$0")/.." || exit 1
[ $# = 2 ] || { echo "usage: tsan-lib.sh TARGET-DIRECTORY OUT.a" >&2; exit 2; }
target=$1 out=$2
CARGO=${CARGO:-cargo} CC=${CC:-cc}

skip() {
    echo "skipped: the library under ThreadSanitizer ($*)"
    exit 77
}
sysroot=$(rustc +nightly --print sysroot 2>/dev/null) || skip "no nightly Rust"
[ -e "$sysroot/lib/rustlib/src/rust/library/core/Cargo.toml" ] || skip "nightly Rust without rust-src"
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
case $host in
x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
*) skip "not on $host" ;;
esac

mkdir -p "$target" "$(dirname "$out")" || exit 1
if ! VMMA_HEADER=skip CARGO_TARGET_DIR=$target RUSTFLAGS="-Zsanitizer=thread -Cdebuginfo=1" \
    "$CARGO" +nightly rustc --quiet -Zbuild-std=core --target "$host" --release --lib --crate-type staticlib \
    >"$target/build.log" 2>&1; then
    cat "$target/build.log"
    exit 1
fi
# Newer compilers call these; older runtimes only have what is behind them. Weak: a runtime's own win.
cat >"$target/shim.c" <<'C'
#include <string.h>
void *__tsan_memcpy(void *to, const void *from, size_t n);
void *__tsan_memset(void *to, int value, size_t n);
void *__tsan_memmove(void *to, const void *from, size_t n);
__attribute__((weak)) void *__tsan_memcpy(void *to, const void *from, size_t n) { return memcpy(to, from, n); }
__attribute__((weak)) void *__tsan_memset(void *to, int value, size_t n) { return memset(to, value, n); }
__attribute__((weak)) void *__tsan_memmove(void *to, const void *from, size_t n) { return memmove(to, from, n); }
C
"$CC" -O1 -c "$target/shim.c" -o "$target/shim.o" || exit 1
cp "$target/$host/release/libvmma.a" "$out" && "${AR:-ar}" rcs "$out" "$target/shim.o" >>"$target/build.log" 2>&1
