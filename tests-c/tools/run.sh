#!/usr/bin/env bash
# run.sh OUTDIR [NAME...]: do the memory tools see what clients do? Builds faults.c, clean.c and pairs.c and runs every
# case (or those whose name holds one of NAME) with AddressSanitizer and under valgrind's memcheck: each fault must be
# reported, at its very line; nothing else may be. Knows the three programs and how the tools word their reports.
#
# Inputs, all optional, from the environment: VMMA_INCLUDE, VMMA_SHARED_DIR, VMMA_STATIC_LIB, CC, CLANG as for
# ../run.sh; VT_MODES: subset of "asan-shared asan-static clang-asan memcheck-shared memcheck-static callgrind".
# Output: one line per case and mode, logs in OUTDIR, last line `tools: N passed, N failed, N skipped`.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "${1:-}" = "" ]; then
    echo "usage: run.sh OUTDIR [NAME...]" >&2
    exit 2
fi
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
shift
root=$here/../..
VMMA_INCLUDE=${VMMA_INCLUDE:-$root/include}
VMMA_SHARED_DIR=${VMMA_SHARED_DIR:-$root/target/release}
VMMA_STATIC_LIB=${VMMA_STATIC_LIB:-$root/target/release/libvmma.a}
CC=${CC:-cc} CLANG=${CLANG:-clang}
modes=${VT_MODES:-asan-shared asan-static clang-asan memcheck-shared memcheck-static callgrind}
cflags="-std=c11 -Wall -Wextra -Wpedantic -Werror -O1 -g -I$VMMA_INCLUDE"
shared="-L$VMMA_SHARED_DIR -Wl,-rpath,$VMMA_SHARED_DIR -lvmma"

ok() { # mode, name, text
    printf 'ok\n' >>"$out/results"
    printf '%-7s %-16s %-20s %s\n' ok "$1" "$2" "$3"
}
bad() { # mode, name, text, log
    printf 'FAIL\n' >>"$out/results"
    printf '%-7s %-16s %-20s %s\n' FAIL "$1" "$2" "$3"
    [ -z "${4:-}" ] || grep -v '^==[0-9]*== \(Copyright\|Using\|Memcheck\)' "$4" | head -n 8 | sed 's/^/        /'
}
skip() { # name, why
    printf 'skipped\n' >>"$out/results"
    echo "skipped: $1 ($2)"
}
can() { # compiler: it has a working AddressSanitizer
    printf 'int main(void) { return 0; }\n' >"$out/probe.c"
    "$1" -fsanitize=address "$out/probe.c" -o "$out/probe" >/dev/null 2>&1 && "$out/probe" >/dev/null 2>&1
}
wanted() { # name
    [ ${#names[@]} -eq 0 ] && return 0
    local name
    for name in "${names[@]}"; do
        case $1 in *"$name"*) return 0 ;; esac
    done
    return 1
}
build() { # mode, compiler, flags, libraries
    local program
    for program in faults clean pairs; do
        # shellcheck disable=SC2086
        if ! "$2" $cflags $3 "$here/$program.c" -o "$out/$program.$1" $4 >"$out/$program.$1.build" 2>&1; then
            bad "$1" "$program" "does not build" "$out/$program.$1.build"
            return 1
        fi
    done
}

watch() { # mode, log, program, arguments...: runs it under the mode's tool
    local mode=$1 log=$2 program=$out/$3.$1
    shift 3
    case $mode in
    *asan*) ASAN_OPTIONS=detect_leaks=0:exitcode=99 timeout -k 5 100 "$program" "$@" >"$log" 2>&1 </dev/null ;;
    *) timeout -k 5 200 valgrind --error-exitcode=99 --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all \
        --num-callers=30 "$program" "$@" >"$log" 2>&1 </dev/null ;;
    esac
}

# The report names the faulty line first; before it at most a function of libc that was told to do it.
at_line() { # mode, log, line
    case $1 in
    *asan*) sed -n '/ERROR: AddressSanitizer/,/^$/p' "$2" | grep -E '^ +#[01] ' ;;
    *) sed -n '/Invalid \|depends on uninit/,/Address\|^==[0-9]*== *$/p' "$2" | grep -E ' (at|by) 0x' | head -n 2 ;;
    esac | grep -q "(*[/ (]faults\.c:$3\b"
}

# A leak: the stack of the allocation names the line.
leak_at_line() { # log, line
    sed -n '/definitely lost in loss record/,/^==[0-9]*== *$/p' "$1" | grep -q "(faults\.c:$2)"
}

# Plain; no caches; PACKED and shared between threads; everything that checks and keeps; that with PACKED. valgrind
# takes its time, so it is asked for fewer.
flags_of() { # mode
    case $1 in
    *asan*) echo 0 0x80 0x42 0x38 0x78 ;;
    memcheck-shared) echo 0 0x42 0x38 ;;
    *) echo 0x78 ;;
    esac
}

fault() { # mode, name
    local mode=$1 name=$2 line flag log status first=1 flags
    flags=$(flags_of "$mode")
    line=$(grep -n "/\* $name \*/" "$here/faults.c" | cut -d: -f1)
    [ -n "$line" ] || { bad "$mode" "$name" "no line of faults.c is marked"; return; }
    for flag in $flags; do
        if [ $first = 1 ]; then
            log=$out/$name.$mode.$flag.good.log
            watch "$mode" "$log" faults "$name" "$flag" good
            status=$?
            if [ $status -ne 0 ] || ! grep -q '^survived' "$log"; then
                bad "$mode" "$name" "a correct program is reported, flags $flag, status $status" "$log"
                return
            fi
            first=0
        fi
        log=$out/$name.$mode.$flag.bad.log
        watch "$mode" "$log" faults "$name" "$flag" bad
        status=$?
        if [ $status -ne 99 ]; then
            bad "$mode" "$name" "not found, flags $flag, status $status" "$log"
            return
        fi
        if [ "$name" = leak ]; then
            leak_at_line "$log" "$line" && continue
        elif at_line "$mode" "$log" "$line"; then
            continue
        fi
        bad "$mode" "$name" "found, but not at line $line, flags $flag" "$log"
        return
    done
    ok "$mode" "$name" "reported at faults.c:$line, flags $flags"
}

clean() { # mode
    local log=$out/clean.$1.log
    watch "$1" "$log" clean
    local status=$?
    if [ $status -eq 0 ] && grep -q '^survived' "$log"; then
        ok "$1" clean "$(grep '^survived' "$log"), nothing reported"
    else
        bad "$1" clean "reported, or failed, status $status" "$log"
    fi
}

# Instructions of 20000 pairs: preload size. The difference of a long and a short run.
pair_count() {
    local n counts=()
    for n in 2000 22000; do
        counts+=("$(LD_PRELOAD=$1 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$out/pairs.callgrind" "$n" "$2" 2>&1 |
            sed -n 's/.*Collected : \([0-9]*\).*/\1/p')")
    done
    [ -n "${counts[0]}" ] && [ -n "${counts[1]}" ] && echo $((counts[1] - counts[0]))
}

# A tool that is no memory tool must not change the path that calls take. And that path does all its checks in so many
# instructions more than functions that do nothing, on the processors and with the compiler that the figure is of.
callgrind() {
    local size most=100 empty=$out/empty.so all loop n
    if [ "$(uname -m)" = x86_64 ]; then
        most=55
        case $(rustc --version 2>/dev/null) in "rustc 1.95."*) most=45 ;; esac
    fi
    if ! "$CC" -O2 -DEMPTY_VMMA -fPIC -shared -I"$VMMA_INCLUDE" "$here/../../benches/adapters/empty.c" -o "$empty"; then
        bad callgrind pairs "benches/adapters/empty.c does not compile"
        return
    fi
    for size in 64 1024; do
        if ! all=$(pair_count "" $size) || ! loop=$(pair_count "$empty" $size); then
            bad callgrind pairs "callgrind gives no count"
            return
        fi
        n=$(((all - loop + 10000) / 20000))
        if [ $n -gt 10 ] && [ $n -le $most ]; then
            ok callgrind pairs "$n instructions for a pair of $size bytes, at most $most"
        else
            bad callgrind pairs "$n instructions for a pair of $size bytes, at most $most"
        fi
    done
}

if [ "${1:-}" = --one ]; then
    case $2 in
    *" clean") clean "${2% *}" ;;
    *" pairs") callgrind ;;
    *) fault "${2% *}" "${2#* }" ;;
    esac
    exit 0
fi
names=("$@")
rm -f "$out"/*.log
: >"$out/results"
: >"$out/tasks"
cases=$(sed -n 's/^    {"\([a-z_]*\)", [a-z_]*, .*},$/\1/p' "$here/faults.c")
[ -n "$cases" ] || { echo "FAIL: faults.c has no cases"; exit 1; }
for mode in $modes; do
    libraries=$shared
    case $mode in *-static) libraries=$VMMA_STATIC_LIB ;; esac
    case $mode in
    asan-shared | asan-static)
        can "$CC" || { skip "$mode" "$CC has no -fsanitize=address"; continue; }
        build "$mode" "$CC" "-fsanitize=address" "$libraries" || continue
        ;;
    clang-asan)
        command -v "$CLANG" >/dev/null || { skip "$mode" "$CLANG is not installed"; continue; }
        can "$CLANG" || { skip "$mode" "$CLANG has no -fsanitize=address"; continue; }
        build "$mode" "$CLANG" "-fsanitize=address" "$libraries" || continue
        ;;
    memcheck-shared | memcheck-static | callgrind)
        command -v valgrind >/dev/null || { skip "$mode" "valgrind is not installed"; continue; }
        case $(uname -m) in
        x86_64 | aarch64) ;;
        *) skip "$mode" "no client requests on $(uname -m)"; continue ;;
        esac
        build "$mode" "$CC" "" "$libraries" || continue
        ;;
    *)
        echo "unknown mode $mode"
        exit 2
        ;;
    esac
    if [ "$mode" = callgrind ]; then
        wanted pairs && echo "$mode pairs" >>"$out/tasks"
        continue
    fi
    for name in clean $cases; do
        case $mode/$name in
        *asan*/uninitialised | *asan*/leak) continue ;; # AddressSanitizer does not look for these
        esac
        wanted "$name" && echo "$mode $name" >>"$out/tasks"
    done
done
xargs -r -P "${VT_JOBS:-2}" -I '{}' "${BASH_SOURCE[0]}" "$out" --one '{}' <"$out/tasks"
passed=$(grep -c '^ok' "$out/results")
failed=$(grep -c '^FAIL' "$out/results")
skipped=$(grep -c '^skipped' "$out/results")
echo "tools: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
