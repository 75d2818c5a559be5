//! Slabs: a run of 2^k units cut into at most 64 equal cells.
//!
//! The record of a slab's first unit holds its free cells as one word, and links it into the list of its class if
//! there are any. Every unit word of a slab carries its class, so any address in it leads to the class, the class to
//! the slab's length, and that to its first unit, because runs are aligned to their own length.
//!
//! A slab whose last cell comes back goes back to its block, unless it is the only one of its class with free cells. The list of a class has the slab that serves next at
//! its front: one that just got a free cell; a new one only when there is no other.
//!
//! Invariants: a slab is in its class's list if and only if it has a free cell; at most one slab of a class is wholly
//! free, with NO_CACHE none.
//! May know: context, memory, sizes, pages.

use super::pages::Use;
use super::{Client, code};
use crate::context::Context;
use crate::memory::NONE;
use crate::status::Status;
use core::sync::atomic::Ordering::Relaxed;

impl Client {
    /// Takes one cell, the lowest free one of the slab at the front; its granule.
    pub(super) fn slab_take(&self, context: &Context, class: usize) -> Result<usize, Status> {
        let slab = self.serving_slab(context, class)?;
        let record = context.map.slab(slab);
        let free = record.free.load(Relaxed);
        let index = free.trailing_zeros() as usize;
        record.free.store(free & free.wrapping_sub(1), Relaxed);
        if free & free.wrapping_sub(1) == 0 {
            self.unlink_slab(context, class, slab);
        }
        Ok(self.granule_of_cell(context, class, slab, index))
    }

    /// Takes one cell, and up to `count` further ones of the same slab into the cache of the class, the lowest on top.
    pub(super) fn slab_refill(&self, context: &Context, class: usize, count: usize) -> Result<usize, Status> {
        let slab = self.serving_slab(context, class)?;
        let record = context.map.slab(slab);
        let mut free = record.free.load(Relaxed);
        let first = free.trailing_zeros() as usize;
        free &= free.wrapping_sub(1);
        let mut rest = free;
        if (free.count_ones() as usize) > count {
            for _ in 0..count {
                rest &= rest.wrapping_sub(1);
            }
        } else {
            rest = 0;
        }
        let mut taken = free & !rest;
        let shape = &context.map.shape;
        let cell = context.sizes.class(class).cell as usize;
        let start = slab << shape.unit_shift;
        if taken != 0 {
            // The cache is empty and has room for `count`. The highest first, so that the lowest is on top.
            let mut top = self.top(context, class);
            while taken != 0 {
                let index = 63 - taken.leading_zeros() as usize;
                taken &= !(1 << index);
                context.map.cache(top).set(((start + index * cell) >> shape.granule_shift) as u32);
                top += 1;
            }
            self.set_top(context, class, top);
        }
        record.free.store(rest, Relaxed);
        if rest == 0 {
            self.unlink_slab(context, class, slab);
        }
        Ok((start + first * cell) >> shape.granule_shift)
    }

    /// The slab at the front of a class's list, a new one if the list is empty.
    #[inline]
    fn serving_slab(&self, context: &Context, class: usize) -> Result<usize, Status> {
        match self.slabs.get(class).map_or(NONE, |head| head.get()) {
            NONE => self.new_slab(context, class),
            slab => Ok(slab as usize),
        }
    }

    fn new_slab(&self, context: &Context, class: usize) -> Result<usize, Status> {
        let shape = context.sizes.class(class);
        let first = self.alloc_units(context, 1 << shape.slab_order, shape.slab_order as u32, Use::Slabs)?;
        for unit in first..first + (1 << shape.slab_order) {
            crate::steps::count();
            context.map.unit(unit).store(self.owner.get() | class as u32, Relaxed);
        }
        context.map.slab(first).free.store(shape.full, Relaxed);
        self.link_slab(context, class, first);
        Ok(first)
    }

    /// Takes a cell back. True: that emptied its slab, so that a block may be empty now.
    #[inline(always)]
    pub(super) fn slab_put(&self, context: &Context, class: usize, granule: usize) -> bool {
        let shape = &context.map.shape;
        self.slab_put_shaped(context, class, granule, shape.granule_shift, shape.unit_shift)
    }

    /// The same where the shifts are known beforehand.
    #[inline(always)]
    pub(super) fn slab_put_shaped(
        &self,
        context: &Context,
        class: usize,
        granule: usize,
        granule_shift: u32,
        unit_shift: u32,
    ) -> bool {
        let info = context.sizes.class(class);
        let slab = info.slab_of(granule >> (unit_shift - granule_shift));
        let offset = (granule << granule_shift) - (slab << unit_shift);
        let record = context.map.slab(slab);
        let old = record.free.load(Relaxed);
        let new = old | 1 << (info.cell_index(offset) & 63);
        record.free.store(new, Relaxed);
        if old == 0 {
            self.link_slab(context, class, slab);
        }
        new == info.full && self.give_slab_unless_kept(context, class, slab)
    }

    /// A slab has nothing in use any more. If it is the only one of its class with free cells it is kept, so that a
    /// class that lives at a slab's edge does not make and unmake it each time; else, and with NO_CACHE, it goes.
    #[inline(never)]
    fn give_slab_unless_kept(&self, context: &Context, class: usize, slab: usize) -> bool {
        let alone = context.map.slab(slab).next.get() == NONE && context.map.slab(slab).prev.get() == NONE;
        if alone && context.cached_classes > 0 {
            return false;
        }
        self.give_slab(context, class, slab);
        true
    }

    /// Gives the slabs back that are kept with nothing in use. True if there were any.
    pub(super) fn give_kept_slabs(&self, context: &Context) -> bool {
        let mut any = false;
        for class in 0..context.sizes.count() {
            let full = context.sizes.class(class).full;
            let mut slab = self.slabs.get(class).map_or(NONE, |head| head.get());
            while slab != NONE {
                let record = context.map.slab(slab as usize);
                let next = record.next.get();
                if record.free.load(Relaxed) == full {
                    self.give_slab(context, class, slab as usize);
                    any = true;
                }
                slab = next;
            }
        }
        any
    }

    /// Gives a slab that has nothing in use back to its block.
    fn give_slab(&self, context: &Context, class: usize, slab: usize) {
        self.unlink_slab(context, class, slab);
        context.map.slab(slab).free.store(0, Relaxed);
        let end = slab + (1 << context.sizes.class(class).slab_order);
        for unit in slab..end {
            crate::steps::count();
            context.map.unit(unit).store(self.owner.get() | code::FREE, Relaxed);
        }
        self.return_units(context, slab, end);
    }

    #[inline]
    fn granule_of_cell(&self, context: &Context, class: usize, slab: usize, index: usize) -> usize {
        let shape = &context.map.shape;
        let cell = context.sizes.class(class).cell as usize;
        ((slab << shape.unit_shift) + index * cell) >> shape.granule_shift
    }

    #[inline(always)]
    fn link_slab(&self, context: &Context, class: usize, slab: usize) {
        let Some(head) = self.slabs.get(class) else { return };
        let record = context.map.slab(slab);
        record.prev.set(NONE);
        record.next.set(head.get());
        if head.get() != NONE {
            context.map.slab(head.get() as usize).prev.set(slab as u32);
        }
        head.set(slab as u32);
    }

    fn unlink_slab(&self, context: &Context, class: usize, slab: usize) {
        let Some(head) = self.slabs.get(class) else { return };
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
