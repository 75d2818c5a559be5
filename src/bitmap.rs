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

use core::cell::Cell;

const MAX_LEVELS: usize = 7;

/// Words that a set of `bits` bits needs, all levels together.
pub const fn words_for(bits: usize) -> usize {
    let mut level = bits.div_ceil(64);
    let mut total = level;
    while level > 1 {
        level = level.div_ceil(64);
        total += level;
    }
    total
}

#[derive(Clone, Copy)]
pub struct BitSet<'a> {
    words: &'a [Cell<u64>],
    bits: usize,
}

impl<'a> BitSet<'a> {
    pub fn new(words: &'a [Cell<u64>], bits: usize) -> BitSet<'a> {
        BitSet { words, bits }
    }

    #[inline]
    fn word(&self, index: usize) -> u64 {
        self.words.get(index).map_or(0, Cell::get)
    }

    #[inline]
    fn put(&self, index: usize, value: u64) {
        if let Some(word) = self.words.get(index) {
            word.set(value);
        }
    }

    #[inline]
    pub fn get(&self, bit: usize) -> bool {
        bit < self.bits && self.word(bit / 64) >> (bit % 64) & 1 != 0
    }

    #[inline]
    pub fn set(&self, mut bit: usize) {
        let (mut start, mut level) = (0, self.bits.div_ceil(64));
        loop {
            let old = self.word(start + bit / 64);
            self.put(start + bit / 64, old | 1 << (bit % 64));
            if old != 0 || level <= 1 {
                return;
            }
            bit /= 64;
            start += level;
            level = level.div_ceil(64);
        }
    }

    #[inline]
    pub fn clear(&self, mut bit: usize) {
        let (mut start, mut level) = (0, self.bits.div_ceil(64));
        loop {
            let new = self.word(start + bit / 64) & !(1 << (bit % 64));
            self.put(start + bit / 64, new);
            if new != 0 || level <= 1 {
                return;
            }
            bit /= 64;
            start += level;
            level = level.div_ceil(64);
        }
    }

    /// The first set bit at `from` or behind it.
    pub fn next(&self, from: usize) -> Option<usize> {
        let mut starts = [0usize; MAX_LEVELS];
        let (mut start, mut level, mut bit, mut depth) = (0, self.bits.div_ceil(64), from, 0);
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
            level = level.div_ceil(64);
        };
        // ... and down again to the first bit below it.
        while depth > 0 {
            crate::steps::count();
            depth -= 1;
            start = starts.get(depth).copied().unwrap_or(0);
            let word = self.word(start + found);
            if word == 0 {
                return None; // the levels contradict each other: damaged records
            }
            found = found * 64 + word.trailing_zeros() as usize;
        }
        (found < self.bits).then_some(found)
    }

    /// The first place where `count` set bits are neighbours, below `end`; bits from `end` to `end + beyond`
    /// count as set. One step a word: `steps` is told how many were read.
    pub fn find_run(&self, count: usize, end: usize, beyond: usize, mut steps: impl FnMut()) -> Option<usize> {
        let words = end.div_ceil(64);
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
        let (mut start, mut level, mut bits) = (0, self.bits.div_ceil(64), self.bits);
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
            level = level.div_ceil(64);
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
