//! Slabs: a run of 2^k units cut into at most 64 equal cells.
//!
//! The record of a slab's first unit holds its free cells as one word, and links it into the list of its class if
//! there are any. Every unit word of a slab carries its class, so any address in it leads to the class, the class to
//! the slab's length, and that to its first unit, because runs are aligned to their own length.
//!
//! A slab whose last cell comes back goes back to its buddy. The list of a class has the slab that serves next at
//! its front: one that just got a free cell; a new one only when there is no other.
//!
//! Invariants: a slab is in its class's list if and only if it has a free cell; no slab in a list is wholly free.
//! May know: context, memory, sizes, pages.

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

    /// Moves up to `count` cells of one slab into the cache of their class, the lowest on top.
    pub(super) fn slab_refill(&self, context: &Context, class: usize, count: usize) -> Result<(), Status> {
        let slab = self.serving_slab(context, class)?;
        let record = context.map.slab(slab);
        let mut free = record.free.load(Relaxed);
        let mut taken = [0u8; 64];
        let mut have = 0;
        while free != 0 && have < count {
            if let Some(place) = taken.get_mut(have) {
                *place = free.trailing_zeros() as u8;
            }
            free &= free - 1;
            have += 1;
        }
        let mut kept = have;
        while kept > 0 {
            let index = taken.get(kept - 1).copied().unwrap_or(0) as usize;
            if !self.cache_push(context, class, self.granule_of_cell(context, class, slab, index)) {
                free |= 1 << index;
            }
            kept -= 1;
        }
        record.free.store(free, Relaxed);
        if free == 0 {
            self.unlink_slab(context, class, slab);
        }
        Ok(())
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
        let first = self.alloc_units(context, shape.slab_order as u32)?;
        for unit in first..first + (1 << shape.slab_order) {
            context.map.unit(unit).store(self.owner.get() | class as u32, Relaxed);
        }
        context.map.slab(first).free.store(shape.full_mask(), Relaxed);
        self.link_slab(context, class, first);
        Ok(first)
    }

    /// Takes a cell back.
    #[inline]
    pub(super) fn slab_put(&self, context: &Context, class: usize, granule: usize) {
        let map = &context.map;
        let shape = context.sizes.class(class);
        let unit = granule >> (map.shape.unit_shift - map.shape.granule_shift);
        let slab = unit & !((1 << shape.slab_order) - 1);
        let offset = (granule << map.shape.granule_shift) - (slab << map.shape.unit_shift);
        let record = map.slab(slab);
        let old = record.free.load(Relaxed);
        let new = old | 1 << (shape.cell_index(offset) & 63);
        record.free.store(new, Relaxed);
        if old == 0 {
            self.link_slab(context, class, slab);
        }
        if new == shape.full_mask() {
            self.unlink_slab(context, class, slab);
            record.free.store(0, Relaxed);
            for unit in slab..slab + (1 << shape.slab_order) {
                map.unit(unit).store(self.owner.get() | code::FREE, Relaxed);
            }
            self.return_units(context, slab, slab + (1 << shape.slab_order));
        }
    }

    #[inline]
    fn granule_of_cell(&self, context: &Context, class: usize, slab: usize, index: usize) -> usize {
        let shape = &context.map.shape;
        let cell = context.sizes.class(class).cell as usize;
        ((slab << shape.unit_shift) + index * cell) >> shape.granule_shift
    }

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
