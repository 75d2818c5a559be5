//! Slabs: runs of units, all of the same length in a context, cut into equal cells.
//!
//! A slab counts the cells that are in use: live, in a cache, in quarantine, or waiting in the open word (open.rs). Which
//! cells are free it does not say, for the live bits do: whoever looks for a free cell has found the cache of the class
//! empty, and nothing waits in the open word, so that what is not live is free. (In quarantine things wait in any slab; such
//! contexts have bits for these.)
//!
//! ```text
//!   live bits, cells of 32 bytes     1 . 0 . 1 . 1 . | 0 . 0 . 1 . 0 . |     4 of 8 cells are free
//!   gathered                         1 0 1 1 0 0 1 0
//! ```
//!
//! Every unit word of a slab carries its class. Slabs are aligned to their own length, so any address in one leads to its
//! first unit, whatever its class.
//!
//! The list of a class has the slab that serves next at its front: one that just got a free cell; a new one only when
//! there is no other. A slab whose last cell comes back is idle (idle.rs), or, with NO_CACHE, goes back to its block.
//!
//! Invariants: a slab is in its class's list if and only if it has a free cell and is not idle; it counts as FULL if and
//! only if it has none. Where no slab begins, its count and its links are 0.
//! May know: context, memory, sizes, pages.

use super::{Client, code};
use crate::cell::Cell;
use crate::context::Context;
use crate::memory::{NONE, Uses};
use crate::status::Status;
use core::sync::atomic::Ordering::Relaxed;

/// Granules that one live word speaks of.
const WORD: usize = 64;

impl Client {
    /// Takes one cell, the lowest free one of the slab at the front; its granule.
    pub(super) fn slab_take(&self, context: &Context, class: usize) -> Result<usize, Status> {
        let slab = self.front_slab(context, class)?;
        let granule = self.free_cell(context, class, slab).ok_or(Status::Corrupt)?;
        self.use_cells(context, class, slab, 1);
        Ok(granule)
    }

    /// The slab at the front of a class's list; if there is none an idle one, or a new one.
    pub(super) fn front_slab(&self, context: &Context, class: usize) -> Result<usize, Status> {
        match self.slabs.get(class).map_or(NONE, Cell::get) {
            NONE => {
                let slab = match self.wake_slab(context, class) {
                    Some(slab) => slab,
                    None => self.new_slab(context, class)?,
                };
                self.link_slab(context, class, slab);
                Ok(slab)
            }
            slab => Ok(slab as usize),
        }
    }

    fn new_slab(&self, context: &Context, class: usize) -> Result<usize, Status> {
        let first = self.alloc_units(context, context.sizes.slab_run as u32)?;
        self.sign_slab(context, first, class as u32, Uses::IDLE);
        Ok(first)
    }

    /// Makes the records of a slab's units say that there is none.
    pub(super) fn unsign_slab(&self, context: &Context, slab: usize) {
        self.sign_slab(context, slab, code::FREE, 0);
    }

    fn sign_slab(&self, context: &Context, slab: usize, code: u32, uses: u32) {
        context.map.uses(slab).set(uses);
        for unit in slab..slab + context.map.shape.slab_units {
            crate::steps::count();
            context.map.unit(unit).store(self.owner.get() | code, Relaxed);
        }
    }

    /// Gives a slab that has nothing in use, and is in no list, back to its block.
    pub(super) fn give_slab(&self, context: &Context, slab: usize) {
        self.unsign_slab(context, slab);
        self.return_units(context, slab, slab + context.map.shape.slab_units);
    }

    /// Takes a cell back. True: that emptied its slab, so that a block may be empty now.
    pub(super) fn slab_put(&self, context: &Context, class: usize, granule: usize) -> bool {
        self.drop_cells(context, class, context.map.shape.slab_of(granule), 1)
    }

    /// So many cells more of a slab in its list are in use.
    pub(super) fn use_cells(&self, context: &Context, class: usize, slab: usize, cells: usize) {
        let uses = context.map.uses(slab);
        let mut count = uses.get().wrapping_add(cells as u32);
        if count.wrapping_add(1) == context.sizes.class(class).cells {
            self.unlink_slab(context, class, slab);
            count |= Uses::FULL;
        }
        uses.set(count);
    }

    /// So many cells fewer of a slab are in use. True as in `slab_put`.
    pub(super) fn drop_cells(&self, context: &Context, class: usize, slab: usize, cells: usize) -> bool {
        let uses = context.map.uses(slab);
        let old = uses.get();
        let count = (old & !Uses::FULL).wrapping_sub(cells as u32);
        uses.set(count);
        if old & Uses::FULL != 0 {
            self.link_slab(context, class, slab);
        }
        count == Uses::IDLE && self.slab_emptied(context, class, slab)
    }

    /// Granules from one cell of a class to the next, as a power.
    #[inline]
    fn stride(context: &Context, class: usize) -> u32 {
        context.sizes.class(class).cell.trailing_zeros() - context.map.shape.granule_shift
    }

    /// The lowest free cell of a slab; its granule.
    fn free_cell(&self, context: &Context, class: usize, slab: usize) -> Option<usize> {
        let shape = &context.map.shape;
        let mut granule = slab << (shape.unit_shift - shape.granule_shift);
        let end = granule + (shape.slab_units << (shape.unit_shift - shape.granule_shift));
        while granule < end {
            crate::steps::count();
            let mut used = context.map.live_word(granule).load(Relaxed);
            if shape.waits {
                used |= context.map.wait_word(granule).load(Relaxed);
            }
            // A slab may be shorter than a word, and begin in the middle of one.
            let free = !used >> (granule & (WORD - 1)) & lanes(Self::stride(context, class));
            let cell = granule + free.trailing_zeros() as usize;
            if cell < end && free != 0 {
                return Some(cell);
            }
            granule += WORD;
        }
        None
    }

    /// The first part of a slab that has free cells: where it begins, and these, the lowest first. Nothing of the class is in
    /// a cache or waits, and its slabs have whole words.
    #[inline(never)]
    pub(super) fn free_part(&self, context: &Context, class: usize, slab: usize) -> (usize, u64) {
        let shape = &context.map.shape;
        let unit = shape.unit_shift - shape.granule_shift;
        let (first, end) = (slab << unit, (slab + shape.slab_units) << unit);
        let stride = Self::stride(context, class);
        let cells = lanes(stride);
        let length = (WORD << stride).min(end - first);
        let mut at = first;
        while at < end {
            let mut free = 0;
            for (number, word) in context.map.live_words(at, length).iter().enumerate() {
                free |= spread(!word.load(Relaxed) & cells, stride, number as u32);
            }
            if free != 0 {
                return (at, close_up(free, stride));
            }
            at += length;
        }
        (first, 0)
    }

    #[inline]
    pub(crate) fn link_slab(&self, context: &Context, class: usize, slab: usize) {
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

    pub(crate) fn unlink_slab(&self, context: &Context, class: usize, slab: usize) {
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

/// A bit for each cell, 2^stride granules apart.
pub(crate) fn lanes(stride: u32) -> u64 {
    const LANES: [u64; 7] = [
        !0,
        0x5555_5555_5555_5555,
        0x1111_1111_1111_1111,
        0x0101_0101_0101_0101,
        0x0001_0001_0001_0001,
        0x0000_0001_0000_0001,
        1,
    ];
    LANES.get(stride as usize).copied().unwrap_or(1)
}

/// The cells of a part's word `number` at places where those of its other words are not.
#[inline(always)]
pub(crate) fn spread(cells: u64, stride: u32, number: u32) -> u64 {
    // Few cells: a product has them side by side at its upper end. The factors are the lanes mirrored, each bit one place up.
    let (factor, bits) = match stride {
        0..3 => return cells << (number & 63),
        3 => (0x0102_0408_1020_4080u64, 8),
        4 => (0x1000_2000_4000_8000, 4),
        5 => (0x4000_0000_8000_0000, 2),
        _ => (1 << 63, 1),
    };
    cells.wrapping_mul(factor) >> (64 - bits) << ((number * bits) & 63)
}

/// The cells of all words of a part, spread, in the order of their addresses.
///
/// Cell i of word w is at i * 2^stride + w, and has to go to w * 2^(6 - stride) + i: the bits of its place are rotated, by
/// steps that let two of them change places (Hacker's Delight, 7-2).
#[inline(always)]
pub(crate) fn close_up(cells: u64, stride: u32) -> u64 {
    match stride {
        1 => {
            let cells = swap(cells, 1, 0x2222_2222_2222_2222);
            let cells = swap(cells, 2, 0x0c0c_0c0c_0c0c_0c0c);
            let cells = swap(cells, 4, 0x00f0_00f0_00f0_00f0);
            let cells = swap(cells, 8, 0x0000_ff00_0000_ff00);
            swap(cells, 16, 0x0000_0000_ffff_0000)
        }
        2 => {
            let cells = swap(cells, 3, 0x0a0a_0a0a_0a0a_0a0a);
            let cells = swap(cells, 6, 0x00cc_00cc_00cc_00cc);
            let cells = swap(cells, 12, 0x0000_f0f0_0000_f0f0);
            swap(cells, 24, 0x0000_0000_ff00_ff00)
        }
        _ => cells,
    }
}

/// The bits at some places, and those so far above them, changed for each other.
#[inline(always)]
fn swap(word: u64, distance: u32, places: u64) -> u64 {
    let turned = (word ^ word >> distance) & places;
    word ^ turned ^ turned << distance
}
