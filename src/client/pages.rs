//! The blocks in a client's hands, and runs of units out of them.
//!
//! Each block is in one list: by the size of its largest free run, or "full", or "heads of runs of blocks". A request
//! looks at the lists from its own size up, so it finds the fullest kind of block that can serve it, and a block that
//! is empty is used last. Blocks of more than 2^11 units have several low orders in one list.
//!
//! PACKED keeps slabs and runs apart as long as there is memory: a block that was taken for the one is used for the
//! other only when the context has no more. Else slabs, which live long, settle in the holes between runs, and soon no
//! hole is long enough for a run.
//!
//! ```text
//!   default   0 … 10 by order                                        11 empty
//!   PACKED    0 … 4 blocks of slabs, 5 … 10 blocks of runs           11 empty
//! ```
//!
//! In default mode the units of a block are a buddy allocator's; a block of a PACKED context is flat (flat.rs).
//!
//! Cost: as many steps as there are orders, but for taking and giving whole blocks; flat blocks: one step a hole.
//! Invariants: the list number in a block's record is the list that it is in, and the right one; the number of free
//! units in the record is that of the block's bits.
//! May know: context, memory, buddy, flat.

use super::{Client, FULL_LIST, ORDER_LISTS, code};
use crate::buddy::Buddy;
use crate::context::Context;
use crate::flags;
use crate::flat::Flat;
use crate::memory::NONE;
use crate::status::Status;
use core::sync::atomic::Ordering::Relaxed;

const LIST_SHIFT: u32 = 24;
const COUNT_MASK: u32 = RUNS_BIT - 1;
/// Blocks that are looked at in a list whose blocks may be too small.
const LOOK: usize = 16;

/// What a block is used for (PACKED).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Slabs,
    Runs,
}

impl Use {
    fn other(self) -> Use {
        if self == Use::Slabs { Use::Runs } else { Use::Slabs }
    }

    /// The lists of blocks that are used so.
    fn lists(self, context: &Context) -> core::ops::Range<usize> {
        match self {
            _ if !context.sizes.packed() => 0..EMPTY_LIST,
            Use::Slabs => 0..PACKED_SPLIT,
            Use::Runs => PACKED_SPLIT..EMPTY_LIST,
        }
    }
}

/// PACKED: a client with fewer blocks does not keep them apart.
const APART_FROM: u32 = 8;
/// Blocks with nothing in them.
pub(crate) const EMPTY_LIST: usize = ORDER_LISTS - 1;
/// PACKED: the lists of blocks of runs begin here.
const PACKED_SPLIT: usize = 5;
/// In a block's state: it is used for runs.
const RUNS_BIT: u32 = 1 << 23;

/// The list of the blocks that are used so and whose largest free run has so many units.
pub(crate) fn list_of(context: &Context, what: Use, units: usize) -> usize {
    if units == 0 {
        return FULL_LIST;
    }
    let most = context.map.shape.order_max() as usize;
    let order = (usize::BITS - 1 - units.leading_zeros()) as usize;
    if order >= most {
        return EMPTY_LIST;
    }
    let lists = what.lists(context);
    // The last of them is for half a block; the first takes all that is too small for one of its own.
    (lists.end + order).saturating_sub(most).max(lists.start)
}

/// The free units of one block, kept in one way or the other.
#[derive(Clone, Copy)]
pub(crate) enum Space<'a> {
    Buddy(Buddy<'a>),
    Flat(Flat<'a>),
}

impl Space<'_> {
    /// Takes `units` units at a multiple of 2^order. (A buddy has runs of 2^order units only.)
    #[inline]
    fn alloc(&self, units: usize, order: u32) -> Option<usize> {
        match self {
            Space::Buddy(buddy) => buddy.alloc(order),
            Space::Flat(flat) => flat.alloc(units, order),
        }
    }

    #[inline]
    fn free_range(&self, from: usize, to: usize) {
        match self {
            Space::Buddy(buddy) => buddy.free_range(from, to),
            Space::Flat(flat) => flat.free_range(from, to),
        }
    }

    fn take_range(&self, from: usize, to: usize) -> bool {
        match self {
            Space::Buddy(buddy) => buddy.take_range(from, to),
            Space::Flat(flat) => flat.take_range(from, to),
        }
    }

    pub(crate) fn is_free(&self, from: usize, to: usize) -> bool {
        match self {
            Space::Buddy(buddy) => buddy.is_free(from, to),
            Space::Flat(flat) => flat.is_free(from, to),
        }
    }

    /// Units of the largest free run; 0 if there is none.
    #[inline]
    pub(crate) fn largest(&self) -> usize {
        match self {
            Space::Buddy(buddy) => buddy.largest().map_or(0, |order| 1 << order),
            Space::Flat(flat) => flat.largest(),
        }
    }

    pub(crate) fn free_units(&self) -> usize {
        match self {
            Space::Buddy(buddy) => buddy.free_units(),
            Space::Flat(flat) => flat.free_units(),
        }
    }

    pub(crate) fn consistent(&self) -> bool {
        match self {
            Space::Buddy(buddy) => buddy.consistent(),
            Space::Flat(flat) => flat.consistent(),
        }
    }
}

impl Client {
    #[inline]
    pub(crate) fn space<'a>(&self, context: &'a Context, block: usize) -> Space<'a> {
        let (words, units) = (context.map.node_words(block), context.map.shape.units_per_block());
        if context.sizes.packed() {
            Space::Flat(Flat::new(words, units))
        } else {
            Space::Buddy(Buddy::new(words, units))
        }
    }

    /// `units` free units at a multiple of 2^order; of another block if no block has them.
    pub(super) fn alloc_units(&self, context: &Context, units: usize, order: u32, what: Use) -> Result<usize, Status> {
        let mut place = self.find_units(context, units, order, what, LOOK);
        if place.is_none() && context.sizes.packed() && self.held.get() < APART_FROM {
            place = self.find_units(context, units, order, what.other(), LOOK);
        }
        if place.is_none() {
            let taken = self.take_block(context);
            place = match taken {
                Ok(block) => self.space(context, block).alloc(units, order).map(|unit| (block, unit)),
                // Before it fails it looks at every block.
                Err(_) if context.sizes.packed() => self
                    .find_units(context, units, order, what, usize::MAX)
                    .or_else(|| self.find_units(context, units, order, what.other(), usize::MAX)),
                Err(_) => self.find_units(context, units, order, what, usize::MAX),
            };
            if place.is_none() {
                taken?;
            }
        }
        let (block, unit) = place.ok_or(Status::Corrupt)?;
        self.count_units(context, block, -(units as i32), Some(what));
        Ok(context.map.first_unit(block) + unit)
    }

    /// The same in the blocks at hand: the block, and the unit in it. At most `look` blocks of a list are tried.
    #[inline]
    fn find_units(
        &self,
        context: &Context,
        units: usize,
        order: u32,
        what: Use,
        look: usize,
    ) -> Option<(usize, usize)> {
        let lists = what.lists(context);
        let first = list_of(context, what, units).min(EMPTY_LIST);
        // A buddy's lists say exactly what its blocks can do, but for the first if it has several orders.
        let exact = !context.sizes.packed() && (context.map.shape.order_max() as usize) < ORDER_LISTS;
        let look = if exact { 1 } else { look };
        for list in (first..lists.end).chain([EMPTY_LIST]) {
            crate::steps::count();
            let mut block = self.lists.get(list).map_or(NONE, |head| head.get());
            for _ in 0..look {
                crate::steps::count();
                if block == NONE {
                    break;
                }
                if let Some(unit) = self.space(context, block as usize).alloc(units, order) {
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
        if context.sizes.packed() {
            Flat::init(context.map.node_words(block), units);
        } else {
            Buddy::init(context.map.node_words(block), units);
        }
        context.map.record(block).state.store((EMPTY_LIST as u32) << LIST_SHIFT | units as u32, Relaxed);
        self.link_block(context, block, EMPTY_LIST);
    }

    /// Gives a run of units back, whole or not a power of two, and forgets what its first unit word said.
    pub(super) fn free_units(&self, context: &Context, first: usize, units: usize) {
        context.map.unit(first).store(self.owner.get() | code::FREE, Relaxed);
        context.map.slab(first).free.store(0, Relaxed);
        self.return_units(context, first, first + units);
    }

    /// Makes the units of a PACKED run say so: those from `old` on are new.
    pub(super) fn sign_run(&self, context: &Context, first: usize, old: usize, units: usize) {
        for unit in first + old..first + units {
            crate::steps::count();
            context.map.slab(unit).next.set(first as u32);
            context.map.unit(unit).store(self.owner.get() | code::RUN, Relaxed);
        }
        context.map.slab(first).free.store(units as u64, Relaxed);
    }

    /// Shortens a PACKED run from `old` to `units` units.
    pub(super) fn cut_run(&self, context: &Context, first: usize, units: usize, old: usize) {
        for unit in first + units..first + old {
            crate::steps::count();
            context.map.unit(unit).store(self.owner.get() | code::FREE, Relaxed);
            context.map.slab(unit).blank();
        }
        if units > 0 {
            context.map.slab(first).free.store(units as u64, Relaxed);
        }
        self.return_units(context, first + units, first + old);
    }

    pub(super) fn free_run(&self, context: &Context, first: usize, units: usize) {
        self.cut_run(context, first, 0, units);
    }

    /// Gives the units `first..end` of one block back to it.
    pub(super) fn return_units(&self, context: &Context, first: usize, end: usize) {
        let block = context.map.block_of_unit(first);
        let start = context.map.first_unit(block);
        self.space(context, block).free_range(first - start, end - start);
        self.count_units(context, block, (end - first) as i32, None);
    }

    /// Takes exactly the units `first..end` of one block, if they are free.
    pub(super) fn take_units(&self, context: &Context, first: usize, end: usize) -> bool {
        let block = context.map.block_of_unit(first);
        let start = context.map.first_unit(block);
        let taken = self.space(context, block).take_range(first - start, end - start);
        if taken {
            self.count_units(context, block, -((end - first) as i32), Some(Use::Runs));
        }
        taken
    }

    /// Notes that a block has more (or fewer) free units now, and puts it into the list where it belongs. What an empty
    /// block is used for first decides what it is used for until it is empty again.
    fn count_units(&self, context: &Context, block: usize, change: i32, what: Option<Use>) {
        let record = context.map.record(block);
        let state = record.state.load(Relaxed);
        let old = (state >> LIST_SHIFT) as usize;
        let units = (state & COUNT_MASK).wrapping_add_signed(change) & COUNT_MASK;
        let mut used_for = if state & RUNS_BIT != 0 { Use::Runs } else { Use::Slabs };
        if let Some(what) = what
            && old == EMPTY_LIST
        {
            used_for = what;
        }
        let new = list_of(context, used_for, self.space(context, block).largest());
        let bit = if used_for == Use::Runs { RUNS_BIT } else { 0 };
        record.state.store((new as u32) << LIST_SHIFT | bit | units, Relaxed);
        if new != old {
            self.unlink_block(context, block, old);
            self.link_block(context, block, new);
        }
    }

    pub(super) fn link_block(&self, context: &Context, block: usize, list: usize) {
        let Some(head) = self.lists.get(list) else { return };
        let record = context.map.record(block);
        record.prev.store(NONE, Relaxed);
        record.next.store(head.get(), Relaxed);
        if head.get() != NONE {
            context.map.record(head.get() as usize).prev.store(block as u32, Relaxed);
        }
        head.set(block as u32);
    }

    pub(super) fn unlink_block(&self, context: &Context, block: usize, list: usize) {
        let Some(head) = self.lists.get(list) else { return };
        let record = context.map.record(block);
        let (prev, next) = (record.prev.load(Relaxed), record.next.load(Relaxed));
        if prev == NONE {
            head.set(next);
        } else {
            context.map.record(prev as usize).next.store(next, Relaxed);
        }
        if next != NONE {
            context.map.record(next as usize).prev.store(prev, Relaxed);
        }
    }

    /// Gives empty blocks back, but for the one that is kept against thrashing. Called when a call has done its work.
    #[inline]
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
            given += 1;
        }
    }
}

/// What a block's record says: its list, and its free units.
pub(crate) fn state_of(context: &Context, block: usize) -> (usize, usize) {
    let state = context.map.record(block).state.load(Relaxed);
    ((state >> LIST_SHIFT) as usize, (state & COUNT_MASK) as usize)
}

/// What a block's record says it is used for.
pub(crate) fn use_of(context: &Context, block: usize) -> Use {
    if context.map.record(block).state.load(Relaxed) & RUNS_BIT != 0 { Use::Runs } else { Use::Slabs }
}
