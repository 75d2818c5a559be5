# Check steps about the Rust side: layout, lints, features, tests, documentation. Sourced by .ci/check.

step_fmt() {
    $CARGO fmt --version >/dev/null 2>&1 || skip "rustfmt is not installed"
    $CARGO fmt --check
}

step_clippy() {
    $CARGO clippy --version >/dev/null 2>&1 || skip "clippy is not installed"
    $CARGO clippy --lib --tests -- -D warnings
    # What is shipped is compiled without std: other code, other lints.
    $CARGO clippy --release --lib -- -D warnings
}

# Each flag is a feature of its own: every one must build alone, and the library without any.
step_features() {
    local feature
    for feature in "" zero wipe guard quarantine packed no_cache release abort std; do
        echo "features: ${feature:-none}"
        $CARGO rustc --profile check --quiet --lib --crate-type rlib --no-default-features --features "$feature" -- -D warnings
    done
}

step_test_debug() {
    $CARGO test
}

# The optimised code, without the fat link of every test program, which would take minutes and test nothing more.
step_test_release() {
    $CARGO test --profile release-test --lib --tests
}

# Sizes and numbers that are too large where pointers have 32 bits.
step_test_32() {
    local target=i686-unknown-linux-gnu
    [ -e "$(rustc --print target-libdir --target $target)" ] || skip "Rust's library for $target is not installed"
    echo 'int main(void) { return 0; }' >"$work/t.c"
    "$CC" -m32 "$work/t.c" -o "$work/t" >/dev/null 2>&1 && "$work/t" || skip "$CC -m32 makes no program that runs"
    $CARGO test --target $target --lib --tests
}

# The lock, in every order that the memory model allows.
step_loom() {
    $CARGO fetch --quiet --manifest-path tests/loom/Cargo.toml >/dev/null 2>&1 || skip "loom is not to be had"
    $CARGO test --release --manifest-path tests/loom/Cargo.toml --target-dir "$TARGET/loom"
}

step_doc() {
    RUSTDOCFLAGS="-D warnings" $CARGO doc --quiet --no-deps --lib
}

# A corpus that fuzzing left is worth a run each time.
step_fuzz_replay() {
    [ -d fuzz ] || skip "there is no fuzz/"
    [ -x fuzz/replay.sh ] || skip "there is no fuzz/replay.sh"
    fuzz/replay.sh
}
