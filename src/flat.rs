//! The units of one PACKED block: runs of any length at any place, best fit.
//!
//! One bit per unit says "free". There is nothing to split or merge: a run that is freed sets its bits, and
//! neighbours are neighbours. A buddy would find a place faster, but only at multiples of the next power of two; in
//! a block where small things have settled here and there such places are gone long before the memory is.
//!
//! ```text
//!   1 1 0 0 0 1 1 1 1 0 1 1 1      a request for 2 takes the first hole, one for 3 the last
//!   hole      hole      hole
//! ```
//!
//! Invariant: a bit is set if and only if its unit is in no slab and no run. What is in use is the caller's to know.
//! Cost: one step a hole; blocks of up to 64 units are one word.
//! May know: nothing. Wrong numbers are refused, nothing can panic.

use core::cell::Cell;

/// Words of bits for `units` units.
pub const fn flat_words(units: usize) -> usize {
    units.div_ceil(64)
}

#[derive(Clone, Copy)]
pub struct Flat<'a> {
    words: &'a [Cell<u64>],
    units: usize,
}

impl<'a> Flat<'a> {
    /// Over words that hold such a state.
    pub fn new(words: &'a [Cell<u64>], units: usize) -> Flat<'a> {
        Flat { words, units }
    }

    /// Makes words of any content a block that is free as a whole.
    pub fn init(words: &'a [Cell<u64>], units: usize) -> Flat<'a> {
        for word in words {
            word.set(0);
        }
        let flat = Flat { words, units };
        flat.put(0, units, true);
        flat
    }

    fn word(&self, index: usize) -> u64 {
        self.words.get(index).map_or(0, Cell::get)
    }

    /// Sets or clears the bits `from..to`.
    fn put(&self, mut from: usize, to: usize, free: bool) {
        while from < to {
            let next = ((from | 63) + 1).min(to);
            let mask = (!0 >> (64 - (next - from))) << (from & 63);
            if let Some(word) = self.words.get(from / 64) {
                word.set(if free { word.get() | mask } else { word.get() & !mask });
            }
            from = next;
        }
    }

    /// The first unit from `from` on whose bit is `free`, or the end.
    fn next(&self, from: usize, free: bool) -> usize {
        let mut at = from;
        while at < self.units {
            let word = if free { self.word(at / 64) } else { !self.word(at / 64) } & (!0 << (at & 63));
            if word != 0 {
                return ((at & !63) + word.trailing_zeros() as usize).min(self.units);
            }
            at = (at | 63) + 1;
        }
        self.units
    }

    /// Calls `visit` with the beginning and end of every hole until it says stop.
    fn holes(&self, mut visit: impl FnMut(usize, usize) -> bool) {
        let mut at = self.next(0, true);
        while at < self.units {
            crate::steps::count();
            let end = self.next(at, false);
            if visit(at, end) {
                return;
            }
            at = self.next(end, true);
        }
    }

    /// Takes `count` units from the smallest hole that has them at a multiple of 2^order; the lowest of such holes.
    pub fn alloc(&self, count: usize, order: u32) -> Option<usize> {
        let align = (1usize << order) - 1;
        let (mut best, mut least) = (None, usize::MAX);
        self.holes(|from, to| {
            let start = (from + align) & !align;
            if start + count <= to && to - from < least {
                (best, least) = (Some(start), to - from);
            }
            least == count
        });
        let start = best?;
        self.put(start, start + count, false);
        Some(start)
    }

    /// Takes the units `from..to` back.
    pub fn free_range(&self, from: usize, to: usize) {
        self.put(from, to.min(self.units), true);
    }

    /// Are all of the units `from..to` free?
    pub fn is_free(&self, from: usize, to: usize) -> bool {
        to <= self.units && (from >= to || self.next(from, false) >= to)
    }

    /// Takes exactly the units `from..to` if all are free.
    pub fn take_range(&self, from: usize, to: usize) -> bool {
        if from > to || !self.is_free(from, to) {
            return false;
        }
        self.put(from, to, false);
        true
    }

    /// Units of the largest hole.
    pub fn largest(&self) -> usize {
        let mut most = 0;
        self.holes(|from, to| {
            most = most.max(to - from);
            false
        });
        most
    }

    /// Free units in all.
    pub fn free_units(&self) -> usize {
        self.words.iter().map(|word| word.get().count_ones() as usize).sum()
    }

    /// Is no bit set behind the last unit?
    pub fn consistent(&self) -> bool {
        let rest = self.units % 64;
        rest == 0 || self.word(self.units / 64) >> rest == 0
    }
}
