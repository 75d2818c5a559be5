//! The short way of PACKED clients: pieces that lie in one block, from and to caches of exact sizes.
//!
//! ```text
//!   request ─> cache ─> a good hole; more of the same into the cache
//!   free    ─> cache, if no neighbour is free ─> hole, merged with its neighbours
//! ```
//!
//! What is freed is kept in a cache only where no neighbour is free: it would be a hole of its own anyway, and the next
//! request of its size would take it for its best place. So caches cost no tightness.
//!
//! Cost: where all that is looked at lies in one word of 64 granules, a few dozen instructions.
//! Invariant: what a cache keeps is dead, of the cache's size, and in one block.
//! May know: context, flat, cache, packed, reach.

use super::Client;
use super::alloc::Request;
use crate::bitmap::count_ones;
use crate::context::{Context, FULL_BIT, MARK};
use crate::memory::kind;
use crate::sizes::MOST_CACHED;
use crate::spot::divides;
use core::sync::atomic::Ordering::Relaxed;

/// A piece that lies in one block: granules of the block.
#[derive(Clone, Copy)]
struct Own {
    block: usize,
    at: usize,
    end: usize,
    /// The hole that ends where it begins.
    before: Option<usize>,
    /// Does a hole begin where it ends?
    behind: bool,
}

impl Client {
    /// The live piece that begins at an address, if it lies in one block, and what is around it.
    #[inline(always)]
    fn packed_own(&self, context: &Context, address: usize) -> Option<Own> {
        let map = &context.map;
        let shift = map.shape.granule_shift;
        // Rotated, so that a misaligned address becomes a huge number.
        let granule = address.wrapping_sub(map.base().addr()).rotate_right(shift);
        if granule >= self.granules.get() {
            return None;
        }
        let block_shift = map.shape.block_shift - shift;
        let block = granule >> block_shift;
        let (edges, lives) = (map.edge_word(granule).load(Relaxed), map.live_word(granule).load(Relaxed));
        let index = granule & 63;
        if (edges & lives) >> index & 1 == 0 || map.record(block).owner.load(Relaxed) != self.owner.get() | kind::BUDDY
        {
            return None;
        }
        let at = granule & ((1 << block_shift) - 1);
        let word = at & !63;
        let (begins, holes) = (edges | lives, edges & !lives);
        let above = begins & (!1 << index);
        let below = begins & !(!0 << index);
        let (end, behind) = if above != 0 {
            let bit = above.trailing_zeros();
            (word | bit as usize, holes >> bit & 1 != 0)
        } else {
            self.end_behind(context, block, word)?
        };
        let before = if below != 0 {
            let bit = 63 ^ below.leading_zeros();
            (holes >> bit & 1 != 0).then_some(word | bit as usize)
        } else if word > 0 {
            map.flat(block).hole_before(word)
        } else {
            None
        };
        Some(Own { block, at, end, before, behind })
    }

    /// Where the piece ends that goes on behind a word, and whether a hole begins there. None: in another block.
    #[inline(never)]
    fn end_behind(&self, context: &Context, block: usize, word: usize) -> Option<(usize, bool)> {
        let flat = context.map.flat(block);
        let end = flat.next_word(word / 64);
        let whole = end < flat.granules() || context.map.record(block).tail.load(Relaxed) == 0;
        whole.then_some((end, flat.hole_behind(end)))
    }

    /// Keeps a piece that is freed, none of whose neighbours is free, in a cache, if it can go there.
    #[inline(never)]
    fn packed_keep(&self, context: &Context, block: usize, at: usize, end: usize) -> bool {
        let shape = &context.map.shape;
        let granule = (block << (shape.block_shift - shape.granule_shift)) + at;
        let class = context.sizes.packed_cache_class((end - at) << shape.granule_shift);
        let push = || self.cache_push(context, class, granule);
        let kept = class < context.cached_classes as usize
            && (push()
                || (self.packed_may_grow(context, class) && self.cache_make_room(context, class, granule) && push()));
        if kept {
            context.map.set_edge(granule, false);
        }
        kept
    }

    /// Is a longer array for this class, whose cache is full, worth looking for?
    #[inline(always)]
    pub(super) fn packed_may_grow(&self, context: &Context, class: usize) -> bool {
        let mark = context.map.cache(self.packed_top(class).get() as usize).get();
        self.no_pieces_at.get() != self.held.get() && ((mark & (FULL_BIT - 1)) as usize) < MOST_CACHED
    }

    /// Free by the short way, or by the long one.
    #[inline(never)]
    pub(super) fn packed_short_free(&self, context: &Context, address: usize) -> i32 {
        let freed = {
            let _lock = self.lock_shared_here(context);
            self.packed_second_free(context, address)
        };
        if freed { 0 } else { self.free(address) }
    }

    #[inline(always)]
    fn packed_second_free(&self, context: &Context, address: usize) -> bool {
        let Some(own) = self.packed_own(context, address) else { return false };
        let alone = own.before.is_none() && !own.behind;
        if !alone || !self.packed_keep(context, own.block, own.at, own.end) {
            self.give_hole(context, own.block, own.at, own.end, own.before);
            self.settle(context);
        }
        true
    }

    /// How many granules a request takes.
    #[inline(always)]
    fn granules_of(context: &Context, class: usize) -> usize {
        let shape = &context.map.shape;
        (class + 1) << (shape.alignment.trailing_zeros() - shape.granule_shift)
    }

    /// As `packed_short_free`.
    #[inline(never)]
    pub(super) fn packed_short_alloc(&self, context: &Context, size: usize) -> *mut u8 {
        let place = {
            let _lock = self.lock_shared_here(context);
            self.packed_second_alloc(context, size)
        };
        match place {
            Some(offset) => context.map.address_of(offset),
            None => self.allocate(&Request::new(size, 0, false)),
        }
    }

    /// The same for a request, if it takes no further effort; the offset.
    pub(super) fn packed_short_place(&self, context: &Context, request: &Request) -> Option<usize> {
        let _lock = self.lock_shared_here(context);
        request.life.set(self.owner.get());
        self.packed_second_alloc(context, request.size)
    }

    /// A place for a request without further effort.
    #[inline(always)]
    fn packed_second_alloc(&self, context: &Context, size: usize) -> Option<usize> {
        let shape = &context.map.shape;
        let class = context.sizes.packed_cache_class(size);
        let kept = if class < context.cached_classes as usize { self.packed_pop_entry(context, class) } else { None };
        let granule = if let Some(granule) = kept {
            context.map.set_edge(granule, true);
            granule
        } else if size.wrapping_sub(1) < shape.block_size() {
            self.packed_search(context, class)?
        } else {
            return None;
        };
        Some(granule << shape.granule_shift)
    }

    /// The best place for a piece of a class that no cache has; more of the same go into the cache.
    #[inline(never)]
    fn packed_search(&self, context: &Context, class: usize) -> Option<usize> {
        let (shape, count) = (&context.map.shape, Self::granules_of(context, class));
        let long = self.is_long(context, count);
        let choice = self.find_place(context, count, 1, long)?;
        let granule = (choice.block << (shape.block_shift - shape.granule_shift)) + choice.spot.at;
        let more = if choice.further == 0 { self.refill_from(context, class, count, choice.spot.length) } else { 0 };
        self.settle_choice(context, &choice, count * (more + 1), long);
        if more > 0 {
            // `refill_from` has made sure of the room.
            let top = self.packed_top(class).get() as usize;
            let mut piece = granule;
            for entry in (top..top + more).rev() {
                piece += count;
                context.map.begin_dead(piece);
                context.map.cache(entry).set(piece as u32);
            }
            self.packed_top(class).set((top + more) as u32);
        } else if class < context.cached_classes as usize {
            self.gather(context, choice.block, choice.spot.at / 64, class, count);
        }
        Some(granule)
    }

    /// Fills a cache from the holes of its size in a word: they are near, and would be the next ones to be found.
    fn gather(&self, context: &Context, block: usize, word: usize, class: usize, count: usize) {
        let flat = context.map.flat(block);
        let first = (block << (context.map.shape.block_shift - context.map.shape.granule_shift)) + word * 64;
        let (mut rest, mut taken) = (if count < 64 { flat.equals_in(word, count) } else { 0 }, 0);
        while rest != 0 && self.packed_push_entry(context, class, first + rest.trailing_zeros() as usize) {
            taken |= rest & rest.wrapping_neg();
            rest &= rest - 1;
        }
        if taken != 0 {
            flat.put_down(word, count, taken);
            self.count_granules(context, block, -((count_ones(taken) * count) as isize));
            self.hole_changed(context, block, 1, count);
        }
    }

    /// How many pieces of `count` granules a hole gives to their cache, which is empty.
    #[inline(always)]
    fn refill_from(&self, context: &Context, class: usize, count: usize, length: usize) -> usize {
        if length < 2 * count || class >= context.cached_classes as usize || self.granules.get() > MARK as usize {
            return 0;
        }
        // All of a hole that a few pieces fill, half of any other that has room for some.
        let room = length.checked_div(count).unwrap_or(0);
        let more = if divides(count, length) { room } else { room / 2 };
        if more < 2 {
            return 0;
        }
        // Its first array. Longer ones come from frees: caches filled far ahead of use cost tightness and save no time.
        if self.packed_top(class).get() as usize == Context::NULL_CACHE && self.no_pieces_at.get() != self.held.get() {
            self.cache_make_room(context, class, 0);
        }
        let capacity = context.map.cache(self.packed_top(class).get() as usize - 1).get() & (FULL_BIT - 1);
        (capacity as usize).min(more - 1)
    }

    /// Another size for a piece of a block in at most a block. Some: it has that size now, at this offset; or it has to move, and
    /// belongs to this life. None: take the long way.
    #[inline(never)]
    pub(super) fn packed_short_resize(
        &self,
        context: &Context,
        address: usize,
        size: usize,
    ) -> Option<Result<usize, u32>> {
        let shape = &context.map.shape;
        let offset = address.wrapping_sub(context.map.base().addr());
        let _lock = self.lock_shared_here(context);
        let found = self.startable(context, address)?;
        let (block, at) = (offset >> shape.block_shift, (offset & (shape.block_size() - 1)) >> shape.granule_shift);
        let end = at + (found.usable >> shape.granule_shift);
        if size.wrapping_sub(1) >= shape.block_size() || end > shape.granules_per_block() {
            return None;
        }
        let (old, new) = (end - at, Self::granules_of(context, context.sizes.packed_cache_class(size)));
        if new < old {
            self.give_hole(context, block, at + new, end, None);
            self.settle(context);
        }
        let fits = new <= old || self.packed_lengthen(context, block, end, new - old);
        Some(if fits { Ok(found.start) } else { Err(self.owner.get()) })
    }

    /// Lengthens the piece that ends at `end` by so many granules of the hole there.
    fn packed_lengthen(&self, context: &Context, block: usize, end: usize, count: usize) -> bool {
        let flat = context.map.flat(block);
        let have = flat.hole_at(end);
        let fits = flat.extend(end, count);
        if fits {
            self.count_granules(context, block, -(count as isize));
            self.hole_changed(context, block, end, have);
        }
        fits
    }

    /// Puts a piece that is neither live nor in quarantine any more where it serves again.
    pub(super) fn packed_retire(&self, context: &Context, offset: usize, bytes: usize) {
        let shape = &context.map.shape;
        let (block, at) = (offset >> shape.block_shift, (offset & (shape.block_size() - 1)) >> shape.granule_shift);
        let end = at + (bytes >> shape.granule_shift);
        if end <= shape.granules_per_block() {
            let flat = context.map.flat(block);
            let before = flat.hole_before(at);
            let alone = before.is_none() && !flat.hole_behind(end);
            if !alone || !self.packed_keep(context, block, at, end) {
                self.give_hole(context, block, at, end, before);
            }
        } else {
            self.packed_free(context, offset, bytes);
        }
    }
}
