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
//! for a place reads these bytes, sixteen at a time, and then a few words. Blocks of more than 1024
//! words have another byte for each 1024; blocks of more than 8 words a bit set of the words in which anything begins.
//!
//! Invariants: two holes are never neighbours inside a block; `longest` and the set are exact.
//! May know: bitmap, spot, steps. Plain arithmetic over granule numbers; wrong numbers are refused, nothing can panic.

use crate::bitmap::{BitSet, words_for};
use crate::cell::Cell;
use crate::sixteen::greatest;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Blocks with more words of edges have a set of those that are not empty.
const PLAIN_WORDS: usize = 8;
/// Words in a group.
pub const GROUP: usize = 1024;
/// Lengths below this are their own code.
pub const EXACT: usize = 128;

/// Words of the set over `words` words of edges.
pub const fn sum_words(words: usize) -> usize {
    if words > PLAIN_WORDS { words_for(words) } else { 0 }
}

/// Words for so many bytes. None are so many that this could overflow.
const fn eighths(bytes: usize) -> usize {
    (bytes + 7) >> 3
}

/// Words of bytes that say how long the longest holes are: one for each word of edges, then one for each group.
pub const fn longest_words(words: usize) -> usize {
    eighths(words) + if words > GROUP { eighths(words.div_ceil(GROUP)) } else { 0 }
}

/// A length as a byte: itself, then four steps a doubling. 0: none.
#[inline(always)]
pub fn code(length: usize) -> u8 {
    if length < EXACT { length as u8 } else { long_code(length) }
}

#[inline(never)]
fn long_code(length: usize) -> u8 {
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

/// Where the words of a block are. Who asks has made sure that there is such a word.
pub trait Words<'a>: Copy {
    fn granules(self) -> usize;
    /// Words of edges, and of lives.
    fn count(self) -> usize;
    fn edge(self, word: usize) -> &'a AtomicU64;
    fn live(self, word: usize) -> &'a AtomicU64;
    /// The bytes, by eights: see `longest_words`.
    fn eight(self, number: usize) -> &'a Cell<u64>;
    fn eights(self) -> &'a [Cell<u64>];
    /// See `sum_words`.
    fn sums(self) -> &'a [AtomicU64];
}

#[derive(Clone, Copy)]
pub struct Flat<W>(pub W);

impl<'a, W: Words<'a>> Flat<W> {
    /// Makes words of any content a block that is one hole.
    #[inline(never)]
    pub fn init(&self) {
        for word in 0..self.0.count() {
            crate::steps::count();
            self.put(word, 0, 0);
        }
        for word in self.0.sums() {
            word.store(0, Relaxed);
        }
        for eight in self.0.eights() {
            eight.set(0);
        }
        self.set(0, What::Hole);
        self.refresh(0);
    }

    #[inline(always)]
    pub fn granules(&self) -> usize {
        self.0.granules()
    }

    fn sums(&self) -> Option<BitSet<'a, AtomicU64>> {
        let sums = self.0.sums();
        (!sums.is_empty()).then(|| BitSet::new(sums, self.0.count()))
    }

    #[inline(always)]
    fn edges(&self, word: usize) -> u64 {
        self.0.edge(word).load(Relaxed)
    }

    #[inline(always)]
    pub fn lives(&self, word: usize) -> u64 {
        self.0.live(word).load(Relaxed)
    }

    #[inline(always)]
    fn put(&self, word: usize, edges: u64, lives: u64) {
        self.0.edge(word).store(edges, Relaxed);
        self.0.live(word).store(lives, Relaxed);
    }

    /// Where anything begins in a word.
    #[inline(always)]
    pub fn begins(&self, word: usize) -> u64 {
        self.edges(word) | self.lives(word)
    }

    #[inline(always)]
    pub fn what(&self, at: usize) -> What {
        let bit = |word: u64| word >> (at % 64) & 1 != 0;
        match (bit(self.edges(at / 64)), bit(self.lives(at / 64))) {
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
        let (edges, lives) = (self.edges(index), self.lives(index));
        let (edge, live) = (matches!(what, What::Live | What::Hole), matches!(what, What::Live | What::Dead));
        let (edges_now, lives_now) =
            (if edge { edges | bit } else { edges & !bit }, if live { lives | bit } else { lives & !bit });
        self.put(index, edges_now, lives_now);
        if (edges | lives == 0) != (edges_now | lives_now == 0) {
            self.sum_up(index);
        }
    }

    /// Brings the set of words in which anything begins up to date.
    #[inline(never)]
    pub fn sum_up(&self, index: usize) {
        if let Some(sums) = self.sums() {
            if self.begins(index) == 0 { sums.clear(index) } else { sums.set(index) }
        }
    }

    /// Where the next thing begins at or behind `from`; the end of the block if nothing does.
    #[inline(never)]
    pub fn next(&self, from: usize) -> usize {
        self.next_here(from)
    }

    #[inline(always)]
    fn next_here(&self, from: usize) -> usize {
        if from >= self.granules() {
            return self.granules();
        }
        let word = self.begins(from / 64) & (!0 << (from % 64));
        if word != 0 {
            return from & !63 | word.trailing_zeros() as usize;
        }
        self.next_word(from / 64)
    }

    /// The same in the words behind one. Mostly the next one tells.
    #[inline(never)]
    pub fn next_word(&self, index: usize) -> usize {
        let next = index + 1;
        if next >= self.0.count() {
            return self.granules();
        }
        let word = self.begins(next);
        if word != 0 { next * 64 + word.trailing_zeros() as usize } else { self.next_far(next) }
    }

    #[inline(never)]
    fn next_far(&self, index: usize) -> usize {
        let mut index = index + 1;
        let count = self.0.count();
        if let Some(sums) = self.sums() {
            index = sums.next(index).unwrap_or(count);
        } else {
            while index < count && self.begins(index) == 0 {
                crate::steps::count();
                index += 1;
            }
        }
        if index >= count || self.begins(index) == 0 {
            return self.granules();
        }
        index * 64 + self.begins(index).trailing_zeros() as usize
    }

    /// Where the last thing begins at or before `from`.
    #[inline(never)]
    pub fn prev(&self, from: usize) -> Option<usize> {
        let word = self.begins(from / 64) & (!0 >> (63 - from % 64));
        if word != 0 {
            return Some(from & !63 | (63 ^ word.leading_zeros() as usize));
        }
        self.prev_word(from / 64)
    }

    /// The same in the words before one.
    #[inline(never)]
    pub fn prev_word(&self, index: usize) -> Option<usize> {
        let prev = index.checked_sub(1)?;
        let word = self.begins(prev);
        if word != 0 { Some(prev * 64 + (63 ^ word.leading_zeros() as usize)) } else { self.prev_far(prev) }
    }

    #[inline(never)]
    fn prev_far(&self, index: usize) -> Option<usize> {
        let mut index = index.checked_sub(1)?;
        let mut word = self.begins(index);
        if word == 0 {
            if let Some(sums) = self.sums() {
                index = sums.prev(index)?.min(self.0.count() - 1);
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
        if at < self.granules() && self.what(at) == What::Hole { self.next(at + 1) - at } else { 0 }
    }

    /// The hole at the very end: how long it is, or 0.
    #[inline(never)]
    pub fn last_hole(&self) -> usize {
        match self.prev(self.granules() - 1) {
            Some(at) if self.what(at) == What::Hole => self.granules() - at,
            _ => 0,
        }
    }

    /// Calls `visit` with each hole that begins in a word, until it says stop.
    #[inline(always)]
    fn holes_of(&self, word: usize, mut visit: impl FnMut(usize, usize) -> bool) {
        let mut holes = self.edges(word) & !self.lives(word);
        while holes != 0 {
            let at = word * 64 + holes.trailing_zeros() as usize;
            holes &= holes - 1;
            if visit(at, self.next_here(at + 1) - at) {
                return;
            }
        }
    }

    /// The code of the longest hole that begins in a word.
    #[inline(never)]
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
        for word in 0..self.0.count() {
            self.holes_of(word, |at, length| {
                visit(at, length);
                false
            });
        }
    }

    /// Brings the byte of a word up to date.
    #[inline(never)]
    fn refresh(&self, index: usize) {
        self.replace_byte(index, self.longest_of(index));
    }

    /// A hole of this length begins in a word now, in place of shorter ones if of any.
    #[inline(never)]
    fn grown(&self, index: usize, length: usize) {
        self.raise(index, code(length));
    }

    /// The same by the hole's code.
    #[inline(always)]
    pub fn raise(&self, index: usize, code: u8) {
        if code > self.byte(index) {
            self.replace_byte(index, code);
        }
    }

    /// A hole of this length begins in a word no more.
    #[inline(never)]
    fn gone(&self, index: usize, length: usize) {
        if code(length) == self.byte(index) {
            self.refresh(index);
        }
    }

    #[inline(always)]
    fn replace_byte(&self, index: usize, new: u8) {
        let old = self.byte(index);
        self.put_byte(index, new);
        if self.0.count() > GROUP {
            self.regroup(index / GROUP, old, new);
        }
    }

    #[inline(never)]
    fn regroup(&self, number: usize, old: u8, new: u8) {
        let group = self.group_byte(number);
        if new > self.byte(group) || old == self.byte(group) {
            self.put_byte(group, greatest(self.group(number)));
        }
    }

    #[inline(always)]
    pub fn byte(&self, index: usize) -> u8 {
        (self.0.eight(index / 8).get() >> (index % 8 * 8)) as u8
    }

    #[inline(always)]
    fn put_byte(&self, index: usize, value: u8) {
        let (word, shift) = (self.0.eight(index / 8), index % 8 * 8);
        word.set(word.get() & !(0xff << shift) | (value as u64) << shift);
    }

    /// The number of a group's byte.
    pub fn group_byte(&self, group: usize) -> usize {
        eighths(self.0.count()) * 8 + group
    }

    /// The words whose bytes speak for each group of words; all in one if there are none.
    #[inline(always)]
    pub fn groups(&self) -> impl Iterator<Item = &'a [Cell<u64>]> {
        self.0.eights().get(..eighths(self.0.count())).unwrap_or(&[]).chunks(GROUP / 8)
    }

    fn group(&self, number: usize) -> &'a [Cell<u64>] {
        self.groups().nth(number).unwrap_or(&[])
    }

    /// The code of the longest hole.
    pub fn longest(&self) -> u8 {
        let (words, eights) = (self.0.count(), self.0.eights());
        greatest(if words > GROUP { eights.get(words / 8..).unwrap_or(&[]) } else { eights })
    }

    /// Makes such holes dead pieces.
    #[inline(always)]
    pub fn put_down(&self, word: usize, count: usize, holes: u64) {
        self.put(word, self.edges(word) & !holes, self.lives(word) | holes);
        self.gone(word, count);
    }

    /// Makes `count` granules of a hole a live piece; at the block's end the piece may be longer than what is left.
    #[inline(never)]
    pub fn take(&self, spot: &Spot, count: usize) {
        self.set(spot.at, What::Live);
        let (end, hole_end) = (spot.at + count, spot.hole + spot.length);
        if end < hole_end {
            self.set(end, What::Hole);
        }
        self.gone(spot.hole / 64, spot.length);
        if end < hole_end && end / 64 != spot.hole / 64 {
            self.grown(end / 64, hole_end - end);
        }
    }

    /// Gives the front of the block, a hole so far, to a piece that began before the block.
    #[inline(never)]
    pub fn cover(&self, count: usize) {
        let length = self.hole_at(0);
        self.set(0, What::Nothing);
        if count < length {
            self.set(count, What::Hole);
            self.refresh(count / 64);
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
            self.grown((end + count) / 64, length - count);
        }
        self.gone(end / 64, length);
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
        at < self.granules() && self.what(at) == What::Hole
    }

    /// Makes the granules `from..to` free, whatever begins or goes on at `from`, and merges them with their neighbours:
    /// the hole that ends there begins at `before`. Where the new hole begins, and its length.
    pub fn give(&self, from: usize, to: usize, before: Option<usize>) -> (usize, usize) {
        let (start, mut end) = (before.unwrap_or(from), to);
        if self.hole_behind(to) {
            end = self.next(to + 1);
            self.set(to, What::Nothing);
            if to / 64 != start / 64 {
                self.gone(to / 64, end - to);
            }
        }
        self.set(from, if before.is_some() { What::Nothing } else { What::Hole });
        self.grown(start / 64, end - start);
        (start, end - start)
    }

    /// Do the bytes and the set say what they should?
    #[inline(never)]
    pub fn consistent(&self) -> bool {
        let (words, sums) = (self.0.count(), self.sums());
        let groups = if words > GROUP { words.div_ceil(GROUP) } else { 0 };
        let after = words..words.next_multiple_of(8);
        let behind = self.group_byte(groups)..self.0.eights().len() * 8;
        (0..words).all(|word| {
            self.byte(word) == self.longest_of(word)
                && sums.is_none_or(|sums| sums.get(word) == (self.begins(word) != 0))
        }) && after.chain(behind).all(|unused| self.byte(unused) == 0)
            && (0..groups).all(|group| self.byte(self.group_byte(group)) == greatest(self.group(group)))
            && sums.is_none_or(|sums| sums.consistent())
    }
}
