//! Takes src/context/lock.rs and puts loom's atomics where it says `core`; and the same with one fault each, which the
//! model must find. A replacement that does not fit as often as it should fails the build: then the lock has changed,
//! and somebody has to look here.

use std::{env, fs, path::Path};

/// What every copy gets: text, times, in its place.
const LOOM: [(&str, usize, &str); 4] = [
    ("use core::sync", 1, "use crate::stand_in::sync"),
    ("core::hint", 1, "crate::stand_in::hint"),
    // One look is as good as a hundred: what can happen between looks is the same.
    ("const SPINS: u32 = 100;", 1, "const SPINS: u32 = 1;"),
    // loom's atomics are not made at compile time.
    ("pub const fn new()", 1, "pub fn new()"),
];

/// Name of the copy, and its fault.
const COPIES: [(&str, &str, usize, &str); 7] = [
    ("lock", "", 0, ""),
    ("takes_without_acquire", "compare_exchange(0, 1, Acquire,", 2, "compare_exchange(0, 1, Relaxed,"),
    ("wakes_without_acquire", "swap(2, Acquire)", 1, "swap(2, Relaxed)"),
    ("gives_without_release", "swap(0, Release)", 1, "swap(0, Relaxed)"),
    ("never_wakes", "== 2", 1, "== 3"),
    (
        "forgets_who_sleeps",
        "swap(2, Acquire) != 0 {\n            sys::wait(&self.0, 2);",
        1,
        "swap(1, Acquire) != 0 {\n            sys::wait(&self.0, 1);",
    ),
    ("takes_without_looking", "while self.0.swap(2, Acquire) != 0 {", 1, "while self.0.swap(2, Acquire) > 1 {"),
];

fn main() {
    let source = Path::new("../../src/context/lock.rs");
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-changed=build.rs");
    // A file that is included can't say `//!`.
    let text = fs::read_to_string(source).expect("src/context/lock.rs can be read").replace("//!", "//");
    let out = env::var_os("OUT_DIR").expect("cargo names a directory");
    for (name, fault, times, instead) in COPIES {
        let mut copy = text.clone();
        for (what, count, loom) in LOOM {
            copy = replace(&copy, what, count, loom);
        }
        if times > 0 {
            copy = replace(&copy, fault, times, instead);
        }
        fs::write(Path::new(&out).join(format!("{name}.rs")), copy).expect("the copy can be written");
    }
}

fn replace(text: &str, what: &str, times: usize, instead: &str) -> String {
    assert_eq!(text.matches(what).count(), times, "src/context/lock.rs does not say `{what}` so often any more");
    text.replace(what, instead)
}
