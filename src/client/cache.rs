//! Caches: for each of the smaller classes a bounded stack of free cells (or runs), in front of slabs and buddy.
//!
//! The entries lie with the records of the client's own blocks, in pieces of 8. A class begins with none; it takes a
//! longer array each time that its stack overflows, as long as its blocks have free pieces. So a client's caches grow
//! with its memory, and nothing has to be allocated for them.
//!
//! ```text
//!     EMPTY|cap   oldest   …   newest   (stale)   FULL|cap
//!                                      ^ top
//! ```
//!
//! The marks are values that no granule has. One load tells "is there one": the entry below the top is no mark; and
//! one tells "is there room": the entry at the top is no mark. A class without an array has its top on a pair of
//! marks that all clients share.
//!
//! Runs of more than 8 units have no arrays: of each length one may wait, in the client itself. Programs that free and allocate
//! buffers in turn find it there; more would be missed by requests of other lengths.
//!
//! Invariants: between its marks an array holds granules of cells (runs) of its class, not live, in blocks of this
//! client; stale entries are never marks; the pieces of every array are taken in its block's `cache_pieces`.
//! May know: context, memory, slab, pages.

use super::{Client, FULL_LIST, NEAR_TOPS, PACKED_TOPS};
use crate::cell::Cell;
use crate::context::{Context, FULL_BIT, MARK};
use crate::layout::{CACHE_PIECE, FIRST_CACHE};
use crate::memory::NONE;
use crate::sizes::most_cached;
use core::sync::atomic::Ordering::Relaxed;

impl Client {
    // ---- tops ----

    #[inline(always)]
    pub(super) fn packed_top(&self, class: usize) -> &Cell<u32> {
        let first = core::ptr::from_ref(&self.tops).cast::<Cell<u32>>();
        let class = class.min(PACKED_TOPS - 1);
        // SAFETY: the tops have room for PACKED_TOPS 32-bit cells, and any bits are valid in both views;
        // a PACKED context uses this view only, any other context the other one only.
        unsafe { &*first.add(class) }
    }

    /// The number of the entry at the top.
    #[inline(never)]
    pub(crate) fn top(&self, context: &Context, class: usize) -> usize {
        if context.sizes.packed() {
            return self.packed_top(class).get() as usize;
        }
        self.tops.near.get(class).map_or(Context::NULL_CACHE, |top| context.map.cache_number(top.load(Relaxed)))
    }

    /// Without PACKED: where the one run of a class waits that has no array.
    #[inline(always)]
    pub(crate) fn lone(&self, class: usize) -> Option<&Cell<u32>> {
        self.tops.lone.get(class.wrapping_sub(NEAR_TOPS))
    }

    /// The same, or None if it lies in no place where a top can be: for checks.
    pub(crate) fn top_checked(&self, context: &Context, class: usize) -> Option<usize> {
        let top = match self.tops.near.get(class) {
            Some(top) if !context.sizes.packed() => {
                let from = top.load(Relaxed).addr().wrapping_sub(context.map.cache_table().addr());
                (from & 3 == 0).then_some(from / 4)?
            }
            _ => self.top(context, class),
        };
        let entries = FIRST_CACHE + context.map.blocks * context.map.shape.cache_entries as usize;
        (top == Context::NULL_CACHE || (FIRST_CACHE + 1..entries).contains(&top)).then_some(top)
    }

    #[inline(never)]
    pub(super) fn set_top(&self, context: &Context, class: usize, entry: usize) {
        if context.sizes.packed() {
            self.packed_top(class).set(entry as u32);
        } else if let Some(top) = self.tops.near.get(class) {
            top.store(context.map.cache_pointer(entry).cast_mut(), Relaxed);
        }
    }

    /// Puts the tops where they say "no cache".
    pub(super) fn forget_caches(&self, context: &Context) {
        if context.sizes.packed() {
            for class in 0..PACKED_TOPS {
                self.packed_top(class).set(Context::NULL_CACHE as u32);
            }
            return;
        }
        let none = context.map.cache_pointer(Context::NULL_CACHE).cast_mut();
        for top in &self.tops.near {
            top.store(none, Relaxed);
        }
        for (class, lone) in (NEAR_TOPS..).zip(&self.tops.lone) {
            lone.set(if class < context.cached_classes as usize { NONE } else { MARK });
        }
    }

    // ---- one entry ----

    #[inline(never)]
    pub(super) fn cache_pop(&self, context: &Context, class: usize) -> Option<usize> {
        if context.sizes.packed() {
            return self.packed_pop_entry(context, class);
        }
        let granule = match self.tops.near.get(class) {
            Some(top) => {
                let newest = context.map.cache_number(top.load(Relaxed)) - 1;
                let granule = context.map.cache(newest).get();
                if granule < MARK {
                    top.store(context.map.cache_pointer(newest).cast_mut(), Relaxed);
                }
                granule
            }
            None => self.lone(class)?.replace(NONE),
        };
        (granule < MARK).then_some(granule as usize)
    }

    #[inline(never)]
    pub(super) fn cache_push(&self, context: &Context, class: usize, granule: usize) -> bool {
        if context.sizes.packed() {
            return self.packed_push_entry(context, class, granule);
        }
        if granule >= MARK as usize {
            return false;
        }
        if let Some(top) = self.tops.near.get(class) {
            let next = context.map.cache_number(top.load(Relaxed));
            let room = context.map.cache(next).get() < MARK;
            if room {
                context.map.cache(next).set(granule as u32);
                top.store(context.map.cache_pointer(next + 1).cast_mut(), Relaxed);
            }
            return room;
        }
        self.lone(class).is_some_and(|lone| {
            let room = lone.get() == NONE;
            if room {
                lone.set(granule as u32);
            }
            room
        })
    }

    /// `cache_pop` of a PACKED context.
    #[inline(always)]
    pub(super) fn packed_pop_entry(&self, context: &Context, class: usize) -> Option<usize> {
        let top = self.packed_top(class);
        let granule = context.map.cache(top.get() as usize - 1).get();
        (granule < MARK).then(|| {
            top.set(top.get() - 1);
            granule as usize
        })
    }

    /// `cache_push` of a PACKED context.
    #[inline(always)]
    pub(super) fn packed_push_entry(&self, context: &Context, class: usize, granule: usize) -> bool {
        let top = self.packed_top(class);
        let place = context.map.cache(top.get() as usize);
        if place.get() >= MARK || granule >= MARK as usize {
            return false;
        }
        place.set(granule as u32);
        top.set(top.get() + 1);
        true
    }

    // ---- many entries ----

    /// The most entries that a class's cache may ever have.
    fn most_entries(context: &Context, class: usize) -> usize {
        if class < context.sizes.count() {
            return context.sizes.class(class).most_cached as usize;
        }
        if !context.sizes.packed() && class >= NEAR_TOPS {
            return 0;
        }
        most_cached(context.sizes.cached_bytes(class))
    }

    /// Is a longer array for this class, whose cache has a mark at its top or below, worth looking for? Where no piece was free
    /// there is none before the client has another block.
    #[inline(always)]
    pub(super) fn may_grow(&self, context: &Context, class: usize, mark: u32) -> bool {
        mark & (FULL_BIT - 1) < context.sizes.class(class).most_cached && self.no_pieces_at.get() != self.held.get()
    }

    /// Looks for a longer array for a class whose cache is full, or empty. False: there is none to be had. Of a full one what is
    /// freed then goes back to its slab: to send older entries there in its place would only be more work.
    pub(super) fn cache_make_room(&self, context: &Context, class: usize, granule: usize) -> bool {
        if granule >= MARK as usize || self.no_pieces_at.get() == self.held.get() {
            return false;
        }
        let top = self.top(context, class);
        let above = context.map.cache(top).get();
        let full = above >= MARK;
        let mark = if full { above } else { context.map.cache(top - 1).get() };
        let capacity = (mark & (FULL_BIT - 1)) as usize;
        let most = Self::most_entries(context, class);
        if capacity < most {
            let wanted = ((capacity + 2) * 2 - 2).clamp(CACHE_PIECE - 2, most.max(CACHE_PIECE - 2)).min(most);
            if let Some(first) = self.take_pieces(context, pieces_for(wanted)) {
                self.move_array(context, class, first, wanted, if full { capacity } else { 0 });
                return true;
            }
            self.no_pieces_at.set(self.held.get());
        }
        false
    }

    /// Moves all `count` entries of a class into the fresh array whose EMPTY mark is to be at `first`.
    fn move_array(&self, context: &Context, class: usize, first: usize, capacity: usize, count: usize) {
        let (map, old) = (&context.map, self.top(context, class) - count - 1);
        map.cache(first).set(MARK | capacity as u32);
        map.copy_cache(old + 1, first + 1, count);
        map.clear_cache(first + 1 + count, capacity - count);
        map.cache(first + capacity + 1).set(MARK | FULL_BIT | capacity as u32);
        self.drop_array(context, old);
        self.set_top(context, class, first + 1 + count);
    }

    /// Where the EMPTY mark of a class's array is, and how many entries there are above it.
    pub(crate) fn array(&self, context: &Context, class: usize) -> (usize, usize) {
        let top = self.top(context, class);
        let mut at = top - 1;
        while at > 0 && context.map.cache(at).get() < MARK {
            at -= 1;
        }
        (at, top - 1 - at)
    }

    /// How many pieces of a class wait in its cache.
    pub(crate) fn cached_count(&self, context: &Context, class: usize) -> usize {
        let lone = !context.sizes.packed() && self.lone(class).is_some_and(|lone| lone.get() < MARK);
        self.array(context, class).1 + lone as usize
    }

    /// What leaves a cache goes where it would have gone without one.
    #[inline(never)]
    pub(super) fn put_back(&self, context: &Context, class: usize, granule: usize) {
        let slabs = context.sizes.count();
        if context.sizes.packed() {
            let shift = context.map.shape.granule_shift;
            self.packed_free(context, granule << shift, context.sizes.cached_bytes(class));
        } else if class < slabs {
            let _ = self.slab_put(context, class, granule);
        } else {
            let unit = granule >> (context.map.shape.unit_shift - context.map.shape.granule_shift);
            self.free_units(context, unit, context.sizes.units_of((class - slabs) as u32));
        }
    }

    /// Empties every cache, and gives the arrays up. True if anything was in them.
    pub(super) fn flush_caches(&self, context: &Context) -> bool {
        let mut any = self.empty_caches(context, 0);
        for class in 0..context.cached_classes as usize {
            any |= self.close_slab(context, class);
        }
        any
    }

    /// The same without the open slabs, for the classes from `first` on.
    pub(super) fn empty_caches(&self, context: &Context, first: usize) -> bool {
        (first..context.cached_classes as usize).fold(false, |any, class| any | self.flush_class(context, class))
    }

    fn flush_class(&self, context: &Context, class: usize) -> bool {
        let mut any = false;
        while let Some(granule) = self.cache_pop(context, class) {
            any = true;
            self.put_back(context, class, granule);
        }
        let first = self.top(context, class) - 1;
        self.set_top(context, class, Context::NULL_CACHE);
        self.drop_array(context, first);
        any
    }

    // ---- arrays ----

    /// Looks for neighbouring free pieces in a few of the client's blocks.
    fn take_pieces(&self, context: &Context, count: usize) -> Option<usize> {
        let pieces = context.map.shape.cache_entries as usize / CACHE_PIECE;
        if count > pieces || count == 0 {
            return None;
        }
        let lists = if context.sizes.packed() { Self::list_count(context) } else { FULL_LIST + 1 };
        for list in (0..lists).filter_map(|list| self.list(list)) {
            let mut block = list.get();
            for _ in 0..4 {
                if block == NONE {
                    break;
                }
                let record = context.map.record(block as usize);
                let taken = record.cache_pieces.load(Relaxed);
                if let Some(at) = free_pieces(taken, count, pieces) {
                    record.cache_pieces.store(taken | mask(count) << at, Relaxed);
                    return Some(context.map.first_cache(block as usize) + at * CACHE_PIECE);
                }
                block = record.next.load(Relaxed);
            }
        }
        None
    }

    fn drop_array(&self, context: &Context, first: usize) {
        let Some(block) = block_of_entry(context, first) else {
            return; // the shared empty cache
        };
        let capacity = (context.map.cache(first).get() & (FULL_BIT - 1)) as usize;
        let at = (first - context.map.first_cache(block)) / CACHE_PIECE;
        let record = context.map.record(block);
        record.cache_pieces.store(record.cache_pieces.load(Relaxed) & !(mask(pieces_for(capacity)) << at), Relaxed);
    }

    /// Gives up the arrays that lie with `block`, before the block goes back.
    pub(super) fn leave_block(&self, context: &Context, block: usize) {
        if context.map.record(block).cache_pieces.load(Relaxed) == 0 {
            return;
        }
        for class in 0..context.cached_classes as usize {
            let top = self.top(context, class);
            if block_of_entry(context, top - 1) == Some(block) {
                self.flush_class(context, class);
            }
        }
    }
}

/// The block with whose records a cache entry lies.
pub(crate) fn block_of_entry(context: &Context, entry: usize) -> Option<usize> {
    entry.checked_sub(FIRST_CACHE)?.checked_div(context.map.shape.cache_entries as usize)
}

/// Pieces for so many entries and two marks.
pub(crate) fn pieces_for(capacity: usize) -> usize {
    (capacity + 2).div_ceil(CACHE_PIECE)
}

fn mask(count: usize) -> u32 {
    (((1u64 << count) - 1) & 0xffff_ffff) as u32
}

/// The first place with `count` neighbouring pieces that are not taken.
fn free_pieces(taken: u32, count: usize, pieces: usize) -> Option<usize> {
    let free = !taken & mask(pieces);
    let starts = (1..count).fold(free, |starts, _| starts & starts >> 1);
    (starts != 0).then(|| starts.trailing_zeros() as usize)
}
