#!/usr/bin/env bash
# run.sh OUTDIR [NAME...]: builds every program of the C test suite (or those whose name holds one of NAME) and runs
# it: against the shared library, against the static library, under valgrind, with AddressSanitizer and
# UndefinedBehaviorSanitizer, the thread programs with ThreadSanitizer. A tool that is missing is reported as skipped.
#
# Inputs, all optional, from the environment:
#   VMMA_INCLUDE     directory of libvmma.h               (default: ../include)
#   VMMA_SHARED_DIR  directory of libvmma.so              (default: ../target/release)
#   VMMA_STATIC_LIB  the archive                          (default: ../target/release/libvmma.a)
#   VMMA_TSAN_LIB    an archive built with ThreadSanitizer (default: none, then the shared library)
#   CC, CXX          compilers                            (default: cc, c++)
#   CLANG            second compiler for sanitizers       (default: clang, skipped when missing)
#   VT_JOBS          how many at once                     (default: 2)
#   VT_MODES         subset of "shared static valgrind asan clang-asan tsan"
# Output: one line per program and mode, logs in OUTDIR, last line `tests-c: N passed, N failed, N skipped`.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "${1:-}" = "" ]; then
    echo "usage: run.sh OUTDIR [NAME...]" >&2
    exit 2
fi
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
shift

export VMMA_INCLUDE=${VMMA_INCLUDE:-$here/../include}
export VMMA_SHARED_DIR=${VMMA_SHARED_DIR:-$here/../target/release}
export VMMA_STATIC_LIB=${VMMA_STATIC_LIB:-$here/../target/release/libvmma.a}
export VMMA_TSAN_LIB=${VMMA_TSAN_LIB:-}
export CC=${CC:-cc} CXX=${CXX:-c++} CLANG=${CLANG:-clang}
export VT_MODES=${VT_MODES:-shared static valgrind asan clang-asan tsan}
export out here
warnings="-Wall -Wextra -Wpedantic -Werror"
export cflags="-std=c11 $warnings -O1 -g -pthread -I$VMMA_INCLUDE -I$here -I$here/misuse"
export cxxflags="-std=c++17 $warnings -O1 -g -pthread -I$VMMA_INCLUDE -I$here"

say() { printf '%s\n' "$*"; }
record() { # result, mode, name, text: one short write, so that parallel lines stay whole
    printf '%s %s %s\n' "$1" "$2" "$3" >>"$out/results"
    printf '%-7s %-10s %-26s %s\n' "$1" "$2" "$3" "$4"
}

# ---- one program: everything that is done with it ----

build() { # mode, name, source, compiler, flags..., of which those after -- are for the linker
    local mode=$1 name=$2 source=$3 compiler=$4
    shift 4
    if ! "$compiler" "$@" >"$out/$name.$mode.build" 2>&1; then
        record FAIL "$mode" "$name" "does not build, see $name.$mode.build"
        return 1
    fi
}

run() { # mode, name, seconds, command...
    local mode=$1 name=$2 limit=$3 log="$out/$2.$1.log" status start=$SECONDS
    shift 3
    timeout -k 5 "$limit" "$@" >"$log" 2>"$log.err" </dev/null
    status=$?
    local last fails
    last=$(grep -a ' passed, ' "$log" | tail -n 1)
    fails=$(grep -a -c '^FAIL' "$log")
    if [ $status -eq 0 ] && [ -n "$last" ] && [ "$fails" -eq 0 ]; then
        record ok "$mode" "$name" "${last#*: } ($((SECONDS - start)) s)"
    else
        local why="exit status $status, ${last:-no summary}"
        [ $status -eq 124 ] && why="no end within $limit s"
        [ $status -ge 129 ] && [ $status -ne 137 ] && why="signal $((status - 128))"
        record FAIL "$mode" "$name" "$why, see $name.$mode.log"
        grep -a '^FAIL' "$log" | sort | uniq -c | sort -rn | head -n 8 | sed 's/^ */        /'
        head -n 3 "$log.err" | sed 's/^/        /'
    fi
    grep -a '^skipped:' "$log" | sort -u | sed "s/^/        /"
}

wanted() { case " $VT_MODES " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

one() {
    local source=$1 name compiler=$CC flags=$cflags clang=$CLANG threads=0
    name=${source#"$here"/}
    name=${name//\//-}
    name=${name%.*}
    case $source in
    *.cpp) compiler=$CXX flags=$cxxflags clang="$CLANG++" ;;
    esac
    case $name in threads*) threads=1 ;; esac
    local base="$out/$name"
    if wanted shared || wanted static || wanted valgrind; then
        # shellcheck disable=SC2086
        build compile "$name" "$source" "$compiler" $flags -c "$source" -o "$base.o" || return
    fi
    if wanted shared || wanted valgrind; then
        build link-shared "$name" "$source" "$compiler" "$base.o" -o "$base.shared" -pthread -L"$VMMA_SHARED_DIR" \
            -Wl,-rpath,"$VMMA_SHARED_DIR" -lvmma || return
    fi
    wanted shared && run shared "$name" 100 "$base.shared"
    if wanted static; then
        build link-static "$name" "$source" "$compiler" "$base.o" -o "$base.static" -pthread "$VMMA_STATIC_LIB" || return
        VT_QUICK=1 run static "$name" 100 "$base.static"
    fi
    if wanted valgrind; then
        VT_QUICK=1 VT_TOOL=valgrind run valgrind "$name" 140 valgrind -q --error-exitcode=99 --leak-check=no \
            --fair-sched=yes --log-file="$base.valgrind.%p.txt" "$base.shared"
        find "$out" -name "$name.valgrind.*.txt" -empty -delete
    fi
    # shellcheck disable=SC2086
    if wanted asan; then
        build asan-build "$name" "$source" "$compiler" $flags -fsanitize=address,undefined -fno-sanitize-recover=all \
            "$source" -o "$base.asan" -L"$VMMA_SHARED_DIR" -Wl,-rpath,"$VMMA_SHARED_DIR" -lvmma &&
            ASAN_OPTIONS=detect_leaks=0 VT_QUICK=1 VT_TOOL=asan run asan "$name" 100 "$base.asan"
    fi
    # shellcheck disable=SC2086
    if wanted clang-asan; then
        build clang-build "$name" "$source" "$clang" $flags -fsanitize=address,undefined -fno-sanitize-recover=all \
            "$source" -o "$base.clang" "$VMMA_STATIC_LIB" &&
            ASAN_OPTIONS=detect_leaks=0 VT_QUICK=1 VT_TOOL=asan run clang-asan "$name" 100 "$base.clang"
    fi
    # shellcheck disable=SC2086
    if wanted tsan && [ $threads -eq 1 ]; then
        local library="-L$VMMA_SHARED_DIR -Wl,-rpath,$VMMA_SHARED_DIR -lvmma" fixed=""
        [ -n "$VMMA_TSAN_LIB" ] && library=$VMMA_TSAN_LIB
        # ThreadSanitizer of older compilers does not start under some kernels' address randomisation
        setarch "$(uname -m)" -R true 2>/dev/null && fixed="setarch $(uname -m) -R"
        # the library's own memset and memcpy would be taken for the program's, without the library's locks
        [ -z "$VMMA_TSAN_LIB" ] && printf 'called_from_lib:libvmma\n' >"$base.suppressions" && export TSAN_OPTIONS="suppressions=$base.suppressions"
        build tsan-build "$name" "$source" "$compiler" $flags -fsanitize=thread "$source" -o "$base.tsan" $library &&
            VT_QUICK=1 VT_TOOL=tsan run tsan "$name" 140 $fixed "$base.tsan"
    fi
}

if [ "${1:-}" = "--one" ]; then
    one "$2"
    exit 0
fi

# ---- what there is ----

rm -f "$out"/results "$out"/*.log "$out"/*.err "$out"/*.build "$out"/*.txt
: >"$out/results"
have=""
skip() {
    printf 'skipped: %s (%s)\n' "$1" "$2"
    printf 'skipped %s -\n' "$1" >>"$out/results"
}
can() { # compiler, flag: compiles, links and runs
    rm -f "$out/probe"
    printf 'int main(void) { return 0; }\n' >"$out/probe.c"
    "$1" "$2" "$out/probe.c" -o "$out/probe" >/dev/null 2>&1 && "$out/probe" >/dev/null 2>&1
}
for mode in $VT_MODES; do
    case $mode in
    shared) [ -e "$VMMA_SHARED_DIR/libvmma.so" ] || { say "FAIL: no libvmma.so in $VMMA_SHARED_DIR"; exit 1; } ;;
    static) [ -e "$VMMA_STATIC_LIB" ] || { say "FAIL: no $VMMA_STATIC_LIB"; exit 1; } ;;
    valgrind) command -v valgrind >/dev/null || { skip valgrind "not installed"; continue; } ;;
    asan) can "$CC" -fsanitize=address,undefined || { skip asan "$CC has no -fsanitize=address,undefined"; continue; } ;;
    clang-asan)
        command -v "$CLANG" >/dev/null || { skip clang "not installed"; continue; }
        can "$CLANG" -fsanitize=address,undefined || { skip clang-asan "$CLANG has no -fsanitize=address,undefined"; continue; }
        ;;
    tsan)
        # a compiler with it may still not start under this kernel's address randomisation: see below
        can "$CC" -fsanitize=thread || { [ -x "$out/probe" ] && setarch "$(uname -m)" -R "$out/probe" >/dev/null 2>&1; } ||
            { skip tsan "$CC has no working -fsanitize=thread"; continue; }
        ;;
    *) say "unknown mode $mode"; exit 2 ;;
    esac
    have="$have $mode"
done
export VT_MODES="${have:-none}"

# The longest first, so that two workers end at about the same time.
list() {
    local f n
    for n in stress limits_of_sizes required threads threads_shared threads_races flags many_clients realloc flags_quarantine; do
        [ -e "$here/$n.c" ] && say "$here/$n.c"
    done
    for f in "$here"/misuse/*.c "$here"/*.c "$here"/*.cpp; do
        case $f in
        */stress.c | */limits_of_sizes.c | */required.c | */threads.c | */threads_shared.c | */threads_races.c | */flags.c | */many_clients.c | */realloc.c | */flags_quarantine.c) ;;
        *) say "$f" ;;
        esac
    done
}
list | while read -r f; do
    if [ $# -eq 0 ]; then
        say "$f"
    else
        for pattern in "$@"; do
            case ${f#"$here"/} in *"$pattern"*) say "$f" && break ;; esac
        done
    fi
done >"$out/programs"
if [ ! -s "$out/programs" ]; then
    say "FAIL: no program"
    exit 1
fi
xargs -P "${VT_JOBS:-2}" -I '{}' "${BASH_SOURCE[0]}" "$out" --one '{}' <"$out/programs"

passed=$(grep -c '^ok ' "$out/results")
failed=$(grep -c '^FAIL ' "$out/results")
skipped=$(grep -c '^skipped ' "$out/results")
say "tests-c: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
