//! The shortest way of PACKED clients: what a cache has, and frees whose neighbourhood lies in one word of the map.
//!
//! ```text
//!   word     … | before | piece | behind | …        begins: one bit each
//!                  hole?   live    hole?
//! ```
//!
//! It is open while `short_owner` is not 0, as the fast path of other contexts is while its bounds are not (fast.rs): not on a dead
//! client, on one that is being walked, on a shared one, or with a flag that alloc or free must act on. So a call has nothing
//! else to ask. What does not fit goes the short way (keep.rs), an address that cannot be freed the long one.
//!
//! The ways behind it do the same for any piece; to ask them of each costs a tenth more time on traces.
//!
//! Cost: instructions: some thirty for a piece out of a cache, eighty for one into a cache, a hundred and seventy for a hole.
//! May know: context, flat, cache, keep, reach.

use super::Client;
use crate::context::Context;
use crate::flat::code;
use core::sync::atomic::Ordering::Relaxed;

impl Client {
    #[inline(never)]
    pub(super) fn short_alloc(&self, size: usize) -> *mut u8 {
        let context = self.context();
        let class = context.sizes.packed_cache_class(size);
        if class < context.cached_classes as usize
            && let Some(granule) = self.packed_pop_entry(context, class)
        {
            context.map.set_edge(granule, true);
            return context.map.address_of(granule << context.map.shape.granule_shift);
        }
        self.packed_short_alloc(context, size)
    }

    #[inline(never)]
    pub(super) fn short_free(&self, address: usize) -> i32 {
        let context = self.context();
        let map = &context.map;
        // Rotated, so that a misaligned address becomes a huge number.
        let granule = address.wrapping_sub(map.base().addr()).rotate_right(map.shape.granule_shift);
        if granule < self.granules.get() {
            let (edge_word, live_word) = (map.edge_word(granule), map.live_word(granule));
            let (edges, lives, bit) = (edge_word.load(Relaxed), live_word.load(Relaxed), 1u64 << (granule & 63));
            let block = granule >> (map.shape.block_shift - map.shape.granule_shift);
            let begins = edges | lives;
            let (below, above) = (begins & (bit - 1), begins & !(bit | (bit - 1)));
            let mine = map.record(block).owner.load(Relaxed) == self.short_owner.get();
            // Only what lies, with its neighbours, in one word.
            if edges & lives & bit != 0 && mine && below != 0 && above != 0 {
                let before = below.leading_zeros() as usize ^ 63;
                let (holes, behind) = (edges & !lives, above & above.wrapping_neg());
                if holes & (behind | 1 << before) == 0 {
                    let length = above.trailing_zeros() as usize - (granule & 63);
                    let class = context.sizes.packed_cache_class(length << map.shape.granule_shift);
                    if class < context.cached_classes as usize {
                        if self.packed_push_entry(context, class, granule) {
                            edge_word.store(edges & !bit, Relaxed);
                            return 0;
                        }
                        if self.packed_may_grow(context, class) {
                            return self.packed_short_free(context, address);
                        }
                    }
                }
                return self.hole_in_word(context, granule, before, edges, lives);
            }
        }
        self.packed_short_free(context, address)
    }

    /// Makes the live piece at a granule a hole, or part of one. Its words are `edges` and `lives`; in them something begins at
    /// `before`, the last thing in front of it, and something behind it.
    #[inline(always)]
    fn hole_in_word(&self, context: &Context, granule: usize, before: usize, edges: u64, lives: u64) -> i32 {
        let map = &context.map;
        let bit = 1u64 << (granule & 63);
        let log = (map.shape.block_shift - map.shape.granule_shift) & 63;
        let (block, all) = (granule >> log, 1 << log);
        let (holes, above) = (edges & !lives, (edges | lives) & !(bit | (bit - 1)));
        let (mut now, mut start) = (edges, granule & 63);
        let more = above.trailing_zeros() as usize - start;
        if holes >> before & 1 != 0 {
            now &= !bit;
            start = before;
        }
        let word = granule & (all - 1) & !63;
        let mut end = word | above.trailing_zeros() as usize;
        if holes >> (end & 63) & 1 != 0 {
            now &= !(1 << (end & 63));
            let rest = above & (above - 1);
            end = if rest != 0 { word | rest.trailing_zeros() as usize } else { self.next_behind(context, granule) };
        }
        map.edge_word(granule).store(now, Relaxed);
        map.live_word(granule).store(lives & !bit, Relaxed);
        let start = word | start;
        let reach = code(end - start);
        map.flat_here(block).raise(word / 64, reach);
        self.hole_grew(context, block, start, end - start, reach, more);
        if start == 0 || end == all {
            // The block may be empty now.
            self.settle(context);
        }
        0
    }

    /// Where the next thing begins behind the word of a granule, in its block.
    #[inline(always)]
    fn next_behind(&self, context: &Context, granule: usize) -> usize {
        let map = &context.map;
        let all = map.shape.granules_per_block();
        let next = (granule | 63) + 1;
        if next & (all - 1) == 0 {
            return all;
        }
        let begins = map.edge_word(next).load(Relaxed) | map.live_word(next).load(Relaxed);
        let word = next & (all - 1);
        if begins != 0 {
            return word | begins.trailing_zeros() as usize;
        }
        map.flat(next >> (map.shape.block_shift - map.shape.granule_shift)).next_word(word / 64)
    }
}
