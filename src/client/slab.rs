//! Slabs: a run of 2^k units cut into at most 64 equal cells.
//!
//! The record of a slab's first unit holds its free cells as one word, and links it into the list of its class if
//! there are any. Every unit word of a slab carries its class, so any address in it leads to the class, the class to
//! the slab's length, and that to its first unit, because runs are aligned to their own length.
//!
//! The list of a class has the slab that serves next at its front: one that just got a free cell; a new one only when
//! there is no other. A slab whose last cell comes back is idle (idle.rs), or, with NO_CACHE, goes back to its block.
//!
//! Invariants: a slab is in its class's list if and only if it has a free cell and is not idle.
//! May know: context, memory, sizes, pages.

use super::{Client, code};
use crate::context::Context;
use crate::memory::NONE;
use crate::sizes::ALL_FREE;
use crate::status::Status;
use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;

impl Client {
    /// Takes one cell, the lowest free one of the slab at the front; its granule.
    pub(super) fn slab_take(&self, context: &Context, class: usize) -> Result<usize, Status> {
        let slab = match self.slabs.get(class).map_or(NONE, Cell::get) {
            NONE => {
                let slab = self.take_slab(context, class)?;
                self.link_slab(context, class, slab);
                slab
            }
            slab => slab as usize,
        };
        let (record, info) = (context.map.slab(slab), context.sizes.class(class));
        let free = record.free.load(Relaxed) & info.full;
        let index = free.trailing_zeros() as usize;
        let rest = info.word_of(free & free.wrapping_sub(1));
        record.free.store(rest, Relaxed);
        if rest == 0 {
            self.unlink_slab(context, class, slab);
        }
        Ok(self.granule_of_cell(context, class, slab, index))
    }

    /// Takes a slab with free cells out of its list: the one at the front of its class; if there is none an idle one, or a
    /// new one, which is in no list yet.
    #[inline(always)]
    pub(super) fn take_slab(&self, context: &Context, class: usize) -> Result<usize, Status> {
        let listed = self.slabs.get(class).and_then(|head| self.pop_slab(context, head));
        match listed.or_else(|| self.wake_slab(context, class)) {
            Some(slab) => Ok(slab),
            None => self.new_slab(context, class),
        }
    }

    fn new_slab(&self, context: &Context, class: usize) -> Result<usize, Status> {
        let shape = context.sizes.class(class);
        let first = self.alloc_units(context, shape.slab_order)?;
        for unit in first..first + (1 << shape.slab_order) {
            crate::steps::count();
            context.map.unit(unit).store(self.owner.get() | class as u32, Relaxed);
        }
        context.map.slab(first).free.store(ALL_FREE, Relaxed);
        Ok(first)
    }

    /// Takes a cell back. True: that emptied its slab, so that a block may be empty now.
    pub(super) fn slab_put(&self, context: &Context, class: usize, granule: usize) -> bool {
        let shape = &context.map.shape;
        let info = context.sizes.class(class);
        let slab = info.slab_of(granule >> (shape.unit_shift - shape.granule_shift));
        let offset = (granule << shape.granule_shift) - (slab << shape.unit_shift);
        self.slab_put_cells(context, class, slab, 1 << (info.cell_index(offset) & 63))
    }

    /// Takes some cells of a slab back.
    pub(super) fn slab_put_cells(&self, context: &Context, class: usize, slab: usize, cells: u64) -> bool {
        let record = context.map.slab(slab);
        let old = record.free.load(Relaxed);
        let new = old | context.sizes.class(class).word_of(cells);
        record.free.store(new, Relaxed);
        if old == 0 {
            self.link_slab(context, class, slab);
        }
        new == ALL_FREE && self.slab_emptied(context, class, slab)
    }

    /// Gives a slab that has nothing in use, and is in no list, back to its block.
    pub(super) fn give_slab(&self, context: &Context, class: usize, slab: usize) {
        self.unsign_slab(context, class, slab);
        let end = slab + (1 << context.sizes.class(class).slab_order);
        self.return_units(context, slab, end);
    }

    /// Makes the records of a slab's units say that there is no slab.
    pub(super) fn unsign_slab(&self, context: &Context, class: usize, slab: usize) {
        context.map.slab(slab).free.store(0, Relaxed);
        let end = slab + (1 << context.sizes.class(class).slab_order);
        for unit in slab..end {
            crate::steps::count();
            context.map.unit(unit).store(self.owner.get() | code::FREE, Relaxed);
        }
    }

    #[inline]
    fn granule_of_cell(&self, context: &Context, class: usize, slab: usize, index: usize) -> usize {
        let shape = &context.map.shape;
        let cell = context.sizes.class(class).cell as usize;
        ((slab << shape.unit_shift) + index * cell) >> shape.granule_shift
    }

    #[inline]
    pub(super) fn link_slab(&self, context: &Context, class: usize, slab: usize) {
        if let Some(head) = self.slabs.get(class) {
            self.link_slab_at(context, head, slab);
        }
    }

    pub(super) fn link_slab_at(&self, context: &Context, head: &Cell<u32>, slab: usize) {
        let record = context.map.slab(slab);
        record.prev.set(NONE);
        record.next.set(head.get());
        if head.get() != NONE {
            context.map.slab(head.get() as usize).prev.set(slab as u32);
        }
        head.set(slab as u32);
    }

    /// Takes the slab at the front of a list out of it.
    #[inline(always)]
    pub(super) fn pop_slab(&self, context: &Context, head: &Cell<u32>) -> Option<usize> {
        let slab = head.get();
        if slab == NONE {
            return None;
        }
        let record = context.map.slab(slab as usize);
        let next = record.next.get();
        head.set(next);
        if next != NONE {
            context.map.slab(next as usize).prev.set(NONE);
        }
        record.unlink();
        Some(slab as usize)
    }

    pub(super) fn unlink_slab(&self, context: &Context, class: usize, slab: usize) {
        if let Some(head) = self.slabs.get(class) {
            self.unlink_slab_at(context, head, slab);
        }
    }

    pub(super) fn unlink_slab_at(&self, context: &Context, head: &Cell<u32>, slab: usize) {
        let record = context.map.slab(slab);
        let (prev, next) = (record.prev.get(), record.next.get());
        if prev == NONE {
            head.set(next);
        } else {
            context.map.slab(prev as usize).next.set(next);
        }
        if next != NONE {
            context.map.slab(next as usize).prev.set(prev);
        }
        record.unlink();
    }
}
