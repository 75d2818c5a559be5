//! The map of one PACKED block: pieces and holes of any length at any granule.
//!
//! Two bits a granule say what begins there:
//!
//! ```text
//!            hole    live    dead    nothing: it goes on
//!   edge      1       1       0       0
//!   live      0       1       1       0
//! ```
//!
//! So a piece ends where the next thing begins, and its length is a search for the next bit, whatever its length. To
//! take and to give back is to change two bits at each end. Dead is what waits in a cache or in quarantine. A piece may
//! go on in the next block; holes end with their block, and the first granule of a block is an edge unless a piece of
//! an earlier block covers it.
//!
//! For each word of edges (64 granules) a byte says how long the longest hole is that begins in it, as `code`. The search
//! for a place reads these bytes, eight at a time, and then a few words. Blocks of more than 1024
//! words have another byte for each 1024; blocks of more than 8 words a bit set of the words in which anything begins.
//!
//! Invariants: two holes are never neighbours inside a block; `longest` and the set are exact.
//! May know: bitmap, steps. Plain arithmetic over granule numbers; wrong numbers are refused, nothing can panic.

use crate::bitmap::{BitSet, words_for};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Blocks with more words of edges have a set of those that are not empty.
const PLAIN_WORDS: usize = 8;
/// Words in a group.
const GROUP: usize = 1024;
/// Words that a search visits for a shorter hole.
const VISITS: i32 = 16;
/// Lengths below this are their own code.
const EXACT: usize = 128;

/// Words of the set over `words` words of edges.
pub const fn sum_words(words: usize) -> usize {
    if words > PLAIN_WORDS { words_for(words) } else { 0 }
}

/// Words of bytes that say how long the longest holes are: one for each word of edges, then one for each group.
pub const fn longest_words(words: usize) -> usize {
    words.div_ceil(8) + if words > GROUP { words.div_ceil(GROUP).div_ceil(8) } else { 0 }
}

/// A length as a byte: itself, then four steps a doubling. 0: none.
#[inline(always)]
pub fn code(length: usize) -> u8 {
    if length < EXACT {
        return length as u8;
    }
    let log = length.ilog2();
    (EXACT as u32 + (log - 7) * 4 + (length >> (log - 2)) as u32 % 4).min(u8::MAX as u32) as u8
}

/// What begins at a granule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Nothing,
    Hole,
    Live,
    Dead,
}

/// A place for a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    /// The hole that it lies in.
    pub hole: usize,
    pub length: usize,
    /// Where the piece begins.
    pub at: usize,
}

#[derive(Clone, Copy)]
pub struct Flat<'a> {
    pub edges: &'a [AtomicU64],
    pub lives: &'a [AtomicU64],
    pub sums: &'a [AtomicU64],
    pub longest: &'a [Cell<u64>],
    pub granules: usize,
}

#[inline(always)]
fn load(words: &[AtomicU64], index: usize) -> u64 {
    words.get(index).map_or(0, |word| word.load(Relaxed))
}

#[inline(always)]
fn store(words: &[AtomicU64], index: usize, value: u64) {
    if let Some(word) = words.get(index) {
        word.store(value, Relaxed);
    }
}

impl Flat<'_> {
    /// Makes words of any content a block that is one hole.
    #[inline(never)]
    pub fn init(&self) {
        for word in self.edges.iter().chain(self.lives).chain(self.sums) {
            crate::steps::count();
            word.store(0, Relaxed);
        }
        for word in self.longest {
            word.set(0);
        }
        self.set(0, What::Hole);
        self.refresh(0);
    }

    fn sums(&self) -> Option<BitSet<'_, AtomicU64>> {
        (!self.sums.is_empty()).then(|| BitSet::new(self.sums, self.edges.len()))
    }

    /// Where anything begins in a word.
    #[inline(always)]
    fn begins(&self, word: usize) -> u64 {
        load(self.edges, word) | load(self.lives, word)
    }

    #[inline(always)]
    pub fn what(&self, at: usize) -> What {
        let bit = |words| load(words, at / 64) >> (at % 64) & 1 != 0;
        match (bit(self.edges), bit(self.lives)) {
            (true, false) => What::Hole,
            (true, true) => What::Live,
            (false, true) => What::Dead,
            (false, false) => What::Nothing,
        }
    }

    /// Says what begins at a granule.
    #[inline(never)]
    pub fn set(&self, at: usize, what: What) {
        let (index, bit) = (at / 64, 1u64 << (at % 64));
        let old = self.begins(index);
        let edges = load(self.edges, index) & !bit;
        let lives = load(self.lives, index) & !bit;
        store(self.lives, index, if matches!(what, What::Live | What::Dead) { lives | bit } else { lives });
        store(self.edges, index, if matches!(what, What::Live | What::Hole) { edges | bit } else { edges });
        let new = if what == What::Nothing { old & !bit } else { old | bit };
        if (old == 0) != (new == 0)
            && let Some(sums) = self.sums()
        {
            if new == 0 { sums.clear(index) } else { sums.set(index) }
        }
    }

    /// Where the next thing begins at or behind `from`; the end of the block if nothing does.
    #[inline(never)]
    pub fn next(&self, from: usize) -> usize {
        let mut index = from / 64;
        let word = self.begins(index) & (!0 << (from % 64));
        if word != 0 {
            return index * 64 + word.trailing_zeros() as usize;
        }
        index += 1;
        if let Some(sums) = self.sums() {
            index = sums.next(index).unwrap_or(self.edges.len());
        } else {
            while index < self.edges.len() && self.begins(index) == 0 {
                crate::steps::count();
                index += 1;
            }
        }
        if index >= self.edges.len() {
            return self.granules;
        }
        (index * 64 + self.begins(index).trailing_zeros() as usize).min(self.granules)
    }

    /// Where the last thing begins at or before `from`.
    #[inline(never)]
    pub fn prev(&self, from: usize) -> Option<usize> {
        let mut index = from / 64;
        let mut word = self.begins(index) & (!0 >> (63 - from % 64));
        if word == 0 {
            if let Some(sums) = self.sums() {
                index = sums.prev(index.checked_sub(1)?)?;
                word = self.begins(index);
            } else {
                while word == 0 {
                    crate::steps::count();
                    index = index.checked_sub(1)?;
                    word = self.begins(index);
                }
            }
        }
        Some(index * 64 + (63usize).checked_sub(word.leading_zeros() as usize)?)
    }

    /// The length of the hole that begins at `at`; 0 if none does.
    #[inline(never)]
    pub fn hole_at(&self, at: usize) -> usize {
        if at < self.granules && self.what(at) == What::Hole { self.next(at + 1) - at } else { 0 }
    }

    /// The hole at the very end: how long it is, or 0.
    #[inline(never)]
    pub fn last_hole(&self) -> usize {
        match self.prev(self.granules - 1) {
            Some(at) if self.what(at) == What::Hole => self.granules - at,
            _ => 0,
        }
    }

    /// Calls `visit` with each hole that begins in a word, until it says stop.
    #[inline(always)]
    fn holes_of(&self, word: usize, mut visit: impl FnMut(usize, usize) -> bool) {
        let mut holes = load(self.edges, word) & !load(self.lives, word);
        while holes != 0 {
            let at = word * 64 + holes.trailing_zeros() as usize;
            holes &= holes - 1;
            if visit(at, self.next(at + 1) - at) {
                return;
            }
        }
    }

    /// The code of the longest hole that begins in a word.
    fn longest_of(&self, word: usize) -> u8 {
        let mut most = 0;
        self.holes_of(word, |_, length| {
            most = most.max(length);
            false
        });
        code(most)
    }

    /// Calls `visit` with each hole and its length.
    #[inline(never)]
    pub fn holes(&self, visit: &mut dyn FnMut(usize, usize)) {
        for word in 0..self.edges.len() {
            self.holes_of(word, |at, length| {
                visit(at, length);
                false
            });
        }
    }

    /// Brings the byte of the word that holds `at` up to date.
    #[inline(never)]
    fn refresh(&self, at: usize) {
        let (index, new) = (at / 64, self.longest_of(at / 64));
        let old = self.byte(index);
        self.put_byte(index, new);
        if self.edges.len() > GROUP {
            let group = self.group_byte(index / GROUP);
            if new > self.byte(group) || old == self.byte(group) {
                self.put_byte(group, greatest(self.group(index / GROUP)));
            }
        }
    }

    fn byte(&self, index: usize) -> u8 {
        (self.longest.get(index / 8).map_or(0, Cell::get) >> (index % 8 * 8)) as u8
    }

    fn put_byte(&self, index: usize, value: u8) {
        if let Some(word) = self.longest.get(index / 8) {
            let shift = index % 8 * 8;
            word.set(word.get() & !(0xff << shift) | (value as u64) << shift);
        }
    }

    /// The number of a group's byte.
    fn group_byte(&self, group: usize) -> usize {
        self.edges.len().div_ceil(8) * 8 + group
    }

    fn group(&self, number: usize) -> &[Cell<u64>] {
        let from = number * (GROUP / 8);
        self.longest.get(from..(from + GROUP / 8).min(self.edges.len().div_ceil(8))).unwrap_or(&[])
    }

    /// The code of the longest hole.
    #[inline(never)]
    pub fn longest(&self) -> u8 {
        let words = self.edges.len();
        greatest(if words > GROUP { self.longest.get(words / 8..).unwrap_or(&[]) } else { self.group(0) })
    }

    /// A good hole for `count` granules that begin at a multiple of `align`, a power of two: the first word whose longest
    /// hole is just as long; else the shortest that serves in the first few words that have any.
    #[inline(never)]
    pub fn find(&self, count: usize, align: usize) -> Option<Spot> {
        let want = code(count);
        let mut best: Option<Spot> = None;
        for group in 0..self.edges.len().div_ceil(GROUP) {
            let bytes = self.group(group);
            if self.edges.len() > GROUP && greatest(bytes) < want {
                continue;
            }
            // First what is just as long, then whatever is long enough.
            for exact in [count < EXACT, false] {
                let mut left = VISITS;
                matches(bytes, want, exact, &mut |at| {
                    crate::steps::count();
                    if let Some(spot) = self.find_in(group * GROUP + at, count, align)
                        && best.is_none_or(|best| spot.length < best.length)
                    {
                        best = Some(spot);
                    }
                    left -= 1;
                    best.is_some_and(|best| best.length == count || left <= 0)
                });
                if best.is_some() {
                    return best;
                }
            }
        }
        None
    }

    #[inline(never)]
    fn find_in(&self, word: usize, count: usize, align: usize) -> Option<Spot> {
        let mut best: Option<Spot> = None;
        self.holes_of(word, |hole, length| {
            let at = (hole + align - 1) & !(align - 1);
            if at + count <= hole + length && best.is_none_or(|best| length < best.length) {
                best = Some(Spot { hole, length, at });
            }
            best.is_some_and(|best| best.length == count)
        });
        best
    }

    /// Makes `count` granules of a hole a live piece; at the block's end the piece may be longer than what is left.
    #[inline(never)]
    pub fn take(&self, spot: &Spot, count: usize) {
        self.set(spot.at, What::Live);
        let end = spot.at + count;
        if end < spot.hole + spot.length {
            self.set(end, What::Hole);
            self.refresh(end);
        }
        if spot.hole / 64 != end / 64 || end >= spot.hole + spot.length {
            self.refresh(spot.hole);
        }
    }

    /// Gives the front of the block, a hole so far, to a piece that began before the block.
    #[inline(never)]
    pub fn cover(&self, count: usize) {
        let length = self.hole_at(0);
        self.set(0, What::Nothing);
        if count < length {
            self.set(count, What::Hole);
            self.refresh(count);
        }
        self.refresh(0);
    }

    /// Lengthens the piece that ends at `end` by `count` granules of the hole there. False: there is none so long.
    #[inline(never)]
    pub fn extend(&self, end: usize, count: usize) -> bool {
        let length = self.hole_at(end);
        if length < count {
            return false;
        }
        self.set(end, What::Nothing);
        if count < length {
            self.set(end + count, What::Hole);
            self.refresh(end + count);
        }
        self.refresh(end);
        true
    }

    /// The hole that ends at `at`, if one does: where it begins.
    #[inline(never)]
    pub fn hole_before(&self, at: usize) -> Option<usize> {
        at.checked_sub(1).and_then(|at| self.prev(at)).filter(|&at| self.what(at) == What::Hole)
    }

    /// Does a hole begin at `at`?
    #[inline]
    pub fn hole_behind(&self, at: usize) -> bool {
        at < self.granules && self.what(at) == What::Hole
    }

    /// Makes the granules `from..to` free, whatever begins or goes on at `from`, and merges them with their neighbours:
    /// the hole that ends there begins at `before`. Where the new hole begins.
    #[inline(never)]
    pub fn give(&self, from: usize, to: usize, before: Option<usize>) -> usize {
        let start = before.unwrap_or(from);
        self.set(from, if before.is_some() { What::Nothing } else { What::Hole });
        if self.hole_behind(to) {
            self.set(to, What::Nothing);
            if to / 64 != start / 64 {
                self.refresh(to);
            }
        }
        self.refresh(start);
        start
    }

    /// Do the bytes and the set say what they should?
    #[inline(never)]
    pub fn consistent(&self) -> bool {
        let (words, sums) = (self.edges.len(), self.sums());
        let groups = if words > GROUP { words.div_ceil(GROUP) } else { 0 };
        let after = words..words.next_multiple_of(8);
        let behind = self.group_byte(groups)..self.longest.len() * 8;
        (0..words).all(|word| {
            self.byte(word) == self.longest_of(word)
                && sums.is_none_or(|sums| sums.get(word) == (self.begins(word) != 0))
        }) && after.chain(behind).all(|unused| self.byte(unused) == 0)
            && (0..groups).all(|group| self.byte(self.group_byte(group)) == greatest(self.group(group)))
            && sums.is_none_or(|sums| sums.consistent())
    }
}

/// The greatest of the bytes.
#[inline(never)]
fn greatest(words: &[Cell<u64>]) -> u8 {
    let mut most = 0u8;
    for word in words {
        let mut rest = word.get();
        while most < u8::MAX && at_least(rest, most + 1) != 0 {
            let shift = at_least(rest, most + 1).trailing_zeros() & !7;
            most = (rest >> shift) as u8;
            rest = rest >> shift >> 8;
        }
    }
    most
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = LOW << 7;

/// The high bits of the bytes that are `want`; of those behind the first, some that are not.
#[inline(always)]
fn equal(eight: u64, want: u8) -> u64 {
    let other = eight ^ (LOW * want as u64);
    other.wrapping_sub(LOW) & !other & HIGH
}

/// The high bits of the bytes that are at least `want`.
#[inline(always)]
fn at_least(eight: u64, want: u8) -> u64 {
    let want = LOW * want as u64;
    let low = (eight | HIGH) - (want & !HIGH);
    ((eight & !want) | (!(eight ^ want) & low)) & HIGH
}

/// Calls `visit` with the number of each byte that is `want`, or (not `exact`) at least that, until it says stop.
#[inline(never)]
fn matches(words: &[Cell<u64>], want: u8, exact: bool, visit: &mut dyn FnMut(usize) -> bool) {
    for (number, word) in words.iter().enumerate() {
        let mut found = if exact { equal(word.get(), want) } else { at_least(word.get(), want) };
        while found != 0 {
            let at = number * 8 + found.trailing_zeros() as usize / 8;
            found &= found - 1;
            if visit(at) {
                return;
            }
        }
    }
}
