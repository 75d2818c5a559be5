//! A buddy allocator of up to 64 units: one word, a bit for each free unit.
//!
//! Buddies need no records of their own here: whether two of them are free together is one shift and one mask, so
//! split and merge are nothing but clearing and setting bits, and the free runs of an order are found for the whole
//! block at once. `buddy.rs` does the same, run for run, for blocks of any size.
//!
//! ```text
//!   free units            1 1 1 1 0 1 1 1
//!   pairs begin at        1 . 1 . . . 1 .        free & free >> 1, at even places
//!   fours begin at        1 . . . . . . .        pairs & pairs >> 2, at multiples of 4
//! ```
//!
//! Invariant: a bit is set if and only if its unit is free; none is set at or behind the end.
//! Cost: a few instructions for each order.
//! May know: lengths, steps. Wrong numbers are refused, nothing can panic.

use crate::bitmap::count_ones;
use crate::cell::Cell;
use crate::lengths;

/// Most units.
pub const WORD_UNITS: usize = u64::BITS as usize;

/// Where runs of 2^(k + 1) units may begin.
const STARTS: [u64; 6] = [
    0x5555_5555_5555_5555,
    0x1111_1111_1111_1111,
    0x0101_0101_0101_0101,
    0x0001_0001_0001_0001,
    0x0000_0001_0000_0001,
    0x0000_0000_0000_0001,
];

/// The beginnings of free runs of 2^(order + 1) units, from those of 2^order.
#[inline(always)]
fn merged(runs: u64, order: u32) -> u64 {
    longer(runs, order) & starts(order)
}

/// The same wherever they begin.
#[inline(always)]
fn longer(runs: u64, order: u32) -> u64 {
    runs & (runs >> (1u32.wrapping_shl(order) & 63))
}

#[inline(always)]
fn starts(order: u32) -> u64 {
    STARTS.get(order as usize).copied().unwrap_or(0)
}

#[derive(Clone, Copy)]
pub struct Word<'a> {
    bits: &'a Cell<u64>,
    units: usize,
}

impl<'a> Word<'a> {
    /// Over a word that holds such a state; `units` is a power of two.
    pub fn new(bits: &'a Cell<u64>, units: usize) -> Word<'a> {
        Word { bits, units }
    }

    /// Makes it a block that is free as a whole.
    pub fn init(&self) {
        self.bits.set(range(0, self.units));
    }

    /// The lowest run of so many units, one of the lengths, out of the smallest free run that holds one.
    #[inline(always)]
    pub fn alloc(&self, units: usize) -> Option<usize> {
        let order = lengths::log2_ceil(units);
        let tight = if units & (units - 1) != 0 { self.tight(units, order) } else { 0 };
        let starts = if tight != 0 { tight } else { self.smallest(order)? };
        let start = starts.trailing_zeros() as usize;
        self.bits.set(self.bits.get() & !range(start, start + units));
        Some(start)
    }

    /// The beginnings of the runs of 2^order units of which the first `units` are free, but not all.
    #[inline(never)]
    fn tight(&self, units: usize, order: u32) -> u64 {
        let (mut runs, mut length) = (self.bits.get(), 1);
        while length < units {
            crate::steps::count();
            let more = length.min(units - length);
            runs &= runs >> (more & 63);
            length += more;
        }
        // More than half of it is free: the rest is no longer.
        runs & !(runs >> (((1usize << order) - units) & 63)) & starts(order.wrapping_sub(1))
    }

    /// The beginnings of the free runs of the least order, from `order` on, of which there are any that are no half of a larger one.
    #[inline(always)]
    fn smallest(&self, order: u32) -> Option<u64> {
        crate::steps::count();
        let mut runs = self.bits.get();
        // As in `largest`.
        macro_rules! unless_lone {
            ($($have:literal)*) => {$(
                let above = merged(runs, $have);
                if order <= $have {
                    let lone = runs & !(above | above << (1 << $have));
                    if lone != 0 {
                        return Some(lone);
                    }
                }
                runs = above;
            )*};
        }
        unless_lone!(0 1 2 3 4 5);
        (order <= 6 && runs != 0).then_some(runs)
    }

    /// Takes back the units `from..to`.
    pub fn free_range(&self, from: usize, to: usize) {
        self.bits.set(self.bits.get() | range(from, to.min(self.units)));
    }

    /// Takes exactly the units `from..to` if all are free.
    pub fn take_range(&self, from: usize, to: usize) -> bool {
        if from > to || !self.is_free(from, to) {
            return false;
        }
        self.bits.set(self.bits.get() & !range(from, to));
        true
    }

    /// Are all of the units `from..to` free?
    pub fn is_free(&self, from: usize, to: usize) -> bool {
        to <= self.units && range(from, to) & !self.bits.get() == 0
    }

    /// The number of the largest free run.
    #[inline(never)]
    #[allow(unused_assignments, reason = "by the last step")]
    pub fn largest(&self) -> Option<u32> {
        let (mut quarter, mut runs) = (0, self.bits.get());
        if runs == 0 {
            return None;
        }
        crate::steps::count();
        // Where the code is compiled for size a loop stays one, and takes twice as many instructions.
        let order = 'found: {
            macro_rules! unless_longer {
                ($($order:literal)*) => {$(
                    let twice = longer(runs, $order);
                    if twice & starts($order) == 0 {
                        break 'found $order;
                    }
                    (quarter, runs) = (runs, twice);
                )*};
            }
            unless_longer!(0 1 2 3 4);
            // At least half of the longest block.
            return Some(lengths::at_front((!self.bits.get()).trailing_zeros().max(32)));
        };
        // Followed by half of it, where it begins a longer run?
        let more = runs & quarter >> (1u32.wrapping_shl(order) & 63) & starts(order) != 0;
        Some(lengths::whole(order) + more as u32)
    }

    /// Free units in all.
    pub fn free_units(&self) -> usize {
        count_ones(self.bits.get())
    }

    /// Is no bit set behind the last unit?
    pub fn consistent(&self) -> bool {
        self.bits.get() & !range(0, self.units) == 0
    }
}

/// The bits `from..to`.
#[inline(always)]
fn range(from: usize, to: usize) -> u64 {
    if from >= to || from >= WORD_UNITS {
        return 0;
    }
    (!0 >> (WORD_UNITS - (to - from).min(WORD_UNITS))) << from
}
