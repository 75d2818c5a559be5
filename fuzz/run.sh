#!/usr/bin/env bash
# fuzz/run.sh [SECONDS]: fuzzes all targets in turn for so many seconds in all (60). `make fuzz` calls it.
#
# It builds the targets for libFuzzer with the usual compiler (no cargo-fuzz is needed). Where that cannot be done it
# says so and runs random inputs in their place.
# New inputs go to target/fuzz/corpus/, findings to fuzz/artifacts/; the corpus in the repository is only read.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
target=${CARGO_TARGET_DIR:-$PWD/../target}/fuzz
cargo=${CARGO:-cargo}
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$target/corpus" artifacts

# Parts of the time, in tenths. Whole contexts have the most to find.
targets=(context:5 hostile:2 sizes:1 bitmap:1 buddy:1)

. ./flags.sh

build() {
    # Cargo's own warnings are of no use here; what goes wrong is shown.
    RUSTFLAGS=$(echo $FUZZ_FLAGS) "$cargo" build --release --quiet --bins \
        --target "$host" --target-dir "$target/guided"
}

if ! build >"$target/build.log" 2>&1; then
    tail -n 3 "$target/build.log"
    echo "skipped: libFuzzer (its targets could not be built: see above and $target/build.log)"
    "$cargo" build --release --locked --quiet --manifest-path stable/Cargo.toml --target-dir "$target/stable"
    exec "$target/stable/release/vmma-replay" random "$seconds" corpus "$RANDOM"
fi

findings=0
fuzz() { # fuzz NAME PROGRAM SECONDS
    local name=$1 share=$3 log=$target/$1.log runs covered
    [ "$share" -gt 0 ] || share=1
    mkdir -p "$target/corpus/$name" "corpus/$name"
    if "$2" -max_total_time="$share" -max_len=1500 -len_control=0 -timeout=60 -rss_limit_mb=6000 \
        -print_final_stats=1 -artifact_prefix="artifacts/$name-" "$target/corpus/$name" "corpus/$name" >"$log" 2>&1; then
        :
    else
        findings=$((findings + 1))
        grep -E 'panicked|assertion|ERROR|Test unit written' -A 3 "$log" | head -n 20 || true
        echo "FINDING: $name: the log is $log, the input lies in fuzz/artifacts/"
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1 || true)
    echo "$name: ${runs:-?} executions in $share s, ${covered:-no coverage}"
}

for entry in "${targets[@]}"; do
    fuzz "${entry%:*}" "$target/guided/$host/release/${entry%:*}" $((seconds * ${entry#*:} / 10))
done
if CC=clang trace/build.sh "$target/trace" -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all 2>"$target/trace.log"; then
    fuzz trace "$target/trace" $((seconds / 20))
    targets+=(trace)
else
    echo "skipped: trace (clang with libFuzzer is not installed: see $target/trace.log)"
fi
echo "${#targets[@]} targets, $findings findings"
[ $findings = 0 ]
