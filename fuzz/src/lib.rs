//! The fuzz targets: each decodes operations from bytes, does them, and compares with a model.
//!
//! ```text
//!   context   whole contexts through the C functions: several contexts and clients, every flag, every misuse
//!   hostile   the same operations twice, once with clients that scribble over what they freed: nothing may differ
//!   sizes     sizes and layout: the arithmetic, against definitions by search
//!   bitmap    bit sets with summary levels, against a vector of booleans
//!   buddy     the two allocators of units in a block, against a vector of units
//! ```
//!
//! A finding is a panic (or a crash of the library). libFuzzer calls these functions, and so does main.rs.
//! May know: the C functions by `vmma::ffi`; the library's files of plain arithmetic, which are compiled in here.

mod arithmetic;
mod bytes;
mod model;
mod sets;

// The files under test name each other by `crate::`, so they lie at the root here as they do in the library.
#[path = "../../src/cell.rs"]
#[allow(dead_code)]
mod cell;
#[path = "../../src/bitmap.rs"]
#[allow(dead_code)]
mod bitmap;
#[path = "../../src/buddy.rs"]
#[allow(dead_code)]
mod buddy;
#[path = "../../src/spot.rs"]
#[allow(dead_code)]
mod spot;
#[path = "../../src/flat.rs"]
#[allow(dead_code)]
mod flat;
#[path = "../../src/layout.rs"]
#[allow(dead_code)]
mod layout;
#[path = "../../src/lengths.rs"]
#[allow(dead_code)]
mod lengths;
#[path = "../../src/sizes.rs"]
#[allow(dead_code)]
mod sizes;
#[path = "../../src/steps.rs"]
#[allow(dead_code)]
mod steps;
#[path = "../../src/space.rs"]
#[allow(dead_code)]
mod space;
#[path = "../../src/word.rs"]
#[allow(dead_code)]
mod word;
#[path = "../../src/sixteen.rs"]
#[allow(dead_code)]
mod sixteen;
#[path = "../../src/mix.rs"]
#[allow(dead_code)]
mod mix;

/// A target: its name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("context", model::context),
    ("hostile", model::hostile),
    ("sizes", arithmetic::sizes),
    ("bitmap", sets::bitmap),
    ("buddy", sets::buddy),
];

/// Runs a target.
pub fn run(name: &str, data: &[u8]) {
    match TARGETS.iter().find(|target| target.0 == name) {
        Some((_, target)) => target(data),
        None => panic!("no target is called {name}"),
    }
}
