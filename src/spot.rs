//! Where in a PACKED block a piece could lie: the search.
//!
//! It reads the bytes that say how long the longest hole of each word is, many at a time, and looks into a few of the
//! words of which that says that they may serve.
//!
//! Cost: one step for each word that is looked into; a byte for each word is read.
//! Invariant: if a hole serves, one is found.
//! May know: flat, sixteen, steps. Plain arithmetic.

use crate::cell::Cell;
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
    ///
    /// Only holes shorter than `least` are of use, so no other are looked for, nor such as lie in a word with a longer one.
    #[inline(always)]
    pub fn find(&self, count: usize, align: usize, quick: bool, least: usize) -> Option<Spot> {
        let (hole, length) = if self.0.count() <= GROUP {
            self.look(self.0.eights(), 0, count, align, quick, least)
        } else {
            self.find_in_groups(count, align, quick, least)
        };
        (length < least).then(|| Spot { hole, length, at: place(hole, align) })
    }

    /// The same where the words are in groups; as a hole and its length, `least` if none serves.
    #[inline(never)]
    fn find_in_groups(&self, count: usize, align: usize, quick: bool, least: usize) -> (usize, usize) {
        let want = code(count);
        for (group, bytes) in self.groups().enumerate() {
            if self.byte(self.group_byte(group)) >= want {
                let found = self.look(bytes, group * GROUP, count, align, quick, least);
                if found.1 < least {
                    return found;
                }
            }
        }
        (0, least)
    }

    /// The same in one group, for whose words from `first` on these bytes speak.
    #[inline(never)]
    fn look(
        &self,
        bytes: &[Cell<u64>],
        first: usize,
        count: usize,
        align: usize,
        quick: bool,
        least: usize,
    ) -> (usize, usize) {
        let (want, few) = (code(count), quick && count <= FEW);
        let limit = if least < usize::MAX { code(least).max(want) } else { u8::MAX };
        let mut left = if few { VISITS[1] } else { VISITS[0] };
        let mut best = (0, least);
        // First only the words whose longest hole is just as long.
        let mut exact = count < EXACT && !few;
        loop {
            let (mut word, mut any) = (first, 0);
            for part in bytes.chunks(STRIDE) {
                let (serve, equal) = marks(part, want, limit);
                any |= serve;
                let mut found = if exact { equal } else { serve };
                while found != 0 {
                    crate::steps::count();
                    let spot = self.find_in(word + found.trailing_zeros() as usize, count, align, quick, best.1);
                    found &= found - 1;
                    if spot.1 < best.1 {
                        best = spot;
                    }
                    left -= !exact as i32;
                    if best.1 < least && (left <= 0 || best.1 == count || (quick && divides(count, best.1))) {
                        return best;
                    }
                }
                word += 64;
            }
            if !exact || any == 0 {
                return best;
            }
            exact = false;
        }
    }

    /// The shortest hole that begins in a word, serves, and is shorter than `least`; and its length, usize::MAX if there is none.
    #[inline(never)]
    fn find_in(&self, word: usize, count: usize, align: usize, quick: bool, least: usize) -> (usize, usize) {
        let mut best = (0, usize::MAX);
        if word >= self.0.count() {
            return best;
        }
        let begins = self.begins(word);
        let mut holes = long_enough(begins, begins & !self.lives(word), count);
        // If only one may be long enough it is the longest.
        let mut longest = EXACT;
        if holes & holes.wrapping_sub(1) == 0 {
            longest = self.byte(word) as usize;
            if least < usize::MAX && longest > code(least) as usize {
                return best;
            }
        }
        while holes != 0 {
            let bit = holes.trailing_zeros();
            let behind = begins & (!1 << bit);
            holes &= holes - 1;
            let hole = word * 64 + bit as usize;
            let end = if behind != 0 {
                word * 64 + behind.trailing_zeros() as usize
            } else if longest < EXACT {
                // A damaged byte must not lead out of the block.
                (hole + longest).min(self.granules())
            } else {
                self.next_word(word)
            };
            let length = end - hole;
            if length < best.1 && place(hole, align) + count <= end {
                best = (hole, length);
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

/// The first multiple of `align` from a granule on.
#[inline(always)]
fn place(hole: usize, align: usize) -> usize {
    (hole + align - 1) & !(align - 1)
}

/// Do a few pieces of `count` granules fill a hole of this length?
#[inline(always)]
pub fn divides(count: usize, length: usize) -> bool {
    length == count || length == 2 * count || length == 3 * count || length == 4 * count
}

/// Of the holes of a word those in whose first `count` granules nothing else begins, as far as the word reaches.
#[inline(always)]
fn long_enough(begins: u64, holes: u64, count: usize) -> u64 {
    if count >= 64 {
        // The last thing that begins in the word.
        return holes & (1u64 << 63).wrapping_shr(begins.leading_zeros());
    }
    // Bit i: something begins in the `have` granules behind i.
    let (mut near, mut have) = (begins >> 1, 1);
    let want = count - 1;
    while 2 * have <= want {
        near |= near >> have;
        have *= 2;
    }
    if want > have {
        near |= near >> (want - have);
    }
    if want > 0 { holes & !near } else { holes }
}
