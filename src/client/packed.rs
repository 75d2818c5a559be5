//! PACKED: pieces of any length at any granule of a client's blocks.
//!
//! ```text
//!   | piece | hole | piece … | … goes on | hole | piece |  hole  |
//!   block b                  block b+1                   block b+2
//! ```
//!
//! A piece up to a block lies in one block or in two neighbours; a larger one begins with a block. A block's map is its
//! own (flat.rs), what lies across two blocks stands in their records: `tail` says in how many further blocks the last
//! piece of a block goes on, `run` of these where it begins. Blocks all covered by a piece of an earlier block are
//! BODY (those that the context gave for it), and nothing is believed of their maps.
//!
//! A request takes the first block of the first list of its kind that serves (reach.rs), and in it a good hole; a longer one
//! the shortest hole of a few blocks. Where the context has no block to give, one of the other kind serves.
//!
//! Cost: one step for each look at a block; a block's map is read as flat.rs says.
//! Invariants: of neighbouring blocks the earlier says where the piece ends that the later one says it is covered by.
//! May know: context, memory, flat, pages, reach.

use super::Client;
use super::pages::LIST_SHIFT;
use super::reach::{EMPTY_BIT, FREE_MASK, list_of_state, lists_for, near_of, number_of, with_reach};
use crate::cell::Cell;
use crate::context::Context;
use crate::flat::{Spot, code};
use crate::memory::{NONE, kind};
use crate::status::Status;
use core::sync::atomic::Ordering::Relaxed;

/// Blocks that are looked at in a list whose blocks may be too small.
const LOOK: usize = 64;
/// From so many bytes on a piece takes the shortest hole that serves in a few blocks of each list. Shorter ones are too many for that.
const FITTED_BYTES: usize = 512;
/// These few blocks.
const FITTED_LOOK: usize = 8;
/// So many blocks are looked at for one that a run can end in, before a run of whole blocks is taken.
const RUN_LOOK: usize = 4096;
/// A hole of which only the 32nd part of a piece would be left is short enough.
const SHORT_ENOUGH: u32 = 5;

/// Where a request goes: the block, the spot in it, and how many granules in the next block.
pub(super) struct Choice {
    pub(super) block: usize,
    pub(super) spot: Spot,
    pub(super) further: usize,
    /// How long the hole is, with what lies in the next block.
    room: usize,
}

impl Client {
    // ---- taking ----

    /// Makes a block that was just taken, or cut off, one with a map, of which the first `covered` granules belong to a
    /// piece that begins in `home`.
    #[inline(never)]
    fn begin_map(&self, context: &Context, block: usize, home: usize, covered: usize) {
        let (record, flat) = (context.map.record(block), context.map.flat(block));
        flat.init();
        if covered > 0 {
            flat.cover(covered);
        }
        record.run.store(if covered > 0 { home as u32 } else { NONE }, Relaxed);
        record.tail.store(0, Relaxed);
        record.cache_pieces.store(0, Relaxed);
        record.owner.store(self.owner.get() | kind::BUDDY, Relaxed);
        self.enlist(context, block, flat.granules() - covered);
    }

    #[inline(never)]
    fn enlist(&self, context: &Context, block: usize, free: usize) {
        let state = with_reach(free as u32 & FREE_MASK, self.reach(context, block));
        context.map.record(block).state.store(state, Relaxed);
        self.link_block(context, block, list_of_state(state));
    }

    /// A live piece of `bytes` bytes, at a multiple of `align`; its offset.
    #[inline(never)]
    pub(super) fn packed_take(&self, context: &Context, bytes: usize, align: usize) -> Result<usize, Status> {
        let shape = &context.map.shape;
        let (count, align) = (bytes >> shape.granule_shift, (align >> shape.granule_shift).max(1));
        if bytes > shape.block_size() {
            return self.packed_run(context, count);
        }
        let long = self.is_long(context, count);
        let choice = match self.find_place(context, count, align, long) {
            Some(choice) => choice,
            None => match context.take_block(&self.claim(context)) {
                Ok(block) => {
                    self.now_holds(self.held.get() as usize + 1);
                    self.reaches(context, block);
                    self.enlist(context, block, shape.granules_per_block());
                    self.relist_before(context, block);
                    let before = block.checked_sub(1).filter(|&before| self.serves(context, before, long));
                    before
                        .and_then(|before| self.place_in(context, before, count, align, usize::MAX))
                        .or_else(|| self.place_in(context, block, count, align, usize::MAX))
                        .ok_or(Status::Corrupt)?
                }
                // Before it fails it looks at every block, of either kind.
                Err(status) => self
                    .look(context, count, align, lists_for(code(count), long), usize::MAX)
                    .or_else(|| self.look(context, count, align, lists_for(code(count), !long), usize::MAX))
                    .ok_or(status)?,
            },
        };
        let start = (choice.block << (shape.block_shift - shape.granule_shift)) + choice.spot.at;
        self.settle_choice(context, &choice, count, long);
        Ok(start << shape.granule_shift)
    }

    /// A place among the blocks of its kind.
    #[inline(always)]
    pub(super) fn find_place(&self, context: &Context, count: usize, align: usize, long: bool) -> Option<Choice> {
        // Of holes that are long enough many may lie at wrong places: few blocks, then another one.
        let look = if align > 1 { FITTED_LOOK } else { LOOK };
        self.look(context, count, align, lists_for(code(count), long), look)
    }

    /// The same in the first `look` blocks of each of these lists.
    #[inline(never)]
    fn look(&self, context: &Context, count: usize, align: usize, lists: u32, look: usize) -> Option<Choice> {
        let want = code(count) as u32;
        let mut lists = self.filled() & lists;
        if count << context.map.shape.granule_shift >= FITTED_BYTES {
            let choice = self.pick(context, count, align, lists & !EMPTY_BIT, FITTED_LOOK, count >> SHORT_ENOUGH);
            if choice.is_some() {
                return choice;
            }
        }
        if near_of(lists) != 0 {
            match self.lowest(context, want, near_of(lists), look) {
                NONE => lists &= !near_of(lists),
                block => {
                    let choice = self.place_in(context, block as usize, count, align, usize::MAX);
                    if choice.is_some() {
                        return choice;
                    }
                }
            }
        }
        self.pick(context, count, align, lists, look, usize::MAX)
    }

    /// The shortest hole that serves in the first `look` blocks of each of these lists; one of which at most `slack` granules
    /// would be left ends the search.
    #[inline(never)]
    fn pick(
        &self,
        context: &Context,
        count: usize,
        align: usize,
        mut lists: u32,
        look: usize,
        slack: usize,
    ) -> Option<Choice> {
        let want = code(count) as u32;
        let (mut best, mut least) = (None, usize::MAX);
        while lists != 0 {
            crate::steps::count();
            let mut block = self.list(number_of(lists.trailing_zeros() as usize)).map_or(NONE, Cell::get);
            lists &= lists - 1;
            let mut left = look;
            while block != NONE && left > 0 {
                crate::steps::count();
                left -= 1;
                let record = context.map.record(block as usize);
                if record.state.load(Relaxed) >> LIST_SHIFT >= want
                    && let Some(choice) = self.place_in(context, block as usize, count, align, least)
                {
                    least = choice.room;
                    best = Some(choice);
                    if least - count <= slack {
                        return best;
                    }
                }
                block = record.next.load(Relaxed);
            }
        }
        best
    }

    /// The lowest of the first blocks of these lists that have such a reach.
    #[inline(always)]
    fn lowest(&self, context: &Context, want: u32, mut lists: u32, look: usize) -> u32 {
        let mut lowest = NONE;
        while lists != 0 {
            crate::steps::count();
            let mut block = self.list(number_of(lists.trailing_zeros() as usize)).map_or(NONE, Cell::get);
            lists &= lists - 1;
            let mut left = look;
            // In all lists but the first each block has it.
            while block < lowest && left > 0 {
                crate::steps::count();
                let record = context.map.record(block as usize);
                if record.state.load(Relaxed) >> LIST_SHIFT >= want {
                    lowest = block;
                    break;
                }
                left -= 1;
                block = record.next.load(Relaxed);
            }
        }
        lowest
    }

    /// The best place for a piece that begins in a block, in a hole shorter than `least`.
    #[inline(never)]
    fn place_in(&self, context: &Context, block: usize, count: usize, align: usize, least: usize) -> Option<Choice> {
        let flat = context.map.flat_here(block);
        // Where there are caches they are filled by the way.
        let inside = flat.find(count, align, context.cached_classes > 0, least);
        if let Some(spot) = inside
            && spot.length == count
        {
            return Some(Choice { block, spot, further: 0, room: count });
        }
        let length = flat.last_hole();
        let hole = flat.granules() - length;
        let at = (hole + align - 1) & !(align - 1);
        let (own, room) = (flat.granules().saturating_sub(at), inside.map_or(least, |spot| spot.length));
        if own > 0 && own < count && length < room {
            let front = self.front(context, block + 1);
            if own + front >= count && length + front < room {
                let spot = Spot { hole, length, at };
                return Some(Choice { block, spot, further: count - own, room: length + front });
            }
        }
        inside.map(|spot| Choice { block, spot, further: 0, room: spot.length })
    }

    #[inline(never)]
    pub(super) fn settle_choice(&self, context: &Context, choice: &Choice, count: usize, long: bool) {
        let Choice { block, spot, further, .. } = choice;
        self.dedicate(context, *block, long);
        context.map.flat_here(*block).take(spot, count);
        if *further > 0 {
            self.dedicate(context, *block + 1, long);
            context.map.record(*block).tail.store(1, Relaxed);
            self.cover(context, *block + 1, *block, *further);
        }
        self.count_granules(context, *block, -((count - further) as isize));
        self.hole_changed(context, *block, spot.hole, spot.length);
    }

    /// Gives the front of a block with a map to a piece that begins in `home`.
    #[inline(never)]
    fn cover(&self, context: &Context, block: usize, home: usize, count: usize) {
        context.map.flat(block).cover(count);
        context.map.record(block).run.store(home as u32, Relaxed);
        self.count_granules(context, block, -(count as isize));
        self.relist(context, block);
    }

    /// A piece of more than a block: whole blocks from the context, and the front of the one behind them.
    #[inline(never)]
    fn packed_run(&self, context: &Context, count: usize) -> Result<usize, Status> {
        let shape = &context.map.shape;
        let (blocks, rest) =
            (count >> (shape.block_shift - shape.granule_shift), count & (shape.granules_per_block() - 1));
        let all = blocks + (rest > 0) as usize;
        let (head, fresh) = match self.run_before_own(context, blocks, rest, RUN_LOOK) {
            Some(head) => (head, blocks),
            None => match context.take_run(all, &self.claim(context)) {
                Ok(head) => (head, all),
                // Before it fails it looks at every block.
                Err(status) => (self.run_before_own(context, blocks, rest, usize::MAX).ok_or(status)?, blocks),
            },
        };
        self.now_holds(self.held.get() as usize + fresh);
        self.begin_map(context, head, head, 0);
        let all = Spot { hole: 0, length: shape.granules_per_block(), at: 0 };
        context.map.flat(head).take(&all, count);
        self.count_granules(context, head, -(shape.granules_per_block() as isize));
        self.relist(context, head);
        self.go_on(context, head, head + 1, head + fresh, head + blocks, rest);
        Ok(head << shape.block_shift)
    }

    /// Free blocks of the context with a block of ours behind them whose front is free, among the first `look` blocks.
    #[inline(never)]
    fn run_before_own(&self, context: &Context, blocks: usize, rest: usize, look: usize) -> Option<usize> {
        let shape = &context.map.shape;
        let reach = self.granules.get() >> (shape.block_shift - shape.granule_shift);
        // How many free blocks lie directly before.
        let mut free = 0;
        let fits = |&block: &usize| {
            crate::steps::count();
            let before = free;
            free = if context.is_block_free(block) { before + 1 } else { 0 };
            before >= blocks
                && self.front(context, block) >= rest
                && context.take_behind(block - blocks, blocks, &self.claim(context)).is_ok()
        };
        let behind = if rest > 0 { reach.min(context.watermark.load(Relaxed)).min(look) } else { 0 };
        (0..behind).find(fits).map(|block| block - blocks)
    }

    /// Makes blocks that were just taken, those from `first` to `fresh`, part of the piece that begins in `home`: whole
    /// up to `whole`, and of that block `rest` granules; it is ours already if it is not fresh.
    #[inline(never)]
    fn go_on(&self, context: &Context, home: usize, first: usize, fresh: usize, whole: usize, rest: usize) {
        if fresh > 0 {
            self.reaches(context, fresh - 1);
        }
        for body in first..whole.min(fresh) {
            context.map.record(body).run.store(home as u32, Relaxed);
        }
        if rest > 0 && whole < fresh {
            self.begin_map(context, whole, home, rest);
            self.relist_before(context, whole);
        } else if rest > 0 {
            self.cover(context, whole, home, rest);
        }
        context.map.record(home).tail.store((whole - home - (rest == 0) as usize) as u32, Relaxed);
    }

    // ---- giving ----

    /// Gives the end of a piece back, from `from` on; of all of it if that is its start. All three are granules.
    #[inline(never)]
    pub(super) fn packed_give(&self, context: &Context, start: usize, from: usize, to: usize) {
        let shape = &context.map.shape;
        let (shift, all) = (shape.block_shift - shape.granule_shift, shape.granules_per_block());
        let home = start >> shift;
        let mut bodies = 0;
        for block in from >> shift..=(to - 1) >> shift {
            crate::steps::count();
            let (first, last) = (from.saturating_sub(block << shift), (to - (block << shift)).min(all));
            let body = block > home && context.map.record(block).owner.load(Relaxed) & 0xff == kind::BODY;
            if body && first == 0 {
                bodies += 1;
                continue;
            }
            self.give_bodies(context, block, &mut bodies);
            if body {
                self.begin_map(context, block, home, first);
                continue;
            }
            if block > home && first == 0 {
                context.map.record(block).run.store(NONE, Relaxed);
            }
            let before = context.map.flat(block).hole_before(first);
            self.give_hole(context, block, first, last, before);
        }
        self.give_bodies(context, ((to - 1) >> shift) + 1, &mut bodies);
        if (to - 1) >> shift > home {
            let tail = if from > start { ((from - 1) >> shift) - home } else { 0 };
            context.map.record(home).tail.store(tail as u32, Relaxed);
        }
    }

    /// Makes a part of a block free; the hole before it begins at `before`.
    #[inline(never)]
    pub(super) fn give_hole(&self, context: &Context, block: usize, from: usize, to: usize, before: Option<usize>) {
        let (start, length) = context.map.flat_here(block).give(from, to, before);
        self.hole_grew(context, block, start, length, code(length), to - from);
    }

    /// Gives the context the `count` blocks before `end`.
    #[inline(never)]
    fn give_bodies(&self, context: &Context, end: usize, count: &mut usize) {
        if *count > 0 {
            context.give_blocks(end - *count, *count, &self.claim(context));
            self.held.set(self.held.get() - *count as u32);
            *count = 0;
        }
    }

    /// Gives all of a piece back.
    #[inline(never)]
    pub(super) fn packed_free(&self, context: &Context, offset: usize, bytes: usize) {
        let shift = context.map.shape.granule_shift;
        self.packed_give(context, offset >> shift, offset >> shift, (offset + bytes) >> shift);
    }

    // ---- in place ----

    /// Changes the length of a piece without moving it. False: the neighbourhood does not allow it.
    pub(super) fn packed_resize(&self, context: &Context, offset: usize, old: usize, new: usize) -> bool {
        let shift = context.map.shape.granule_shift;
        if new < old {
            self.packed_give(context, offset >> shift, (offset + new) >> shift, (offset + old) >> shift);
        }
        let block = context.map.shape.block_size();
        let may = new <= block || offset & (block - 1) == 0;
        new <= old
            || (may && self.packed_grow(context, offset >> shift, (offset + old) >> shift, (offset + new) >> shift))
    }

    fn packed_grow(&self, context: &Context, start: usize, old: usize, new: usize) -> bool {
        let shape = &context.map.shape;
        let (shift, all) = (shape.block_shift - shape.granule_shift, shape.granules_per_block());
        let (home, last) = (start >> shift, (old - 1) >> shift);
        let (end, count) = (old - (last << shift), new - old);
        let flat = context.map.flat(last);
        // Of a block that is all covered nothing is believed.
        let have = if end < all { flat.hole_at(end) } else { 0 };
        if have < count && end + have < all {
            return false;
        }
        let more = count.saturating_sub(have);
        if more > 0 {
            let (blocks, rest) = (more >> shift, more & (all - 1));
            let (next, claim) = (last + 1, self.claim(context));
            let all_new = blocks + (rest > 0) as usize;
            let own = rest > 0 && self.front(context, next + blocks) >= rest;
            let fresh = if own { blocks } else { all_new };
            if fresh > 0 && context.take_behind(next, fresh, &claim).is_err() {
                return false;
            }
            self.now_holds(self.held.get() as usize + fresh);
            self.go_on(context, home, next, next + fresh, next + blocks, rest);
        }
        let taken = count - more;
        if taken > 0 {
            flat.extend(end, taken);
            self.count_granules(context, last, -(taken as isize));
            self.hole_changed(context, last, end, have);
        }
        true
    }
}
