//! The free units of one block: in one word where that is enough, else in a tree of buddies.
//!
//! A word has runs of three quarters of a power of two as well, and the numbers of runs count them; for a tree a run's number
//! is its order. Otherwise both give the same answers, run for run; nobody above needs to know which it is.
//! May know: word, buddy, lengths.

use crate::buddy::{Buddy, buddy_words};
use crate::cell::Cell;
use crate::lengths::log2_ceil;
use crate::word::{WORD_UNITS, Word};

/// Words for the free units of a block.
pub const fn space_words(units: usize) -> usize {
    if units <= WORD_UNITS { 1 } else { buddy_words(units) }
}

#[derive(Clone, Copy)]
pub enum Space<'a> {
    Word(Word<'a>),
    Tree(Buddy<'a>),
}

impl<'a> Space<'a> {
    /// Over the `space_words(units)` words that hold such a state; `units` is a power of two.
    #[inline(always)]
    pub fn new(words: &'a [Cell<u64>], units: usize) -> Space<'a> {
        match words {
            [bits] => Space::Word(Word::new(bits, units)),
            _ => Space::Tree(Buddy::new(words, units)),
        }
    }

    /// Makes words of any content a block that is free as a whole.
    pub fn init(words: &'a [Cell<u64>], units: usize) {
        match Space::new(words, units) {
            Space::Word(word) => word.init(),
            Space::Tree(_) => drop(Buddy::init(words, units)),
        }
    }

    /// The lowest run of so many units, one of the lengths, out of the smallest free run that holds one.
    #[inline(never)]
    pub fn alloc(&self, units: usize) -> Option<usize> {
        match self {
            Space::Word(word) => word.alloc(units),
            Space::Tree(tree) => tree.alloc(log2_ceil(units)),
        }
    }

    /// Takes back the units `from..to`.
    #[inline(always)]
    pub fn free_range(&self, from: usize, to: usize) {
        match self {
            Space::Word(word) => word.free_range(from, to),
            Space::Tree(tree) => tree.free_range(from, to),
        }
    }

    /// Takes exactly the units `from..to` if all are free.
    pub fn take_range(&self, from: usize, to: usize) -> bool {
        match self {
            Space::Word(word) => word.take_range(from, to),
            Space::Tree(tree) => tree.take_range(from, to),
        }
    }

    /// Are all of the units `from..to` free?
    pub fn is_free(&self, from: usize, to: usize) -> bool {
        match self {
            Space::Word(word) => word.is_free(from, to),
            Space::Tree(tree) => tree.is_free(from, to),
        }
    }

    /// The number of the largest free run (lengths.rs).
    #[inline(always)]
    pub fn largest(&self) -> Option<u32> {
        match self {
            Space::Word(word) => word.largest(),
            Space::Tree(tree) => tree.largest(),
        }
    }

    /// Free units in all.
    pub fn free_units(&self) -> usize {
        match self {
            Space::Word(word) => word.free_units(),
            Space::Tree(tree) => tree.free_units(),
        }
    }

    /// Does what the words say make sense?
    pub fn consistent(&self) -> bool {
        match self {
            Space::Word(word) => word.consistent(),
            Space::Tree(tree) => tree.consistent(),
        }
    }
}
