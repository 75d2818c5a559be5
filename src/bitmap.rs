//! Bit sets with summary levels, over words that somebody else owns.
//!
//! ```text
//!   level 2   [ bit i: word i of level 1 is not zero ]          one word
//!   level 1   [ bit i: word i of level 0 is not zero ] …
//!   level 0   [ the bits themselves ] … … …
//! ```
//!
//! The levels lie one behind another in one slice, level 0 first; the last is one word. Finding the next set
//! bit reads at most two words a level, so a set of 16 million bits takes ten reads.
//!
//! Invariant: a bit of level n+1 is set if and only if its word of level n is not zero.
//! May know: steps. Reads beyond the slice are zero and writes there are dropped: nothing here can panic.

use crate::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const MAX_LEVELS: usize = 7;

/// Words for the bits of one level. No set has so many that this could overflow, as `div_ceil` has to be ready for.
const fn words_of(bits: usize) -> usize {
    (bits + 63) >> 6
}

/// Words that a set of `bits` bits needs, all levels together.
pub const fn words_for(bits: usize) -> usize {
    let mut level = words_of(bits);
    let mut total = level;
    while level > 1 {
        level = words_of(level);
        total += level;
    }
    total
}

/// Bits that are set in a word, for those in no hurry: where the processor is not known to count them itself, the
/// instructions for it are too many to stand in many places.
#[inline(never)]
pub fn count_ones(word: u64) -> usize {
    word.count_ones() as usize
}

/// A word of a set: of its one owner, or one that other threads may read.
pub trait Word {
    fn read(&self) -> u64;
    fn write(&self, value: u64);
}

impl Word for Cell<u64> {
    #[inline(always)]
    fn read(&self) -> u64 {
        self.get()
    }

    #[inline(always)]
    fn write(&self, value: u64) {
        self.set(value);
    }
}

impl Word for AtomicU64 {
    #[inline(always)]
    fn read(&self) -> u64 {
        self.load(Relaxed)
    }

    #[inline(always)]
    fn write(&self, value: u64) {
        self.store(value, Relaxed);
    }
}

pub struct BitSet<'a, W: Word = Cell<u64>> {
    words: &'a [W],
    bits: usize,
}

impl<W: Word> Clone for BitSet<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W: Word> Copy for BitSet<'_, W> {}

impl<'a, W: Word> BitSet<'a, W> {
    pub fn new(words: &'a [W], bits: usize) -> BitSet<'a, W> {
        BitSet { words, bits }
    }

    #[inline]
    fn word(&self, index: usize) -> u64 {
        self.words.get(index).map_or(0, Word::read)
    }

    #[inline]
    fn put(&self, index: usize, value: u64) {
        if let Some(word) = self.words.get(index) {
            word.write(value);
        }
    }

    #[inline(never)]
    pub fn get(&self, bit: usize) -> bool {
        bit < self.bits && self.word(bit / 64) >> (bit % 64) & 1 != 0
    }

    pub fn set(&self, mut bit: usize) {
        let (mut start, mut level) = (0, words_of(self.bits));
        loop {
            let old = self.word(start + bit / 64);
            self.put(start + bit / 64, old | 1 << (bit % 64));
            if old != 0 || level <= 1 {
                return;
            }
            bit /= 64;
            start += level;
            level = words_of(level);
        }
    }

    /// Sets several bits of one word: those in `mask`, of the bits from 64 * index on.
    pub fn set_word(&self, index: usize, mask: u64) {
        let old = self.word(index);
        if mask != 0 && index < words_of(self.bits) {
            // The first of them tells the levels above.
            self.set(index * 64 + mask.trailing_zeros() as usize);
            self.put(index, old | mask);
        }
    }

    pub fn clear(&self, mut bit: usize) {
        let (mut start, mut level) = (0, words_of(self.bits));
        loop {
            let new = self.word(start + bit / 64) & !(1 << (bit % 64));
            self.put(start + bit / 64, new);
            if new != 0 || level <= 1 {
                return;
            }
            bit /= 64;
            start += level;
            level = words_of(level);
        }
    }

    /// The first set bit at `from` or behind it.
    pub fn next(&self, from: usize) -> Option<usize> {
        let mut starts = [0usize; MAX_LEVELS];
        let (mut start, mut level, mut bit, mut depth) = (0, words_of(self.bits), from, 0);
        // Up, until a word has something at the place asked for or behind it ...
        let mut found = loop {
            crate::steps::count();
            if bit / 64 >= level {
                return None;
            }
            let word = self.word(start + bit / 64) & (!0 << (bit % 64));
            if word != 0 {
                break (bit & !63) + word.trailing_zeros() as usize;
            }
            if level <= 1 {
                return None;
            }
            bit = bit / 64 + 1;
            if let Some(slot) = starts.get_mut(depth) {
                *slot = start;
            }
            depth += 1;
            start += level;
            level = words_of(level);
        };
        // ... and down again to the first bit below it.
        for &start in starts.get(..depth)?.iter().rev() {
            found = self.below(start, found, |word| word.trailing_zeros())?;
        }
        (found < self.bits).then_some(found)
    }

    /// One level down: the bit that `pick` takes of the word that a summary bit speaks for. None: the levels contradict
    /// each other, the records are damaged.
    #[inline(always)]
    fn below(&self, start: usize, summary: usize, pick: impl Fn(u64) -> u32) -> Option<usize> {
        crate::steps::count();
        let word = self.word(start + summary);
        (word != 0).then(|| summary * 64 + pick(word) as usize)
    }

    /// The first bit behind `from` that is not set. One step a word.
    pub fn run_end(&self, from: usize) -> usize {
        let mut at = from;
        while at < self.bits {
            crate::steps::count();
            let word = !self.word(at / 64) & (!0 << (at % 64));
            if word != 0 {
                return ((at & !63) + word.trailing_zeros() as usize).min(self.bits);
            }
            at = (at | 63) + 1;
        }
        self.bits
    }

    /// The last set bit at `from` or before it.
    pub fn prev(&self, from: usize) -> Option<usize> {
        let mut starts = [0usize; MAX_LEVELS];
        let (mut start, mut level, mut depth) = (0, words_of(self.bits), 0);
        let mut bit = from.min(self.bits.checked_sub(1)?);
        let mut found = loop {
            crate::steps::count();
            let word = self.word(start + bit / 64) & (!0 >> (63 - bit % 64));
            if word != 0 {
                break (bit | 63) - word.leading_zeros() as usize;
            }
            bit = (bit / 64).checked_sub(1)?;
            if let Some(slot) = starts.get_mut(depth) {
                *slot = start;
            }
            depth += 1;
            start += level;
            level = words_of(level);
        };
        for &start in starts.get(..depth)?.iter().rev() {
            found = self.below(start, found, |word| 63 - word.leading_zeros())?;
        }
        Some(found)
    }

    /// The first place where `count` set bits are neighbours, below `end`; bits from `end` to `end + beyond`
    /// count as set. One step a word: `steps` is told how many were read.
    pub fn find_run(&self, count: usize, end: usize, beyond: usize, mut steps: impl FnMut()) -> Option<usize> {
        let words = words_of(end);
        let mut carry = 0; // set bits directly before this word
        let mut index = self.next(0).map_or(words, |bit| bit / 64);
        while index < words {
            steps();
            let room = (end - index * 64).min(64);
            let full = !0 >> (64 - room);
            let word = self.word(index) & full;
            if carry + word.trailing_ones() as usize >= count {
                return Some(index * 64 - carry);
            }
            if word == full {
                carry += room;
            } else if let Some(at) = run_in_word(word, count) {
                return Some(index * 64 + at);
            } else {
                carry = (word << (64 - room)).leading_ones() as usize;
            }
            index += 1;
        }
        (carry + beyond >= count).then_some(end - carry)
    }

    /// Is every summary bit right, and no bit set at or behind the end?
    pub fn consistent(&self) -> bool {
        let (mut start, mut level, mut bits) = (0, words_of(self.bits), self.bits);
        loop {
            if !bits.is_multiple_of(64) && self.word(start + level - 1) >> (bits % 64) != 0 {
                return false;
            }
            if level <= 1 {
                return true;
            }
            let above = start + level;
            for index in 0..level {
                let said = self.word(above + index / 64) >> (index % 64) & 1 != 0;
                if said != (self.word(start + index) != 0) {
                    return false;
                }
            }
            bits = level;
            start = above;
            level = words_of(level);
        }
    }
}

/// The lowest place in `word` where `count` ones are neighbours, by doubling: log2(count) steps.
fn run_in_word(mut word: u64, count: usize) -> Option<usize> {
    if count == 0 || count > 64 {
        return None;
    }
    let mut have = 1;
    while have < count {
        let shift = have.min(count - have);
        word &= word >> shift;
        have += shift;
    }
    (word != 0).then_some(word.trailing_zeros() as usize)
}
