//! How much the blocks of a PACKED client can serve, and the lists of them.
//!
//! A block's reach is the longest piece that could begin in it: in its longest hole, or in the one at its end and the
//! one at the front of the next block together. It stands in the block's state as a code (flat.rs), 255 for a
//! block that is one hole, and each block is in the list for its reach. Lists are roughly in the order of addresses, so
//! that the lower blocks fill up.
//!
//! Long pieces and short ones have blocks of their own as long as there are blocks to be had: a hole that a long piece
//! leaves is there for the next, and not half used up by a few short ones. An empty block becomes one or the other with its
//! first piece. Pieces of less than 512 bytes take the lowest of the blocks whose reach is below 128 granules (but for those
//! with hardly any room): the one that just serves would send short pieces all over the memory. Longer ones are fitted (packed.rs).
//!
//! Invariants: the reach in a block's state is the right one, and so is its list; the number of free granules in its
//! state is that of its map, as far as it fits.
//! May know: context, memory, flat, pages.

use super::pages::{EMPTY_LIST, LIST_SHIFT};
use super::{Client, FULL_LIST, LISTS};
use crate::cell::Cell;
use crate::context::Context;
use crate::flat::{EXACT, code};
use crate::memory::{NONE, kind};
use crate::sizes::SLAB_LISTS;
use core::sync::atomic::Ordering::Relaxed;

/// Lists of blocks with holes. A client has no slabs with PACKED, and their lists serve for this.
pub(super) const HOLE_LISTS: usize = 2 * SLAB_LISTS;
/// The low bits of a block's state: as much of its number of free granules as fits.
pub(crate) const FREE_MASK: u32 = LONG - 1;
/// The bit of a block's state that says that it is one for long pieces.
const LONG: u32 = 1 << (LIST_SHIFT - 1);
/// The bit of the list of empty blocks among the lists.
pub(super) const EMPTY_BIT: u32 = 1 << HOLE_LISTS;
/// Lists of the blocks for short pieces, and as many of those for long ones.
const SHARE: usize = HOLE_LISTS / 2;
/// The lists of blocks with a reach of 4 to 127 granules are those from 1 to this one: two, so that the longer requests need
/// not pass over so many blocks.
const NEAR: usize = 2;
/// From this many bytes on a piece is long.
const LONG_BYTES: usize = 4096;
/// A client that holds so many blocks is not one with few.
const APART: u32 = 4;

const _: () = assert!(EMPTY_LIST >= SLAB_LISTS && HOLE_LISTS == 2 * SLAB_LISTS);

/// The list of the blocks whose reach has this code, not 0, among those of its kind: three below 128 granules, then one for
/// each doubling.
pub(super) fn hole_list(code: u8) -> usize {
    match code as usize {
        0..4 => 0,
        4..64 => 1,
        64..EXACT => NEAR,
        code => (NEAR + 1 + (code - EXACT) / 4).min(SHARE - 1),
    }
}

/// The number by which a block's state names list `at` of those with holes; behind them comes that of the empty blocks.
pub(super) fn number_of(at: usize) -> usize {
    match at {
        0..SLAB_LISTS => LISTS + at,
        HOLE_LISTS => EMPTY_LIST,
        _ => at - SLAB_LISTS,
    }
}

/// The bit of a list in `filled`, by its number; 0 for the list of full blocks.
fn place_of(number: usize) -> u32 {
    match number {
        EMPTY_LIST => EMPTY_BIT,
        FULL_LIST => 0,
        _ if number >= LISTS => 1u32.wrapping_shl((number - LISTS) as u32),
        _ => 1u32.wrapping_shl((number + SLAB_LISTS) as u32),
    }
}

/// What a block's state says of a block that is one hole.
const EMPTY: u8 = u8::MAX;

/// The number of the list of blocks with this state.
pub(crate) fn list_of_state(state: u32) -> usize {
    match (state >> LIST_SHIFT) as u8 {
        0 => FULL_LIST,
        EMPTY => EMPTY_LIST,
        reach => number_of(hole_list(reach) + if state & LONG != 0 { SHARE } else { 0 }),
    }
}

/// The lists in which a piece of so many granules, long or not, could find a place among those of its kind, and that of
/// the empty blocks, as bits.
#[inline(always)]
pub(super) fn lists_for(want: u8, long: bool) -> u32 {
    let own = ((1 << SHARE) - 1) & !0 << hole_list(want);
    EMPTY_BIT | if long { own << SHARE } else { own }
}

/// Those of some lists, as bits, whose blocks serve in the order of addresses: with a reach of 4 to 127 granules.
#[inline(always)]
pub(super) fn near_of(lists: u32) -> u32 {
    const ONE: u32 = ((1 << NEAR) - 1) << 1;
    lists & (ONE | ONE << SHARE)
}

/// A block's state with another reach. Empty blocks are of no kind.
pub(super) fn with_reach(state: u32, reach: u8) -> u32 {
    (reach as u32) << LIST_SHIFT | state & if reach == EMPTY { FREE_MASK } else { FREE_MASK | LONG }
}

impl Client {
    /// Is a piece of so many granules one for the blocks for long pieces? A client with few blocks has them only for what
    /// takes a good part of one: a half empty block would cost it more than the hole is worth.
    #[inline(always)]
    pub(super) fn is_long(&self, context: &Context, count: usize) -> bool {
        let shape = &context.map.shape;
        let worth = self.held.get() >= APART || count >= shape.granules_per_block() / 4;
        worth && count << shape.granule_shift >= LONG_BYTES
    }

    /// Is this a block of ours for pieces of a kind?
    pub(super) fn serves(&self, context: &Context, block: usize, long: bool) -> bool {
        self.has_map(context, block) && (context.map.record(block).state.load(Relaxed) & LONG != 0) == long
    }

    /// Makes an empty block, which would become one for short pieces, one for long ones.
    #[inline(always)]
    pub(super) fn dedicate(&self, context: &Context, block: usize, long: bool) {
        let state = &context.map.record(block).state;
        let old = state.load(Relaxed);
        if long && old >> LIST_SHIFT == EMPTY as u32 {
            state.store(old | LONG, Relaxed);
        }
    }

    /// A list of blocks by its number.
    #[inline(never)]
    pub(crate) fn list(&self, number: usize) -> Option<&Cell<u32>> {
        self.lists.get(number).or_else(|| self.slabs.get(number.wrapping_sub(LISTS)))
    }

    /// Calls `see` with every block that the client holds, list by list: with those of runs and long pieces, too, that are in no list.
    #[inline(never)]
    pub(crate) fn each_block(&self, context: &Context, see: &mut dyn FnMut(usize)) {
        for list in (0..Self::list_count(context)).filter_map(|list| self.list(list)) {
            let mut block = list.get();
            while block != NONE {
                context.further(block as usize).for_each(&mut *see);
                block = context.map.record(block as usize).next.load(Relaxed);
            }
        }
    }

    /// The lists with holes that are not empty, and that of the empty blocks, as bits by `number_of`.
    #[inline(always)]
    pub(crate) fn filled(&self) -> u32 {
        self.open_parity().get()
    }

    /// The same by a look at each list.
    pub(crate) fn expected_filled(&self) -> u32 {
        let filled = |at: &u32| self.list(number_of(*at as usize)).is_some_and(|head| head.get() != NONE);
        (0..=HOLE_LISTS as u32).filter(filled).fold(0, |bits, at| bits | 1 << at)
    }

    /// Notes that the list which a block's state names so is empty now, or not.
    #[inline(always)]
    pub(super) fn fill(&self, list: usize, filled: bool) {
        let bit = place_of(list);
        self.open_parity().set(if filled { self.filled() | bit } else { self.filled() & !bit });
    }

    /// How many lists of blocks there are.
    pub(crate) fn list_count(context: &Context) -> usize {
        if context.sizes.packed() { LISTS + SLAB_LISTS } else { LISTS }
    }

    /// Is this a block of ours that has a map?
    pub(crate) fn has_map(&self, context: &Context, block: usize) -> bool {
        block < context.watermark.load(Relaxed)
            && context.map.record(block).owner.load(Relaxed) == self.owner.get() | kind::BUDDY
    }

    /// The hole at the front of a block, if it is ours.
    #[inline(never)]
    pub(crate) fn front(&self, context: &Context, block: usize) -> usize {
        if self.has_map(context, block) { context.map.flat(block).hole_at(0) } else { 0 }
    }

    /// How long a piece could begin in a block, as a code.
    #[inline(never)]
    pub(crate) fn reach(&self, context: &Context, block: usize) -> u8 {
        let flat = context.map.flat(block);
        let tail = flat.last_hole();
        if tail == flat.granules() {
            return EMPTY;
        }
        let longest = flat.longest();
        if tail > 0 { longest.max(code(tail + self.front(context, block + 1))) } else { longest }
    }

    /// The longest hole that begins in a block.
    #[inline(never)]
    pub(crate) fn largest_hole(&self, context: &Context, block: usize) -> usize {
        let flat = context.map.flat(block);
        let tail = flat.last_hole();
        let mut most = if tail > 0 { (tail + self.front(context, block + 1)).min(flat.granules()) } else { 0 };
        flat.holes(&mut |_, length| most = most.max(length));
        most
    }

    /// Notes that a block has more (or fewer) free granules now.
    #[inline(always)]
    pub(super) fn count_granules(&self, context: &Context, block: usize, change: isize) {
        let state = &context.map.record(block).state;
        let old = state.load(Relaxed);
        state.store((old & !FREE_MASK) | (old.wrapping_add_signed(change as i32) & FREE_MASK), Relaxed);
    }

    /// Puts a block into the right list after a hole of `length` granules came to be at `start`, in place of shorter ones
    /// if of any; `reach` is the code of its length, `more` of its granules were not free before.
    #[inline(always)]
    pub(super) fn hole_grew(
        &self,
        context: &Context,
        block: usize,
        start: usize,
        length: usize,
        reach: u8,
        more: usize,
    ) {
        self.count_granules(context, block, more as isize);
        if start == 0 || start + length == context.map.shape.granules_per_block() {
            self.end_grew(context, block, start, length);
        } else {
            self.reaches_now(context, block, reach);
        }
    }

    #[inline(always)]
    fn reaches_now(&self, context: &Context, block: usize, reach: u8) {
        if reach as u32 > context.map.record(block).state.load(Relaxed) >> LIST_SHIFT {
            self.relist_to(context, block, reach);
        }
    }

    /// The same for a hole at one of the ends, or both.
    #[inline(never)]
    fn end_grew(&self, context: &Context, block: usize, start: usize, length: usize) {
        let all = context.map.shape.granules_per_block();
        let front = if start + length == all { self.front(context, block + 1) } else { 0 };
        self.reaches_now(context, block, if length == all { EMPTY } else { code(length + front) });
        if start == 0 {
            self.relist_before(context, block);
        }
    }

    /// Puts a block into the right list after its hole at `hole`, `length` granules long, was there for the last time:
    /// for shorter ones than the longest nothing has to be done.
    #[inline(never)]
    pub(super) fn hole_changed(&self, context: &Context, block: usize, hole: usize, length: usize) {
        let reach = context.map.record(block).state.load(Relaxed) >> LIST_SHIFT;
        let last = hole + length >= context.map.shape.granules_per_block();
        if last || code(length) as u32 >= reach {
            self.relist(context, block);
        }
        if hole == 0 {
            self.relist_before(context, block);
        }
    }

    #[inline(never)]
    pub(super) fn relist(&self, context: &Context, block: usize) {
        self.relist_to(context, block, self.reach(context, block));
    }

    #[inline(never)]
    fn relist_to(&self, context: &Context, block: usize, new: u8) {
        let record = context.map.record(block);
        let state = record.state.load(Relaxed);
        let changed = with_reach(state, new);
        record.state.store(changed, Relaxed);
        let (old, new) = (list_of_state(state), list_of_state(changed));
        if new != old {
            self.unlink_block(context, block, old);
            self.link_block(context, block, new);
        }
    }

    #[inline(never)]
    pub(super) fn relist_before(&self, context: &Context, block: usize) {
        if block > 0 && self.has_map(context, block - 1) {
            self.relist(context, block - 1);
        }
    }
}
