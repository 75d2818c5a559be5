#!/usr/bin/env bash
# Builds and runs the C++ tests in every mode that this machine has. One line per program and mode;
# exit code 1 if anything failed. A tool that is missing is named as skipped.
#
#   VMMA_INCLUDE     folder with libvmma.h and libvmma.hpp    (default: ../../include)
#   VMMA_SHARED_DIR  folder with libvmma.so                   (required)
#   VMMA_STATIC_LIB  libvmma.a                                (required)
#   CXX              compiler                                 (default: c++)
#   VMMA_ONLY        run only the modes whose name contains this text
set -u

here=$(cd "$(dirname "$0")" && pwd)
include=${VMMA_INCLUDE:-$here/../../include}
shared=${VMMA_SHARED_DIR:?set VMMA_SHARED_DIR to the folder that holds libvmma.so}
archive=${VMMA_STATIC_LIB:?set VMMA_STATIC_LIB to the path of libvmma.a}
cxx=${CXX:-c++}
only=${VMMA_ONLY:-}
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor -Werror)
programs=(lifetime callbacks pmr containers)

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

skip() { # skip MODE TOOL (WHY)
    [[ -n $only && $1 != *"$only"* ]] && return
    printf 'skipped: %s: %s\n' "$1" "$2"
    skipped=$((skipped + 1))
}

say() { # say RESULT PROGRAM MODE
    printf '%-7s %-11s %s\n' "$1" "$2" "$3"
    if [[ $1 == ok ]]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        head -n 10 "$work/log" | sed 's/^/    /'
    fi
}

# one MODE LINK RUNNER COMPILER FLAGS...   (LINK: shared or static; RUNNER: a command, or empty)
one() {
    local mode=$1 link=$2 runner=$3 program
    shift 3
    [[ -n $only && $mode != *"$only"* ]] && return
    for program in "${programs[@]}"; do
        local sources=("$here/$program.cpp") libs
        [[ -f $here/${program}_other.cpp ]] && sources+=("$here/${program}_other.cpp")
        if [[ $link == shared ]]; then libs=(-L"$shared" -Wl,-rpath,"$shared" -lvmma); else libs=("$archive"); fi
        if "$@" "${warnings[@]}" -I"$include" "${sources[@]}" "${libs[@]}" -o "$work/$program" >"$work/log" 2>&1 &&
            { timeout 120 $runner "$work/$program" >"$work/log" 2>&1; } 2>/dev/null; then
            say ok "$program" "$mode"
        else
            say FAILED "$program" "$mode"
        fi
    done
}

# can COMPILER FLAGS...: whether such a program can be built and started here
can() {
    printf 'int main() { return 0; }\n' >"$work/can.cpp"
    "$@" "$work/can.cpp" -o "$work/can" >/dev/null 2>&1 && "$work/can" >/dev/null 2>&1
}

if ! can "$cxx" -std=c++17; then
    skip c++ "$cxx (no working C++17 compiler)"
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    exit 0
fi
one "shared $cxx c++17" shared "" "$cxx" -std=c++17 -O1
one "static $cxx c++20" static "" "$cxx" -std=c++20 -O1
one "no exceptions, no rtti $cxx c++17" shared "" "$cxx" -std=c++17 -O2 -fno-exceptions -fno-rtti

if command -v valgrind >/dev/null 2>&1; then
    one "valgrind $cxx c++17" shared "valgrind -q --error-exitcode=9 --leak-check=no" "$cxx" -std=c++17 -O1 -g
else
    skip valgrind "valgrind (not installed)"
fi
if can "$cxx" -fsanitize=address,undefined; then
    one "sanitizers $cxx c++17" static "" "$cxx" -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
else
    skip sanitizers "address and undefined sanitizers ($cxx does not link them here)"
fi
if can clang++ -std=c++17; then
    one "shared clang++ c++17" shared "" clang++ -std=c++17 -O1
    one "no exceptions, no rtti clang++ c++20" static "" clang++ -std=c++20 -O1 -fno-exceptions -fno-rtti
else
    skip clang++ "clang++ (not installed)"
fi

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
