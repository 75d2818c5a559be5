//! Blocks for threads: those of one client side by side, and apart from all others'.
//!
//! ```text
//!   | A A A . . . . . | B B . . . . . . | . . . . . . . . | C C C C C C …
//!     group             group             free: the next one's  behind the first quarter: as without THREADS
//! ```
//!
//! A thread writes the records of its client's blocks at almost every call. Records of neighbours share cache lines, so
//! two threads whose clients took blocks in turn would pass these to and fro, and each would have only every other set of
//! the processor's caches for its own. So with THREADS a client takes the free block before or behind one of its own, the lowest such
//! place, and begins where a whole group of blocks is free.
//!
//! That is so in the first quarter of the memory only: what lies behind stays in one piece, for long runs. Where the quarter is
//! used up, in small contexts, and for runs, blocks are taken as without THREADS. NO_CACHE has no groups: to pass over the blocks of
//! one takes more steps than its calls may.
//!
//! Cost: a few steps for each stretch of free blocks, of at most STRETCHES.
//! May know: bitmap, flags, memory; not who asks for blocks (blocks.rs does).

use super::Context;
use crate::bitmap::BitSet;
use crate::flags;
use core::sync::atomic::Ordering::Relaxed;

/// Stretches of free blocks that a search looks at.
pub(super) const STRETCHES: usize = 64;
/// Blocks in the largest groups.
const MOST: usize = 64;
/// Blocks in the smallest: fewer would hardly keep threads apart.
const LEAST: usize = 4;
/// So many groups there are at least.
const GROUPS: usize = 8;

impl Context {
    /// Blocks in a group; 0 if there are none.
    pub(crate) fn group_blocks(&self) -> usize {
        let blocks = self.map.blocks / (4 * GROUPS);
        if blocks < LEAST || !self.has(flags::THREADS) || self.has(flags::NO_CACHE) {
            return 0;
        }
        // The largest power of two that is no more.
        (blocks / 2 + 1).next_power_of_two().min(MOST)
    }

    /// Does a block below the watermark belong to this life?
    #[inline(never)]
    pub(super) fn owns(&self, owner: u32, block: usize) -> bool {
        self.map.record(block).owner.load(Relaxed) & !0xff == owner
    }

    /// The lowest free block beside one of those that belong to a life, or the first one of a free group; it may lie beyond the
    /// watermark. `held`: how many blocks belong to it. The lock is held.
    #[inline(never)]
    pub(super) fn own_side(&self, owner: u32, held: usize) -> Option<usize> {
        let group = self.group_blocks();
        if group == 0 {
            return None;
        }
        let (watermark, free) = (self.watermark.load(Relaxed), self.free_set());
        let end = (self.map.blocks / 4).min(self.top.load(Relaxed));
        let (mut from, mut begin, mut apart) = (0, 0, None);
        for _ in 0..STRETCHES {
            crate::steps::count();
            // What was never used begins at the watermark.
            let first = free.next(from).unwrap_or(watermark);
            if first >= end {
                break;
            }
            if first != from {
                begin = first;
            }
            if first > 0 && self.owns(owner, first - 1) {
                return Some(first);
            }
            // Of a long stretch only as much as a group takes, and what comes behind it, is looked at in one go.
            let most = (first + 2 * group + 1).min(end);
            from = BitSet::new(self.map.free_words(), most).run_end(first);
            if from == watermark {
                from = end;
            } else if from < most && (from - begin >= group || from % group != 0) && self.owns(owner, from) {
                // Not into the rest of another one's group.
                return Some(from - 1);
            }
            let start = first.next_multiple_of(group);
            if apart.is_none() && start + group <= from {
                apart = Some(start);
            }
            if from == end || (apart.is_some() && held == 0) {
                break;
            }
        }
        apart
    }
}
