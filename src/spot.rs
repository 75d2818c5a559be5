//! Where in a PACKED block a piece could lie: the search.
//!
//! It reads the bytes that say how long the longest hole of each word is, many at a time, and looks into a few of the
//! words of which that says that they may serve.
//!
//! Cost: one step for each word that is looked into; a byte for each word is read.
//! Invariant: if a hole serves, one is found.
//! May know: flat, sixteen, steps. Plain arithmetic.

use crate::flat::{EXACT, Flat, GROUP, Spot, Words, code};
use crate::sixteen::{STRIDE, marks};

/// Words that a search visits for a shorter hole: pieces of a few granules are many, and find one soon.
const VISITS: [i32; 2] = [4, 2];
const FEW: usize = 16;

impl<'a, W: Words<'a>> Flat<W> {
    /// A good hole for `count` granules that begin at a multiple of `align`, a power of two: the first word whose longest
    /// hole is just as long; else the shortest that serves in the first few words that have any. `quick`: the first that a few
    /// such pieces fill will do, and for small pieces, for which caches keep holes that are just as long, it looks at fewer words
    /// and for no such hole further on.
    #[inline(never)]
    pub fn find(&self, count: usize, align: usize, quick: bool) -> Option<Spot> {
        let want = code(count);
        for group in 0..self.0.count().div_ceil(GROUP) {
            if self.0.count() > GROUP && self.byte(self.group_byte(group)) < want {
                continue;
            }
            let further = count < EXACT && !(quick && count <= FEW);
            let equal = if further { self.look(group, count, align, quick, true) } else { None };
            let best = equal.or_else(|| self.look(group, count, align, quick, false));
            if best.is_some() {
                return best;
            }
        }
        None
    }

    /// The shortest hole that serves in the first few words of a group that have any; `exact`: the first that is the longest
    /// of its word and just as long.
    #[inline(never)]
    fn look(&self, group: usize, count: usize, align: usize, quick: bool, exact: bool) -> Option<Spot> {
        let mut best: Option<Spot> = None;
        let [many, few] = VISITS;
        let mut left = if quick && count <= FEW { few } else { many };
        let want = code(count);
        for (number, words) in self.group(group).chunks(STRIDE).enumerate() {
            let mut found = if exact {
                marks(words, |bytes| bytes.equal(want))
            } else {
                marks(words, |bytes| bytes.at_least(want))
            };
            while found != 0 {
                crate::steps::count();
                let at = group * GROUP + number * 64 + found.trailing_zeros() as usize;
                found &= found - 1;
                let spot = self.find_in(at, count, align, quick);
                if exact {
                    if spot.is_some_and(|spot| spot.length == count) {
                        return spot;
                    }
                    continue;
                }
                if let Some(spot) = spot
                    && best.is_none_or(|best| spot.length < best.length)
                {
                    best = Some(spot);
                }
                left -= 1;
                let good = |best: Spot| best.length == count || (quick && divides(count, best.length));
                if best.is_some_and(|best| left <= 0 || good(best)) {
                    return best;
                }
            }
        }
        best
    }

    /// The shortest hole that begins in a word and serves.
    #[inline(never)]
    fn find_in(&self, word: usize, count: usize, align: usize, quick: bool) -> Option<Spot> {
        if word >= self.0.count() {
            return None;
        }
        let (begins, lives) = (self.begins(word), self.lives(word));
        let mut holes = long_enough(begins, begins & !lives, count);
        let (mut best, mut least) = (None, usize::MAX);
        while holes != 0 {
            let bit = holes.trailing_zeros();
            let behind = begins & (!1 << bit);
            holes &= holes - 1;
            let hole = word * 64 + bit as usize;
            let end = if behind != 0 { word * 64 + behind.trailing_zeros() as usize } else { self.next_word(word) };
            let (length, at) = (end - hole, (hole + align - 1) & !(align - 1));
            if length < least && at + count <= end {
                (best, least) = (Some(Spot { hole, length, at }), length);
                if length == count || (quick && divides(count, length)) {
                    break;
                }
            }
        }
        best
    }

    /// The holes of exactly this length, fewer than 64, that begin and end in a word, as bits; not one at the block's front.
    #[inline(always)]
    pub fn equals_in(&self, word: usize, count: usize) -> u64 {
        let begins = self.begins(word);
        let holes = begins & !self.lives(word) & !((word == 0) as u64);
        long_enough(begins, holes, count) & begins >> count
    }
}

/// Do a few pieces of `count` granules fill a hole of this length?
#[inline(always)]
pub fn divides(count: usize, length: usize) -> bool {
    length == count || length == 2 * count || length == 3 * count || length == 4 * count
}

/// Of the holes of a word those in whose first `count` granules nothing else begins, as far as the word reaches.
#[inline(always)]
fn long_enough(begins: u64, holes: u64, count: usize) -> u64 {
    // Bit i: something begins in the `have` granules behind i.
    let (mut near, mut have) = (begins >> 1, 1);
    let want = count.min(64) - 1;
    while 2 * have <= want {
        near |= near >> have;
        have *= 2;
    }
    if want > have {
        near |= near >> (want - have);
    }
    if want > 0 { holes & !near } else { holes }
}
