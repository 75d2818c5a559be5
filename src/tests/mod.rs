//! Tests of the whole crate from inside: the arithmetic on small cases exhaustively, whole contexts against a model,
//! the validator against flipped bits, costs by counted steps.
//! May know: everything. Compiled for `cargo test` only.

/// A call of the C interface, made as a correct C program makes it.
macro_rules! c {
    ($call:expr) => {{
        // SAFETY: handles come from the library, pointers are its own, NULL, or only compared; buffers are large enough.
        unsafe { $call }
    }};
}

mod attack;
mod bitmap;
mod buddy;
mod caches;
mod corners;
mod flat;
mod large_pages;
mod layout;
mod lengths;
mod model;
mod packed;
mod pages;
mod reach;
mod region;
mod runs;
mod short;
mod sixteen;
mod sizes;
mod slabs;
mod spot;
mod spread;
mod word;
mod worst;

/// Random numbers that are the same on every machine (splitmix64).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `end`; 0 for 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 1).checked_rem(end as u64).unwrap_or(0) as usize
    }

    pub(crate) fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Log-uniform from 1 to about `most`.
    pub(crate) fn log(&mut self, most: usize) -> usize {
        let bits = usize::BITS - most.max(1).leading_zeros();
        let top = self.below(bits as usize + 1);
        let size = (1usize << top.min(usize::BITS as usize - 2)) + self.below(1 << top.min(usize::BITS as usize - 2));
        size.clamp(1, most.max(1))
    }
}

/// How many operations a test may do: few with all assertions, many in release, or as the environment says.
pub(crate) fn operations(debug: usize, release: usize) -> usize {
    match std::env::var("VMMA_TEST_OPS").ok().and_then(|text| text.parse().ok()) {
        Some(count) => count,
        None if cfg!(debug_assertions) => debug,
        None => release,
    }
}
