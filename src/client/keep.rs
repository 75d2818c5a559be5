//! The second path of PACKED clients: pieces that lie in one block, and caches of them by exact size.
//!
//! What is freed is kept in a cache only where no neighbour is free: it would be a hole of its own anyway, and the next
//! request of its size would take it for its best place. So caches cost no tightness. An empty cache is filled out
//! of a hole that has room for several pieces.
//!
//! Invariant: what a cache keeps is dead, of the cache's size, and in one block.
//! May know: context, flat, cache, packed, reach.

use super::Client;
use super::packed::LOOK;
use crate::context::{Context, FULL_BIT, MARK};
use crate::flat::What;
use core::sync::atomic::Ordering::Relaxed;

impl Client {
    /// The live piece that begins at an address, if it lies in one block: the block, its first granule, its end.
    #[inline(never)]
    fn packed_own(&self, context: &Context, address: usize) -> Option<(usize, usize, usize)> {
        let shape = &context.map.shape;
        let offset = address.wrapping_sub(context.map.base().addr());
        let (granule, block) = (offset >> shape.granule_shift, offset >> shape.block_shift);
        let loose = offset & ((1 << shape.granule_shift) - 1) != 0 || granule >= self.granules.get();
        if loose || !self.has_map(context, block) || !context.map.is_live(granule) {
            return None;
        }
        let flat = context.map.flat(block);
        let at = granule & (flat.granules - 1);
        let end = flat.next(at + 1);
        let whole = end < flat.granules || context.map.record(block).tail.load(Relaxed) == 0;
        whole.then_some((block, at, end))
    }

    /// Frees a piece that is not live any more and lies in one block: into a cache, if it is of a cached class and none
    /// of its neighbours is free.
    #[inline(never)]
    fn packed_put(&self, context: &Context, block: usize, at: usize, end: usize) {
        let shape = &context.map.shape;
        let flat = context.map.flat(block);
        let before = flat.hole_before(at);
        if before.is_none() && !flat.hole_behind(end) {
            let class = context.sizes.cache_class((end - at) << shape.granule_shift);
            let granule = (block << (shape.block_shift - shape.granule_shift)) + at;
            if class < context.cached_classes as usize
                && (self.packed_push(context, class, granule)
                    || (self.cache_make_room(context, class, granule) && self.packed_push(context, class, granule)))
            {
                return flat.set(at, What::Dead);
            }
        }
        self.give_hole(context, block, at, end, before);
    }

    #[inline(never)]
    fn packed_push(&self, context: &Context, class: usize, granule: usize) -> bool {
        self.cache_push(context, class, granule)
    }

    pub(super) fn packed_second_free(&self, context: &Context, address: usize) -> bool {
        let Some((block, at, end)) = self.packed_own(context, address) else { return false };
        self.packed_put(context, block, at, end);
        self.settle(context);
        true
    }

    /// A place for a request without further effort; and more of the same into the cache, which is empty.
    pub(super) fn packed_second_alloc(&self, context: &Context, size: usize) -> Option<usize> {
        let shape = &context.map.shape;
        if size.wrapping_sub(1) >= shape.block_size() {
            return None;
        }
        let bytes = (size + shape.alignment - 1) & !(shape.alignment - 1);
        let count = bytes >> shape.granule_shift;
        let choice = self.find_place(context, count, 1, LOOK)?;
        let start = (choice.block << shape.block_shift) + (choice.spot.at << shape.granule_shift);
        let more = if choice.further == 0 {
            self.refill_from(context, bytes, choice.spot.length.checked_div(count).unwrap_or(0))
        } else {
            0
        };
        self.settle_choice(context, &choice, count * (more + 1));
        let flat = context.map.flat(choice.block);
        for number in (1..=more).rev() {
            flat.set(choice.spot.at + number * count, What::Dead);
            let class = context.sizes.cache_class(bytes);
            let _ = self.packed_push(context, class, (start >> shape.granule_shift) + number * count);
        }
        Some(start)
    }

    /// How many pieces of `bytes` bytes a hole that has room for `room` of them gives to their cache, which is empty.
    #[inline(never)]
    fn refill_from(&self, context: &Context, bytes: usize, room: usize) -> usize {
        let class = context.sizes.cache_class(bytes);
        if class >= context.cached_classes as usize || room < 4 || self.granules.get() > MARK as usize {
            return 0;
        }
        self.cache_make_room(context, class, 0);
        let capacity = context.map.cache(self.top(context, class) - 1).get() & (FULL_BIT - 1);
        (capacity as usize).min(room / 2 - 1)
    }

    pub(super) fn packed_second_realloc(&self, context: &Context, address: usize, size: usize) -> bool {
        let class = |(_, at, end)| context.sizes.cache_class((end - at) << context.map.shape.granule_shift);
        self.packed_own(context, address).map(class) == Some(context.sizes.cache_class(size))
    }

    /// Puts a piece that is neither live nor in quarantine any more where it serves again.
    pub(super) fn packed_retire(&self, context: &Context, offset: usize, bytes: usize) {
        let shape = &context.map.shape;
        let (block, at) = (offset >> shape.block_shift, (offset & (shape.block_size() - 1)) >> shape.granule_shift);
        let end = at + (bytes >> shape.granule_shift);
        if end <= shape.granules_per_block() {
            self.packed_put(context, block, at, end);
        } else {
            self.packed_free(context, offset, bytes);
        }
    }
}
