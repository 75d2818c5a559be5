//! Blocks for threads: those of one client side by side, and apart from all others'.
//!
//! ```text
//!   | A A A . . . . . | B B . . . . . . | . . . . . . . . | C C C C C C …
//!     group             group             free: the next one's  behind the first quarter: lowest first
//! ```
//!
//! A thread writes the records of its client's blocks at almost every call. Records of neighbours share cache lines, so
//! two threads whose clients took blocks in turn would pass these to and fro, and each would have only every other set of
//! the processor's caches for its own. So with THREADS a client goes on behind its own blocks, and begins where a whole group
//! of blocks is free.
//!
//! Groups are in the first quarter of the memory only: what lies behind stays in one piece, for long runs. Where that is used
//! up, and in small contexts, any block serves as without THREADS. NO_CACHE has no groups: to pass over the blocks of one
//! takes more steps than its calls may.
//!
//! Cost: a step for each stretch of free blocks, at most STRETCHES.
//! May know: bitmap, flags, memory.

use super::Context;
use super::blocks::{Claim, STRETCHES};
use crate::flags;
use core::sync::atomic::Ordering::Relaxed;

/// Blocks in the largest groups.
const MOST: usize = 64;
/// Blocks in the smallest: fewer would hardly keep threads apart.
const LEAST: usize = 4;
/// Groups in the quarter that has them.
const GROUPS: usize = 8;

impl Context {
    /// Blocks in a group; 0 if there are none.
    pub(crate) fn group_blocks(&self) -> usize {
        let blocks = self.map.blocks / (4 * GROUPS);
        if blocks < LEAST || !self.has(flags::THREADS) || self.has(flags::NO_CACHE) {
            return 0;
        }
        (1 << blocks.ilog2()).min(MOST)
    }

    /// The block for a client behind one of its own, or the first of a free group. It may lie beyond the watermark. The lock is
    /// held.
    #[inline(never)]
    pub(super) fn own_side(&self, claim: &Claim) -> Option<usize> {
        let group = self.group_blocks();
        if group == 0 {
            return None;
        }
        let (watermark, top, free) = (self.watermark.load(Relaxed), self.top.load(Relaxed), self.free_set());
        let (mut from, mut apart) = (0, None);
        for _ in 0..STRETCHES {
            crate::steps::count();
            // What was never used begins at the watermark.
            let first = free.next(from).unwrap_or(watermark);
            if first >= top {
                break;
            }
            if first > 0 && self.map.record(first - 1).owner.load(Relaxed) & !0xff == claim.owner {
                return Some(first);
            }
            from = free.run_end(first);
            if from >= watermark {
                from = top;
            }
            let start = first.next_multiple_of(group);
            if apart.is_none() && start + group <= from.min(self.map.blocks / 4) {
                apart = Some(start);
            }
        }
        apart
    }
}
