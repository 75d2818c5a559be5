//! One buddy allocator: runs of units in one block, split and merged (Knowlton 1965; Knuth, TAOCP 2.5).
//!
//! The block has n units, a power of two. The nodes of its tree are numbered as in a heap: 1 is the whole
//! block, node i has the halves 2i and 2i+1, the units are n to 2n-1.
//!
//! ```text
//!                 1                 order 2: 4 units
//!         2               3         order 1
//!     4       5       6       7     order 0
//! ```
//!
//! One bit per node says "free as a whole". So a run of 2^k units at unit u is node (n >> k) + (u >> k), its
//! buddy is that number with the last bit turned, and all nodes of one order are neighbours: the lowest free
//! run of an order is one search in a bit set.
//!
//! Invariants: no node is free together with one above it; no two buddies are free (they have merged).
//! What is in use is what no free node covers: this module keeps no record of runs in use, its caller does.
//! May know: bitmap, steps. Plain arithmetic over unit numbers; wrong numbers are refused, nothing can panic.

use crate::bitmap::{BitSet, words_for};
use crate::cell::Cell;

/// Words of bits that the buddy of `units` units needs.
pub const fn buddy_words(units: usize) -> usize {
    words_for(2 * units)
}

#[derive(Clone, Copy)]
pub struct Buddy<'a> {
    nodes: BitSet<'a>,
    units: usize,
}

impl<'a> Buddy<'a> {
    /// Over words that hold a buddy's state; `units` is a power of two.
    pub fn new(words: &'a [Cell<u64>], units: usize) -> Buddy<'a> {
        Buddy { nodes: BitSet::new(words, 2 * units), units }
    }

    /// Makes words of any content a block that is free as a whole.
    pub fn init(words: &'a [Cell<u64>], units: usize) -> Buddy<'a> {
        for word in words {
            word.set(0);
        }
        let buddy = Buddy::new(words, units);
        buddy.nodes.set(1);
        buddy
    }

    pub fn max_order(&self) -> u32 {
        self.units.trailing_zeros()
    }

    fn node(&self, unit: usize, order: u32) -> usize {
        (self.units >> order) + (unit >> order)
    }

    /// The lowest run of 2^order units, split out of the smallest free run that holds one.
    pub fn alloc(&self, order: u32) -> Option<usize> {
        let mut have = order;
        while have <= self.max_order() {
            crate::steps::count();
            let first = self.units >> have;
            if let Some(mut node) = self.nodes.next(first)
                && node < 2 * first
            {
                self.nodes.clear(node);
                while have > order {
                    crate::steps::count();
                    have -= 1;
                    node *= 2;
                    self.nodes.set(node + 1);
                }
                return Some((node << order) - self.units);
            }
            have += 1;
        }
        None
    }

    /// Takes a run back, merges it with its buddy as long as that is free too, and says what order it became.
    pub fn free(&self, unit: usize, order: u32) -> u32 {
        let mut node = self.node(unit, order);
        let mut order = order;
        while node > 1 && self.nodes.get(node ^ 1) {
            crate::steps::count();
            self.nodes.clear(node ^ 1);
            node /= 2;
            order += 1;
        }
        self.nodes.set(node);
        order
    }

    /// Takes back the units `from..to`, whatever runs they make.
    pub fn free_range(&self, mut from: usize, to: usize) {
        while from < to {
            crate::steps::count();
            let order = piece(from, to);
            self.free(from, order);
            from += 1 << order;
        }
    }

    /// Takes exactly the units `from..to` if all are free.
    pub fn take_range(&self, from: usize, to: usize) -> bool {
        if from > to || to > self.units || !self.is_free(from, to) {
            return false;
        }
        let mut at = from;
        while at < to {
            crate::steps::count();
            let order = piece(at, to);
            self.take(at, order);
            at += 1 << order;
        }
        true
    }

    /// Cuts a run out of the free one that holds it. There is one: an aligned run that is free in parts has merged.
    fn take(&self, unit: usize, order: u32) {
        let target = self.node(unit, order);
        let mut above = target;
        while above > 0 && !self.nodes.get(above) {
            crate::steps::count();
            above /= 2;
        }
        if above == 0 {
            return;
        }
        self.nodes.clear(above);
        let mut node = target;
        while node != above {
            crate::steps::count();
            self.nodes.set(node ^ 1);
            node /= 2;
        }
    }

    /// Are all of the units `from..to` free?
    pub fn is_free(&self, from: usize, to: usize) -> bool {
        let mut at = from;
        while at < to {
            match self.free_run_at(at) {
                Some((start, order)) => at = start + (1 << order),
                None => return false,
            }
        }
        true
    }

    /// The free run that holds `unit`: where it begins, and its order.
    pub fn free_run_at(&self, unit: usize) -> Option<(usize, u32)> {
        if unit >= self.units {
            return None;
        }
        let mut node = self.units + unit;
        let mut order = 0;
        while node > 0 {
            crate::steps::count();
            if self.nodes.get(node) {
                return Some(((node << order) - self.units, order));
            }
            node /= 2;
            order += 1;
        }
        None
    }

    /// The order of the largest free run.
    pub fn largest(&self) -> Option<u32> {
        // Nodes of high orders have low numbers: the first free one is of the highest order.
        let node = self.nodes.next(1)?;
        Some(self.max_order() - (usize::BITS - 1 - node.leading_zeros()))
    }

    /// Free units in all.
    pub fn free_units(&self) -> usize {
        let (mut total, mut from) = (0, 1);
        while let Some(node) = self.nodes.next(from) {
            total += self.units >> (usize::BITS - 1 - node.leading_zeros());
            from = node + 1;
        }
        total
    }

    /// Do the bits obey the invariants at the top of this file?
    pub fn consistent(&self) -> bool {
        if !self.nodes.consistent() || self.nodes.get(0) {
            return false;
        }
        let mut from = 1;
        while let Some(node) = self.nodes.next(from) {
            let mut above = node / 2;
            while above > 0 {
                if self.nodes.get(above) {
                    return false;
                }
                above /= 2;
            }
            if node > 1 && self.nodes.get(node ^ 1) {
                return false;
            }
            from = node + 1;
        }
        true
    }
}

/// The order of the largest aligned run that begins at `from` and ends at `to` or before.
fn piece(from: usize, to: usize) -> u32 {
    let fits = usize::BITS - 1 - (to - from).max(1).leading_zeros();
    if from == 0 { fits } else { from.trailing_zeros().min(fits) }
}
