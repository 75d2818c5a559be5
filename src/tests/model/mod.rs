//! Whole contexts through the C functions, against a model that knows what every call must answer.
//!
//! The model is a map of live allocations: where, how large, whose, with which bytes in it. After each operation the
//! validator looks at all records; from time to time every byte, every count and every edge is compared. A failure
//! prints the seed, the setting and the number of the operation, which is all that it takes to see it again.
//! May know: the C interface; of the inside only which blocks are a client's.

mod calls;
mod expect;
mod geometry;
mod rare;

use super::region::Region;
use super::{Rng, operations};
use crate::ffi::*;
use core::ffi::{c_int, c_void};
use geometry::Setting;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// One live allocation.
#[derive(Clone, Copy)]
struct Live {
    pointer: *mut u8,
    client: usize,
    asked: usize,
    /// What vmma_get_size said.
    size: usize,
    stamp: u64,
}

/// One client, as the model knows it.
struct Owner {
    handle: *mut vmma_client_t,
    starts: Vec<usize>,
    /// Addresses that were freed.
    freed: Vec<usize>,
    limit: usize,
    guarantee: usize,
    failed: usize,
    largest_failed: usize,
    last: c_int,
    peak: usize,
}

/// What the error handler was told last.
#[derive(Default)]
struct Told {
    count: Cell<usize>,
    last: Cell<Option<vmma_error>>,
}

struct Model {
    setting: Setting,
    rng: Rng,
    region: Option<Region>,
    context: *mut vmma_context_t,
    clients: Vec<Owner>,
    live: BTreeMap<usize, Live>,
    /// Shared with the library, which holds a pointer to it.
    told: Rc<Told>,
    /// Most clients there ever were at the same time: so many slots are in use.
    slots: usize,
    initial_blocks: usize,
    growing: bool,
    operation: usize,
}

/// Says where it happened when a test fails.
struct Where<'a>(&'a Setting, &'a Cell<usize>);

/// With VMMA_TEST_TRACE set, what each operation was.
fn trace(text: impl FnOnce() -> String) {
    static WANTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("VMMA_TEST_TRACE").is_some()) {
        eprintln!("    {}", text());
    }
}

impl Drop for Where<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("model test failed at operation {} of {:?}", self.1.get(), self.0);
        }
    }
}

/// One setting, `count` operations; how many were done.
fn run(setting: Setting, count: usize) -> usize {
    let at = Cell::new(0);
    let _where = Where(&setting, &at);
    let Some(mut model) = Model::new(setting.clone()) else { return 0 };
    let every = model.check_interval();
    for operation in 0..count {
        at.set(operation);
        model.operation = operation;
        model.step();
        if operation % every == 0 {
            model.check();
        }
        if operation % 256 == 255 {
            model.compare_all();
        }
    }
    at.set(count);
    model.finish();
    count
}

/// All combinations of the seven flags that concern memory; with thousands of operations each in release.
fn all_flags(threads: &[u32], seed: u64, each: usize) -> usize {
    let mut done = 0;
    // Another number gives other settings.
    let seed = seed + std::env::var("VMMA_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    for bits in 0..128u32 {
        for &extra in threads {
            let seed = seed.wrapping_mul(1000) + u64::from(bits) * 4 + u64::from(extra);
            let mut rng = Rng::new(seed);
            let mut left = each;
            // Several contexts each, so that every geometry meets every flag sooner or later.
            for part in 0..3 {
                let setting = Setting::random(&mut rng, bits << 2 | extra, seed + (part << 48));
                let count = if part == 2 { left } else { each / 3 };
                left -= count.min(left);
                done += run(setting, count);
            }
        }
    }
    done
}

/// One test for every slice of the work, so that they run side by side.
macro_rules! slices {
    ($($name:ident: $threads:expr, $seed:expr;)*) => {$(
        #[test]
        #[cfg_attr(miri, ignore)]
        fn $name() {
            let each = operations(60, 2200);
            let done = all_flags($threads, $seed, each);
            assert!(done > 0);
            println!("{}: {done} operations", stringify!($name));
        }
    )*};
}

slices! {
    every_flag_combination_obeys_the_model: &[0], 1;
    every_flag_combination_obeys_the_model_again: &[0], 2;
    every_flag_combination_obeys_the_model_with_threads: &[VMMA_FLAG_THREADS], 3;
    every_flag_combination_obeys_the_model_with_shared_clients: &[VMMA_FLAG_SHARED_CLIENTS], 4;
}

/// Settings that the environment names: to look at one failure again.
#[test]
fn the_default_context_obeys_the_model() {
    let seed = std::env::var("VMMA_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let mut rng = Rng::new(seed);
    for round in 0..if cfg!(miri) { 1 } else { 8 } {
        let mut setting = Setting::random(&mut rng, 0, seed + round);
        (setting.alignment, setting.block_size) = if cfg!(miri) { (16, 1024) } else { (0, 0) };
        setting.mapped &= !cfg!(miri);
        if cfg!(miri) {
            (setting.size, setting.clients) = (10 << 10, 2);
        }
        let count = if cfg!(miri) { 40 } else { operations(500, 20_000) };
        run(setting, count);
    }
}

extern "C" fn note_error(_: *mut vmma_context_t, error: *const vmma_error_t, user: *mut c_void) {
    // SAFETY: the library gives an error that lives during the call; the user pointer is the model's `Told`.
    let (told, error) = unsafe { (&*user.cast::<Told>(), *error) };
    told.count.set(told.count.get() + 1);
    told.last.set(Some(error));
}
