//! How much the blocks of a PACKED client can serve, and the lists of them.
//!
//! A block's reach is the longest piece that could begin in it: in its longest hole, or in the one at its end and the
//! one at the front of the next block together. It stands in the block's state as a code (flat.rs), 255 for a
//! block that is one hole, and each block is in the list for its reach. Lists are roughly in the order of addresses, so
//! that the lower blocks fill up.
//!
//! Invariants: the reach in a block's state is the right one, and so is its list; the number of free granules in its
//! state is that of its map, as far as it fits.
//! May know: context, memory, flat, pages.

use super::pages::{EMPTY_LIST, LIST_SHIFT};
use super::{Client, FULL_LIST, LISTS, RUN_LIST};
use crate::context::Context;
use crate::flat::code;
use crate::memory::{NONE, kind};
use crate::sizes::MAX_CLASSES;
use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;

/// Lists of blocks with holes. A client has no slabs with PACKED, and their lists serve for this.
pub(super) const HOLE_LISTS: usize = 2 * MAX_CLASSES;
/// The low bits of a block's state: as much of its number of free granules as fits.
pub(crate) const FREE_MASK: u32 = (1 << LIST_SHIFT) - 1;
/// How far a block goes down a list to be in the order of addresses.
const ORDER: usize = 8;

const _: () = assert!(LISTS - 3 == MAX_CLASSES - 1);

/// The number of the list of blocks whose longest hole has this code, not 0: two lists a doubling, then one.
pub(super) fn hole_list(code: u8) -> usize {
    let code = code as usize;
    match code {
        0..4 => code.saturating_sub(1),
        4..128 => {
            let log = code.ilog2() as usize;
            3 + (log - 2) * 2 + (code >> (log - 1) & 1)
        }
        _ => (13 + (code - 128) / 4).min(HOLE_LISTS - 1),
    }
}

/// The number by which a block's state names list `at` of those with holes; behind them comes that of the empty blocks.
pub(super) fn number_of(at: usize) -> usize {
    match at {
        0..MAX_CLASSES => LISTS + at,
        _ if at == HOLE_LISTS - 1 => RUN_LIST,
        HOLE_LISTS => EMPTY_LIST,
        _ => at - MAX_CLASSES,
    }
}

/// The bit of a list in `filled`, by its number; 0 for the list of full blocks.
fn place_of(number: usize) -> u32 {
    match number {
        RUN_LIST => 1 << (HOLE_LISTS - 1),
        EMPTY_LIST => 1 << HOLE_LISTS,
        FULL_LIST => 0,
        _ if number >= LISTS => 1u32.wrapping_shl((number - LISTS) as u32),
        _ => 1u32.wrapping_shl((number + MAX_CLASSES) as u32),
    }
}

/// What a block's state says of a block that is one hole.
const EMPTY: u8 = u8::MAX;

/// The number of the list of blocks whose state says so of the longest piece that could begin in them.
pub(crate) fn list_of_reach(reach: u8) -> usize {
    match reach {
        0 => FULL_LIST,
        EMPTY => EMPTY_LIST,
        _ => number_of(hole_list(reach)),
    }
}

impl Client {
    /// A list of blocks by its number.
    pub(crate) fn list(&self, number: usize) -> Option<&Cell<u32>> {
        self.lists.get(number).or_else(|| self.slabs.get(number.wrapping_sub(LISTS)))
    }

    /// The lists with holes that are not empty, and that of the empty blocks, as bits by `number_of`.
    #[inline(always)]
    pub(crate) fn filled(&self) -> u32 {
        self.open_parity.get()
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
        self.open_parity.set(if filled { self.filled() | bit } else { self.filled() & !bit });
    }

    /// How many lists of blocks there are.
    pub(crate) fn list_count(context: &Context) -> usize {
        if context.sizes.packed() { LISTS + MAX_CLASSES } else { LISTS }
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
    /// if of any; `more` of its granules were not free before.
    #[inline(always)]
    pub(super) fn hole_grew(&self, context: &Context, block: usize, start: usize, length: usize, more: usize) {
        self.count_granules(context, block, more as isize);
        if start == 0 || start + length == context.map.shape.granules_per_block() {
            self.end_grew(context, block, start, length);
        } else {
            self.reaches_now(context, block, code(length));
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
        let old = (state >> LIST_SHIFT) as u8;
        record.state.store((new as u32) << LIST_SHIFT | (state & FREE_MASK), Relaxed);
        let (old, new) = (list_of_reach(old), list_of_reach(new));
        if new != old {
            self.unlink_block(context, block, old);
            self.link_in_order(context, block, new);
        }
    }

    /// Into its list, before the first block with a higher number, but not far from the front.
    #[inline(never)]
    pub(super) fn link_in_order(&self, context: &Context, block: usize, list: usize) {
        let Some(head) = self.list(list) else { return };
        let (mut before, mut at) = (NONE, head.get());
        for _ in 0..ORDER {
            if at == NONE || at as usize > block {
                break;
            }
            before = at;
            at = context.map.record(at as usize).next.load(Relaxed);
        }
        let record = context.map.record(block);
        record.prev.store(before, Relaxed);
        record.next.store(at, Relaxed);
        if before == NONE {
            head.set(block as u32);
            self.fill(list, true);
        } else {
            context.map.record(before as usize).next.store(block as u32, Relaxed);
        }
        if at != NONE {
            context.map.record(at as usize).prev.store(block as u32, Relaxed);
        }
    }

    #[inline(never)]
    pub(super) fn relist_before(&self, context: &Context, block: usize) {
        if block > 0 && self.has_map(context, block - 1) {
            self.relist(context, block - 1);
        }
    }
}
