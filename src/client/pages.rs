//! The blocks in a client's hands, and runs of units out of them.
//!
//! Each block is in one list: by the number of its largest free run (lengths.rs), or "full", or "heads of runs of blocks". A
//! request looks at the lists from its own size up, so it finds the fullest kind of block that can serve it, and a block that
//! is empty is used last. Blocks of more than 2^13 units have several low orders in one list. Within a list the lower blocks
//! come first, as far as that is cheap.
//!
//! What waits in caches, or in idle slabs, can't merge with its neighbours. So before another block is taken idle slabs go back,
//! and where little memory is left caches are emptied at each request for units.
//!
//! With PACKED there are no units: packed.rs.
//!
//! ```text
//!   0 … 12 by number         13 empty
//! ```
//!
//! The units of a block are a buddy allocator's: space.rs.
//!
//! Cost: as many steps as there are lists, but for emptying caches and taking and giving whole blocks.
//! Invariants: the list number in a block's record is the list that it is in, and the right one; the number of free
//! units in the record is that of the block's bits.
//! May know: context, memory, space; idle and cache, as what gives back what it only keeps.

use super::{Client, FULL_LIST, NEAR_TOPS, RUN_LISTS, code};
use crate::context::Context;
use crate::flags;
use crate::memory::NONE;
use crate::space::Space;
use crate::status::Status;
use core::sync::atomic::Ordering::Relaxed;

pub(crate) const LIST_SHIFT: u32 = 24;
const COUNT_MASK: u32 = (1 << LIST_SHIFT) - 1;
/// Blocks that are looked at in a list whose blocks may be too small.
const LOOK: usize = 16;
/// How far a block goes down a list to be in the order of addresses.
const ORDER: usize = 8;
/// Blocks with nothing in them.
pub(crate) const EMPTY_LIST: usize = RUN_LISTS - 1;

/// The list of the blocks whose largest free run has this number; None: that have no free unit.
#[inline(always)]
pub(crate) fn list_of(context: &Context, largest: Option<u32>) -> usize {
    let most = context.sizes.last_run as u32;
    match largest {
        None => FULL_LIST,
        // The first takes all that is too small for a list of its own.
        Some(run) if run >= most => EMPTY_LIST,
        Some(run) => (EMPTY_LIST as u32 + run).saturating_sub(most) as usize,
    }
}

impl Client {
    #[inline(never)]
    pub(crate) fn space<'a>(&self, context: &'a Context, block: usize) -> Space<'a> {
        self.space_here(context, block)
    }

    /// The same without a call, where runs come and go.
    #[inline(always)]
    fn space_here<'a>(&self, context: &'a Context, block: usize) -> Space<'a> {
        Space::new(context.map.node_words(block), context.map.shape.units_per_block())
    }

    /// A free run with a number; of another block if no block has one.
    pub(super) fn alloc_units(&self, context: &Context, run: u32) -> Result<usize, Status> {
        if self.little_left(context) {
            // Where no array has come since, only lone runs wait.
            let arrays = self.no_pieces_at.replace(self.held.get()) != self.held.get();
            self.empty_caches(context, if arrays { 0 } else { NEAR_TOPS });
        }
        let units = context.sizes.units_of(run);
        let mut place = self.find_units(context, run, units, LOOK);
        if place.is_none() && self.held.get() > 0 && self.give_idle_slabs(context) {
            place = self.find_units(context, run, units, LOOK);
        }
        if place.is_none() {
            let taken = self.take_block(context);
            place = match taken {
                Ok(block) => self.space(context, block).alloc(units).map(|unit| (block, unit)),
                // Before it fails it looks at every block.
                Err(_) => self.find_units(context, run, units, usize::MAX),
            };
            if place.is_none() {
                taken?;
            }
        }
        let (block, unit) = place.ok_or(Status::Corrupt)?;
        self.count_units(context, block, -(units as i32));
        Ok(context.map.first_unit(block) + unit)
    }

    /// Is little left that the client could take, beside what it holds? Then runs that wait in caches would be missed by those that
    /// need a place of another length.
    fn little_left(&self, context: &Context) -> bool {
        let (held, limit) = (self.held.get() as usize, self.limit.get());
        let free = context.free_blocks.load(Relaxed);
        let allowed =
            if limit == 0 { free } else { (limit >> context.map.shape.block_shift).saturating_sub(held).min(free) };
        allowed < held
    }

    /// The same in the blocks at hand: the block, and the unit in it. At most `look` blocks of a list are tried.
    /// The lists say exactly what their blocks can do, but for the first if it has several orders.
    #[inline(never)]
    fn find_units(&self, context: &Context, run: u32, units: usize, look: usize) -> Option<(usize, usize)> {
        let first = list_of(context, Some(run));
        for head in self.lists.get(first..=EMPTY_LIST)? {
            crate::steps::count();
            let mut block = head.get();
            for _ in 0..look {
                if block == NONE {
                    break;
                }
                crate::steps::count();
                if let Some(unit) = self.space_here(context, block as usize).alloc(units) {
                    return Some((block as usize, unit));
                }
                block = context.map.record(block as usize).next.load(Relaxed);
            }
        }
        None
    }

    fn take_block(&self, context: &Context) -> Result<usize, Status> {
        let block = context.take_block(&self.claim(context))?;
        self.now_holds(self.held.get() as usize + 1);
        self.reaches(context, block);
        self.begin_block(context, block);
        Ok(block)
    }

    /// Makes a block that was just taken an empty buddy, in its list.
    pub(super) fn begin_block(&self, context: &Context, block: usize) {
        let units = context.map.shape.units_per_block();
        self.clear_space(context, block);
        context.map.record(block).state.store((EMPTY_LIST as u32) << LIST_SHIFT | units as u32, Relaxed);
        self.link_block(context, block, EMPTY_LIST);
    }

    /// Makes all units of a block free.
    pub(super) fn clear_space(&self, context: &Context, block: usize) {
        Space::init(context.map.node_words(block), context.map.shape.units_per_block());
    }

    /// Gives a run of units back, whole or not a power of two, and forgets what its first unit word said.
    pub(super) fn free_units(&self, context: &Context, first: usize, units: usize) {
        context.map.unit(first).store(self.owner.get() | code::FREE, Relaxed);
        self.return_units(context, first, first + units);
    }

    /// Gives the units `first..end` of one block back to it.
    pub(super) fn return_units(&self, context: &Context, first: usize, end: usize) {
        let block = context.map.block_of_unit(first);
        let start = context.map.first_unit(block);
        self.space(context, block).free_range(first - start, end - start);
        self.count_units(context, block, (end - first) as i32);
    }

    /// Takes exactly the units `first..end` of one block, if they are free.
    pub(super) fn take_units(&self, context: &Context, first: usize, end: usize) -> bool {
        let block = context.map.block_of_unit(first);
        let start = context.map.first_unit(block);
        let taken = self.space(context, block).take_range(first - start, end - start);
        if taken {
            self.count_units(context, block, -((end - first) as i32));
        }
        taken
    }

    /// Notes that a block has more (or fewer) free units now, and puts it into the list where it belongs.
    fn count_units(&self, context: &Context, block: usize, change: i32) {
        let record = context.map.record(block);
        let state = record.state.load(Relaxed);
        let old = (state >> LIST_SHIFT) as usize;
        let units = (state & COUNT_MASK).wrapping_add_signed(change) & COUNT_MASK;
        let mut new = list_of(context, self.space_here(context, block).largest());
        if units as usize == context.map.shape.units_per_block() && new != EMPTY_LIST {
            self.sweep_block(context, block);
            new = EMPTY_LIST;
        }
        record.state.store((new as u32) << LIST_SHIFT | units, Relaxed);
        if new != old {
            self.unlink_block(context, block, old);
            self.link_block(context, block, new);
        }
    }

    /// Notes that so many units of a block belong to an idle slab now (or, negative, no longer). True: nothing else was
    /// left in the block, and it is empty now.
    pub(super) fn count_idle(&self, context: &Context, slab: usize, change: i32) -> bool {
        let block = context.map.block_of_unit(slab);
        let record = context.map.record(block);
        let state = record.state.load(Relaxed).wrapping_add_signed(change);
        record.state.store(state, Relaxed);
        let empty = (state & COUNT_MASK) as usize == context.map.shape.units_per_block();
        if empty {
            self.count_units(context, block, 0);
        }
        empty
    }

    /// Into a list, before the first block with a higher number, but not far from the front: so the lower blocks fill up, and
    /// the others become empty.
    #[inline(never)]
    pub(super) fn link_block(&self, context: &Context, block: usize, list: usize) {
        let Some(head) = self.list(list) else { return };
        let (mut before, mut at) = (NONE, head.get());
        for _ in 0..ORDER {
            if at == NONE || at as usize > block {
                break;
            }
            crate::steps::count();
            before = at;
            at = context.map.record(at as usize).next.load(Relaxed);
        }
        let record = context.map.record(block);
        record.prev.store(before, Relaxed);
        record.next.store(at, Relaxed);
        if before == NONE {
            head.set(block as u32);
            if context.sizes.packed() {
                self.fill(list, true);
            }
        } else {
            context.map.record(before as usize).next.store(block as u32, Relaxed);
        }
        if at != NONE {
            context.map.record(at as usize).prev.store(block as u32, Relaxed);
        }
    }

    #[inline(never)]
    pub(super) fn unlink_block(&self, context: &Context, block: usize, list: usize) {
        let Some(head) = self.list(list) else { return };
        let record = context.map.record(block);
        let (prev, next) = (record.prev.load(Relaxed), record.next.load(Relaxed));
        if prev == NONE {
            head.set(next);
            if next == NONE && context.sizes.packed() {
                self.fill(list, false);
            }
        } else {
            context.map.record(prev as usize).next.store(next, Relaxed);
        }
        if next != NONE {
            context.map.record(next as usize).prev.store(prev, Relaxed);
        }
    }

    /// Gives empty blocks back, but for the one that is kept against thrashing. Called when a call has done its work.
    #[inline(never)]
    pub(super) fn settle(&self, context: &Context) {
        let head = self.lists.get(EMPTY_LIST).map_or(NONE, |head| head.get());
        if head == NONE {
            return;
        }
        let keep = !context.has(flags::NO_CACHE);
        if keep && context.map.record(head as usize).next.load(Relaxed) == NONE {
            return;
        }
        self.give_empty_blocks(context, keep as usize);
    }

    /// Gives all empty blocks back but `keep` of them; says how many went.
    pub(super) fn give_empty_blocks(&self, context: &Context, keep: usize) -> usize {
        let list = EMPTY_LIST;
        let mut given = 0;
        loop {
            // The block to go: one that no cache array and no quarantine lies with, if there is such a one.
            let mut count = 0;
            let mut victim = NONE;
            let mut block = self.lists.get(list).map_or(NONE, |head| head.get());
            while block != NONE {
                crate::steps::count();
                count += 1;
                let record = context.map.record(block as usize);
                if !self.quarantine.needs(block) && (victim == NONE || record.cache_pieces.load(Relaxed) == 0) {
                    victim = block;
                }
                block = record.next.load(Relaxed);
                if count > keep && victim != NONE && context.map.record(victim as usize).cache_pieces.load(Relaxed) == 0
                {
                    break;
                }
            }
            if victim == NONE || count <= keep {
                return given;
            }
            let victim = victim as usize;
            // This may empty further blocks; they are in the list when we look again.
            self.leave_block(context, victim);
            self.unlink_block(context, victim, list);
            context.give_blocks(victim, 1, &self.claim(context));
            self.held.set(self.held.get() - 1);
            if context.sizes.packed() {
                self.relist_before(context, victim);
            }
            given += 1;
        }
    }
}

/// What a block's record says: its list, and its free units.
pub(crate) fn state_of(context: &Context, block: usize) -> (usize, usize) {
    let state = context.map.record(block).state.load(Relaxed);
    ((state >> LIST_SHIFT) as usize, (state & COUNT_MASK) as usize)
}
