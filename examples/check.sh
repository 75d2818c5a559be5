#!/bin/sh
# check.sh - compiles and runs the examples, and says what passed. Called by `make check` here.
#
# It takes its places from the environment (OUT, INCLUDE, LIBDIR, LUA, TRACES, CC, CFLAGS, MAKE).
# An example whose dependency is missing is skipped by name. The last line counts; the exit code
# is 1 if anything failed.
set -u
cd "$(dirname "$0")" || exit 1
passed=0 failed=0 skipped=0
mkdir -p "$OUT" || exit 1
log=$OUT/check.log

pass() { passed=$((passed + 1)); echo "ok: $1"; }
skip() { skipped=$((skipped + 1)); echo "skipped: $1"; }
fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    sed 's/^/    /' "$log" | tail -n 25
}

# expect CLAIM CODE TEXT COMMAND...: the command ends with that exit code and prints that text.
expect() {
    claim=$1 code=$2 text=$3
    shift 3
    "$@" >"$log" 2>&1
    got=$?
    if [ $got -ne "$code" ]; then
        echo "exit code $got, expected $code" >>"$log"
        fail "$claim"
    elif [ -n "$text" ] && ! grep -qF -- "$text" "$log"; then
        echo "expected the text: $text" >>"$log"
        fail "$claim"
    else
        pass "$claim"
    fi
}

build() {
    if $MAKE --no-print-directory "$1" OUT="$OUT" INCLUDE="$INCLUDE" LIBDIR="$LIBDIR" LUA="$LUA" \
        CC="$CC" CFLAGS="$CFLAGS" >"$log" 2>&1; then
        return 0
    fi
    fail "$1 (does not compile)"
    return 1
}

# has CODE FLAGS: a program with that first line compiles and links.
has() {
    printf '%s\nint main(void) { return 0; }\n' "$1" >"$OUT/probe.c"
    # shellcheck disable=SC2086
    $CC "$OUT/probe.c" -o "$OUT/probe" $2 >/dev/null 2>&1
}

# ---- quickstart: the README's example, in the oldest C it promises, and short
if build quickstart; then
    expect "quickstart runs" 0 "hello from a heap of its own" "$OUT/quickstart"
    expect "quickstart is clean C99" 0 "" \
        "$CC" -std=c99 -Wall -Wextra -Wpedantic -Werror "-I$INCLUDE" -c quickstart.c -o "$OUT/probe.o"
    lines=$(grep -cv '^$\|^/\*' quickstart.c)
    echo "quickstart.c has $lines lines of code" >"$log"
    if [ "$lines" -le 20 ]; then pass "quickstart has at most 20 lines"; else fail "quickstart is too long"; fi
fi

# ---- hosts
if sh find-lua.sh "$OUT" "$LUA" >"$log" 2>&1; then
    if build host; then
        rm -f "$OUT/check-map.svg"
        expect "host: Lua programs, each in a client of its own" 0 "Every claim was checked" \
            "$OUT/host" lua "$OUT/check-map.svg"
        expect "host leaves a heap map that names its clients" 0 "endless" cat "$OUT/check-map.svg"
        expect "host says how it is used" 2 "usage:" "$OUT/host"
        expect "host without its programs fails" 1 "FAILED: the program starts" \
            "$OUT/host" /nonexistent "$OUT/check-map-2.svg"
    fi
else
    skip "host (no Lua 5.4: $(tail -n 1 "$log"))"
fi
if has '#include <sqlite3.h>' -lsqlite3; then
    build sqlite && expect "sqlite: a database in a client" 0 "as at the start" "$OUT/sqlite"
else
    skip "sqlite3 (needs its header and library; Debian: libsqlite3-dev)"
fi
if has '#include <duktape.h>' '-lduktape -lm'; then
    build duktape && expect "duktape: four heaps, one never destroyed" 0 "as at the start" "$OUT/duktape"
else
    skip "duktape (needs its header and library; Debian: duktape-dev)"
fi

# ---- vmma-replay on right input
replay=$OUT/vmma-replay
build vmma-replay || { echo "$passed passed, $failed failed, $skipped skipped"; exit 1; }
traces=0
for trace in "$TRACES"/*.vmtrace "$TRACES"/*.vmtrace.zst; do
    [ -f "$trace" ] || continue
    traces=$((traces + 1))
    name=$(basename "$trace")
    case $name in *.zst)
        if ! command -v zstd >/dev/null 2>&1; then
            skip "replay of $name (zstd is not installed)"
            continue
        fi ;;
    esac
    expect "replay of $name, contents verified" 0 "contents verified" "$replay" -n -v "$trace"
    expect "replay of $name, PACKED, contents verified" 0 "contents verified" \
        "$replay" -n -v -f PACKED "$trace"
done
echo "no trace in $TRACES" >"$log"
[ $traces -gt 0 ] || fail "there are traces to replay"

small=$TRACES/lua-richards.vmtrace
rm -f "$OUT/replay-map.svg"
expect "replay gives advice, proven by a verified replay" 0 "(verified, " \
    "$replay" -m "$OUT/replay-map.svg" "$small"
expect "replay leaves the heap map at the peak" 0 "<svg" cat "$OUT/replay-map.svg"
expect "a context that is too small runs out, and says where" 1 "out of memory at operation" \
    "$replay" -s 80K "$small"

# ---- vmma-replay on wrong input
expect "replay without a trace shows its usage" 2 "usage:" "$replay"
expect "an unknown flag is refused" 2 "usage:" "$replay" -f NONSENSE "$small"
expect "a size that is no number is refused" 2 "usage:" "$replay" -s many "$small"
expect "a size beyond 64 bits is refused" 2 "usage:" "$replay" -s 99999999999G "$small"
expect "a missing trace is an error" 1 "cannot read it" "$replay" "$OUT/no-such.vmtrace"
expect "a file that is no trace is an error" 1 "not an allocation trace" "$replay" check.sh

# Damaged traces are read by a program with sanitizers where the compiler has them: a read out of
# bounds must not go unseen.
reader=$replay
if has '' '-fsanitize=address,undefined'; then
    reader=$OUT/vmma-replay-asan
    # shellcheck disable=SC2086
    if ! $CC -std=c11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover "-I$INCLUDE" \
        vmma-replay.c replay.c vmtrace.c -o "$reader" "$LIBDIR/libvmma.a" >"$log" 2>&1; then
        fail "vmma-replay with sanitizers (does not compile)"
        reader=$replay
    fi
else
    skip "sanitizers for the damaged traces (the compiler has none)"
fi
damaged=$OUT/damaged.vmtrace
size=$(wc -c <"$small")
bad=0
for length in 0 1 8 64 127 128 129 200 1000 $((size - 1)); do
    head -c "$length" "$small" >"$damaged"
    "$reader" -n "$damaged" >"$log" 2>&1
    if [ $? -ne 1 ] || ! grep -q 'FAILED: ' "$log"; then
        bad=1
        echo "length $length" >>"$log"
        break
    fi
done
if [ $bad -eq 0 ]; then pass "a trace cut off anywhere is refused"; else fail "a trace cut off is refused"; fi

# A changed byte may leave a valid trace (a name, a size): then it must replay; else be refused.
at=0
bad=0
while [ $at -lt "$size" ]; do
    cp "$small" "$damaged"
    printf '\377' | dd of="$damaged" bs=1 seek=$at conv=notrunc 2>/dev/null
    "$reader" -n "$damaged" >"$log" 2>&1
    if [ $? -gt 1 ] || grep -q 'Sanitizer\|runtime error' "$log"; then
        bad=1
        echo "byte $at" >>"$log"
        break
    fi
    if [ $at -lt 128 ]; then at=$((at + 3)); else at=$((at + 53)); fi
done
if [ $bad -eq 0 ]; then pass "a changed byte anywhere never crashes the reader"; else fail "a changed byte"; fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
