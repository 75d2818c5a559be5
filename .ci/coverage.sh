#!/usr/bin/env bash
# .ci/coverage.sh [--missed]: which lines of src/ the tests run: Rust's, and C's against a library that counts.
#
# Prints a line for each file and the sum; with --missed also each line that nothing ran. Tests themselves are not
# counted. Needs rustup's component llvm-tools; takes some minutes, so it is no check step.
# It knows how cargo names what it builds, and what tests-c/run.sh asks for.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}/coverage
CARGO=${CARGO:-cargo}
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
[ -x "$tools/llvm-cov" ] || { echo "skipped: coverage (no llvm-tools: rustup component add llvm-tools)"; exit 0; }
# Build scripts count, too: what they leave is of no use.
export CARGO_TARGET_DIR=$target VMMA_HEADER=skip LLVM_PROFILE_FILE=$target/profiles/build-%p.profraw
rm -rf "$target/profiles" "$target/lib"
mkdir -p "$target/profiles" "$target/lib" "$target/c"

lines() { # lines NAME OBJECT: what NAME's profiles say of src/, as `file line count`
    "$tools/llvm-profdata" merge -sparse "$target"/profiles/"$1"-*.profraw -o "$target/$1.profdata"
    "$tools/llvm-cov" export -format=lcov -instr-profile="$target/$1.profdata" "$2" |
        awk -F'[:,]' -v root="$PWD/src/" '
            /^SF:/ { file = index($0, root) == 4 ? substr($0, 4 + length(root)) : "" }
            /^DA:/ && file != "" && file !~ /^tests\// { print file, $2, $3 }'
}

echo "Rust tests"
RUSTFLAGS=-Cinstrument-coverage "$CARGO" test --quiet --lib --tests --no-run 2>/dev/null
programs=()
while IFS= read -r program; do programs+=("$program"); done < <(
    RUSTFLAGS=-Cinstrument-coverage "$CARGO" test --lib --tests --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
number=0
: >"$target/lines"
for program in "${programs[@]}"; do
    # Each has functions of its own by the same names: no profile is for two of them.
    number=$((number + 1))
    LLVM_PROFILE_FILE=$target/profiles/rust$number-%p-%m.profraw "$program" --quiet >"$target/rust.log" ||
        { cat "$target/rust.log"; exit 1; }
    lines rust$number "$program" >>"$target/lines"
done

echo "C tests"
# Counters that are files: a program that is meant to abort leaves them, too.
RUSTFLAGS="-Cinstrument-coverage -Cllvm-args=-runtime-counter-relocation" \
    "$CARGO" rustc --quiet --lib --crate-type cdylib,staticlib
cp "$target/debug/libvmma.so" "$target/lib/libvmma.so.0"
cp "$target/debug/libvmma.a" "$target/lib/"
ln -sf libvmma.so.0 "$target/lib/libvmma.so"
LLVM_PROFILE_FILE=$target/profiles/c-%c%p.profraw VT_MODES="shared asan" VT_QUICK=1 VMMA_INCLUDE=$PWD/include \
    VMMA_SHARED_DIR=$target/lib VMMA_STATIC_LIB=$target/lib/libvmma.a tests-c/run.sh "$target/c" >"$target/c.log" ||
    { grep -a '^FAIL' "$target/c.log"; }
tail -n 1 "$target/c.log"
lines c "$target/lib/libvmma.so.0" >>"$target/lines"

# From `#[cfg(test)]` to the end of a file there are tests.
grep -rn '^#\[cfg(test)\]$' src --include=*.rs | sed 's|^src/||' | awk -F: '!($1 in at) { at[$1] = $2; print $1, $2 }' >"$target/ends"
sort -k1,1 -k2,2n "$target/lines" | awk -v missed="${1:-}" '
    NR == FNR { if ($1 != "lib.rs") end[$1] = $2; next }
    ($1 in end) && $2 + 0 >= end[$1] + 0 { next }
    { key = $1 " " $2; if (!(key in count)) { order[++n] = key; count[key] = 0 } if ($3 + 0 > count[key]) count[key] = $3 }
    END {
        for (i = 1; i <= n; i++) {
            split(order[i], part, " ")
            if (!(part[1] in all)) file[++files] = part[1]
            all[part[1]]++
            if (count[order[i]] == 0) { open[part[1]]++; if (missed == "--missed") print "src/" part[1] ":" part[2] }
        }
        for (i = 1; i <= files; i++) {
            name = file[i]; sum += all[name]; gone += open[name]
            printf "%-28s %5d lines  %6.2f %%\n", name, all[name], 100 * (1 - open[name] / all[name])
        }
        printf "%-28s %5d lines  %6.2f %%\n", "all", sum, 100 * (1 - gone / sum)
    }' "$target/ends" -
