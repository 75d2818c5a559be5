//! Which context is tested: flags, alignment, block size, memory.
//! May know: the C interface.

use crate::ffi::*;
use crate::tests::Rng;
use crate::tests::region::Content;

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) flags: u32,
    pub(super) alignment: usize,
    pub(super) block_size: usize,
    pub(super) size: usize,
    pub(super) mapped: bool,
    pub(super) odd: usize,
    pub(super) content: Content,
    pub(super) clients: usize,
}

impl Setting {
    pub(super) fn random(rng: &mut Rng, flags: u32, seed: u64) -> Setting {
        let alignment = rng.pick(&[8, 16, 16, 16, 64, 4096]);
        let mut block_size = rng.pick(&[1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10]);
        block_size = block_size.max(16 * alignment);
        if rng.chance(8) {
            block_size = 0;
        }
        let blocks = 2 + rng.log(62);
        let wanted = if block_size == 0 { 8 << 10 << rng.below(9) } else { blocks * block_size };
        let least = c!(vmma_get_required_size(1, alignment, block_size, flags));
        Setting {
            seed,
            flags,
            alignment,
            block_size,
            size: wanted.clamp(8 << 10, 4 << 20).max(least) + rng.below(100),
            mapped: rng.chance(3),
            odd: if rng.chance(2) { rng.below(8192) } else { rng.below(128) * 64 },
            content: if rng.chance(3) { Content::Zero } else { Content::Garbage },
            clients: 1 + rng.below(7),
        }
    }

    /// Is all memory zero before the first allocation?
    pub(super) fn starts_zeroed(&self) -> bool {
        self.mapped || self.content == Content::Zero
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}
