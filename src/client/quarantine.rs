//! QUARANTINE: freed memory waits before it is used again.
//!
//! A ring of the newest frees of one client, first in first out. What enters is filled with a pattern; what leaves is
//! checked for it. The ring's entries are those that lie with the records of one of the client's blocks, its home: a
//! quarantine context has no caches, so nobody else wants them. Two 32-bit entries make one granule number.
//!
//! Bounded twice: by the entries of one block's records, and in bytes by half of what the client holds.
//!
//! Invariants: what is in the ring is neither live nor free; without PACKED, in blocks that are no runs, the bits of
//! what waits say so (slab.rs); the home block stays with the client while the ring has
//! anything in it.
//! May know: context, memory, guard, free (where things go that leave).

use super::{Client, FULL_LIST, find};
use crate::cell::Cell;
use crate::context::Context;
use crate::flags;
use crate::guard;
use crate::memory::{NONE, kind};
use core::sync::atomic::Ordering::Relaxed;

#[repr(C)]
pub struct Ring {
    home: Cell<u32>,
    first: Cell<u16>,
    count: Cell<u16>,
    /// Bytes in it, in units of 16.
    weight: Cell<u32>,
}

/// A write into freed memory that was found: the first changed byte, as an offset.
pub type Written = Option<usize>;

impl Ring {
    pub(super) fn reset(&self) {
        self.home.set(NONE);
        self.first.set(0);
        self.count.set(0);
        self.weight.set(0);
    }

    /// Must `block` stay because the ring lies with it?
    #[inline]
    pub(super) fn needs(&self, block: u32) -> bool {
        self.count.get() > 0 && self.home.get() == block
    }

    pub fn count(&self) -> usize {
        self.count.get() as usize
    }

    pub(crate) fn home(&self) -> u32 {
        self.home.get()
    }

    /// Does an empty ring say that it is empty?
    pub(crate) fn is_blank(&self) -> bool {
        self.home.get() == NONE && self.first.get() == 0 && self.weight.get() == 0
    }

    pub(crate) fn first(&self) -> usize {
        self.first.get() as usize
    }

    pub(crate) fn weight(&self) -> usize {
        (self.weight.get() as usize).saturating_mul(16)
    }
}

impl Client {
    fn ring_capacity(context: &Context) -> usize {
        context.map.shape.cache_entries as usize / 2
    }

    fn ring_entry(&self, context: &Context, at: usize) -> usize {
        let capacity = Self::ring_capacity(context).max(1);
        let place = (self.quarantine.first.get() as usize + at).checked_rem(capacity).unwrap_or(0);
        context.map.first_cache(self.quarantine.home.get() as usize) + 2 * place
    }

    /// The granule of entry `at`, 0 being the oldest.
    pub(crate) fn quarantined(&self, context: &Context, at: usize) -> usize {
        let entry = self.ring_entry(context, at);
        context.map.cache(entry).get() as usize | (context.map.cache(entry + 1).get() as usize) << 16 << 16
    }

    /// Puts a piece that is no longer live into quarantine. False: it can't go there.
    pub(super) fn quarantine_put(&self, context: &Context, start: usize, usable: usize) -> bool {
        let ring = &self.quarantine;
        if !context.has(flags::QUARANTINE) || Self::ring_capacity(context) == 0 || usable > self.ring_bytes(context) {
            return false;
        }
        if ring.count() == 0 {
            let Some(home) = self.new_home(context, start >> context.map.shape.block_shift) else {
                return false;
            };
            ring.home.set(home as u32);
            ring.first.set(0);
            ring.weight.set(0);
        }
        let Some(weight) = ring.weight.get().checked_add(u32::try_from(usable.div_ceil(16)).unwrap_or(u32::MAX)) else {
            return false;
        };
        if ring.count() >= Self::ring_capacity(context) {
            return false;
        }
        context.map.fill_closed(start, usable, guard::FREED);
        let granule = start >> context.map.shape.granule_shift;
        context.map.set_waiting(granule, true);
        let entry = self.ring_entry(context, ring.count());
        context.map.cache(entry).set(granule as u32);
        context.map.cache(entry + 1).set((granule as u64 >> 32) as u32);
        ring.count.set(ring.count.get() + 1);
        ring.weight.set(weight);
        true
    }

    /// A block that stays while the ring needs it: the one that the piece lies in, or any other that is no run.
    fn new_home(&self, context: &Context, block: usize) -> Option<usize> {
        if context.map.record(block).owner.load(Relaxed) & 0xff == kind::BUDDY {
            return Some(block);
        }
        let lists = if context.sizes.packed() { Self::list_count(context) } else { FULL_LIST + 1 };
        let mut lists = (0..lists).filter_map(|list| self.list(list)).map(Cell::get);
        lists.find(|&head| head != NONE).map(|head| head as usize)
    }

    /// Most bytes in quarantine: half of what the client holds.
    fn ring_bytes(&self, context: &Context) -> usize {
        (self.held.get() as usize) << context.map.shape.block_shift >> 1
    }

    /// Must something leave before `usable` bytes can enter?
    pub(super) fn quarantine_full(&self, context: &Context, usable: usize) -> bool {
        let ring = &self.quarantine;
        ring.count() > 0
            && (ring.count() >= Self::ring_capacity(context) || ring.weight() + usable > self.ring_bytes(context))
    }

    /// Lets the oldest piece go. Some: a byte of it was written meanwhile.
    pub(super) fn quarantine_evict(&self, context: &Context) -> Written {
        let ring = &self.quarantine;
        if ring.count() == 0 {
            return None;
        }
        let granule = self.quarantined(context, 0);
        let next = (ring.first.get() as usize + 1).checked_rem(Self::ring_capacity(context).max(1)).unwrap_or(0);
        ring.first.set(next as u16);
        ring.count.set(ring.count.get() - 1);
        let start = granule << context.map.shape.granule_shift;
        let piece =
            find::holder(context, self.owner.get(), start).filter(|piece| piece.start == start && !piece.live)?;
        context.map.set_waiting(granule, false);
        ring.weight.set(ring.weight.get().saturating_sub(piece.usable.div_ceil(16) as u32));
        let written = guard::first_written(&context.map, start, piece.usable);
        if context.has(flags::WIPE) {
            context.map.wipe(start, piece.usable);
        }
        self.retire(context, &piece);
        if ring.count() == 0 {
            ring.reset();
        }
        written
    }
}
