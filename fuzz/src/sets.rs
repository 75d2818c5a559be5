//! The targets `bitmap` and `buddy`: bit sets, buddies and flat blocks against vectors of booleans.
//! May know: bitmap, buddy, word, flat.

use crate::bitmap::{BitSet, words_for};
use crate::buddy::{Buddy, buddy_words};
use crate::bytes::Bytes;
use crate::cell::Cell;
use crate::flat::{Flat, What, Words, code, longest_words, sum_words};
use crate::lengths::units_of;
use crate::word::{WORD_UNITS, Word};
use std::sync::atomic::AtomicU64;

fn zeros(words: usize) -> Vec<Cell<u64>> {
    (0..words).map(|_| Cell::new(0)).collect()
}

pub fn bitmap(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let bits = match bytes.below(4) {
        0 => bytes.below(64) + 1,
        1 => bytes.below(300) + 1,
        2 => bytes.below(5000) + 1,
        _ => 4096 + bytes.below(10000),
    };
    let words = zeros(words_for(bits));
    let set = BitSet::new(&words, bits);
    let mut model = vec![false; bits];
    for _ in 0..300 {
        if bytes.is_empty() {
            break;
        }
        match bytes.below(8) {
            0 | 1 => {
                let bit = bytes.below(bits);
                set.set(bit);
                model[bit] = true;
            }
            2 => {
                let bit = bytes.below(bits);
                set.clear(bit);
                model[bit] = false;
            }
            3 => {
                let (from, count, value) = (bytes.below(bits), bytes.below(200), bytes.flag());
                for bit in from..(from + count).min(bits) {
                    if value {
                        set.set(bit)
                    } else {
                        set.clear(bit)
                    }
                    model[bit] = value;
                }
            }
            4 => {
                let from = bytes.below(bits + 100);
                assert_eq!(set.next(from), (from..bits).find(|&bit| model[bit]), "next from {from} of {bits}");
            }
            5 => {
                let bit = bytes.below(bits + 100);
                assert_eq!(set.get(bit), model.get(bit).copied().unwrap_or(false));
            }
            6 => {
                let (count, end, beyond) =
                    (bytes.below(200) + 1, bytes.below(bits) + 1, bytes.below(3) * bytes.below(99));
                let mut steps = 0;
                let found = set.find_run(count, end, beyond, || steps += 1);
                assert_eq!(found, run(&model, count, end, beyond), "run of {count} below {end} and {beyond} of {bits}");
                assert!(steps <= end.div_ceil(64));
            }
            _ => {
                // One wrong bit above level 0, or behind the end, is noticed.
                let word = bytes.below(words.len());
                let bit = bytes.below(64);
                let old = words[word].get();
                words[word].set(old ^ 1 << bit);
                let lowest = word < bits.div_ceil(64);
                if !lowest || word * 64 + bit >= bits {
                    assert!(!set.consistent(), "word {word} bit {bit} of {bits}");
                }
                // Whatever is wrong, an answer is a bit of the set or nothing.
                assert!(set.next(bytes.below(bits)).is_none_or(|bit| bit < bits));
                words[word].set(old);
            }
        }
        assert!(set.consistent());
    }
    for (bit, &value) in model.iter().enumerate() {
        assert_eq!(set.get(bit), value);
    }
}

/// The first place where `count` bits are set; those from `end` to `end + beyond` are.
fn run(model: &[bool], count: usize, end: usize, beyond: usize) -> Option<usize> {
    let mut have = 0;
    let bits = model[..end].iter().copied().chain(std::iter::repeat_n(true, beyond));
    for (bit, is_set) in bits.enumerate() {
        have = if is_set { have + 1 } else { 0 };
        if have == count {
            return Some(bit + 1 - count);
        }
    }
    None
}

/// Free runs of a buddy: the largest aligned ones, lowest first: (start, order).
fn runs(free: &[bool]) -> Vec<(usize, u32)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < free.len() {
        let mut order = None;
        for k in 0..=free.len().trailing_zeros() {
            let length = 1 << k;
            if at % length == 0 && free[at..at + length].iter().all(|&free| free) {
                order = Some(k);
            } else {
                break;
            }
        }
        match order {
            Some(order) => {
                found.push((at, order));
                at += 1 << order;
            }
            None => at += 1,
        }
    }
    found
}

/// Where a word takes a run of some length: at the lowest place whose power of two is not free as a whole, else where that would be.
fn tight(free: &[bool], length: usize) -> Option<usize> {
    let power = length.next_power_of_two();
    let all = |from: usize, to: usize| to <= free.len() && free[from..to].iter().all(|&free| free);
    let starts = (0..free.len()).step_by(power);
    starts.filter(|&at| all(at, at + length) && !all(at, at + power)).min().or_else(|| {
        let fitting = runs(free).into_iter().filter(|run| 1 << run.1 >= power);
        fitting.min_by_key(|run| (run.1, run.0)).map(|run| run.0)
    })
}

pub fn buddy(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    if bytes.flag() {
        return flat(&mut bytes);
    }
    let units = 1usize << bytes.below(10);
    let words = zeros(buddy_words(units));
    words.iter().for_each(|word| word.set(0x5555_aaaa_1234_ffff));
    let buddy = Buddy::init(&words, units);
    // Small blocks also in one word: it has to answer alike.
    let bits = Cell::new(!0);
    let word = (units <= WORD_UNITS).then(|| Word::new(&bits, units));
    if let Some(word) = word {
        word.init();
    }
    let mut free = vec![true; units];
    for _ in 0..300 {
        if bytes.is_empty() {
            break;
        }
        let (from, to) = stretch(&mut bytes, units);
        match bytes.below(7) {
            6 if word.is_some() => {
                let length = units_of(bytes.below(14) as u32);
                let expected = tight(&free, length);
                assert_eq!(word.and_then(|word| word.alloc(length)), expected, "a run of {length} units");
                if let Some(start) = expected {
                    free[start..start + length].fill(false);
                    assert!(buddy.take_range(start, start + length));
                }
            }
            0 | 1 => {
                let order = bytes.below(units.trailing_zeros() as usize + 2) as u32;
                let fitting = runs(&free).into_iter().filter(|run| run.1 >= order);
                let expected = fitting.min_by_key(|run| (run.1, run.0)).map(|run| run.0);
                let got = buddy.alloc(order);
                assert_eq!(got, expected, "a run of order {order}");
                if let Some(word) = word {
                    assert_eq!(word.alloc(1 << order), expected, "a run of order {order} in a word");
                }
                if let Some(start) = got {
                    free[start..start + (1 << order)].fill(false);
                }
            }
            2 => {
                if free[from..to].iter().all(|&free| !free) {
                    buddy.free_range(from, to);
                    if let Some(word) = word {
                        word.free_range(from, to);
                    }
                    free[from..to].fill(true);
                }
            }
            3 => {
                let order = bytes.below(units.trailing_zeros() as usize + 1) as u32;
                let start = from >> order << order;
                if free[start..start + (1 << order)].iter().all(|&free| !free) {
                    let became = buddy.free(start, order);
                    if let Some(word) = word {
                        word.free_range(start, start + (1 << order));
                    }
                    free[start..start + (1 << order)].fill(true);
                    assert!(runs(&free).iter().any(|&(at, k)| k == became && at <= start && start < at + (1 << k)));
                }
            }
            4 => {
                let can = free[from..to].iter().all(|&free| free);
                assert_eq!(buddy.is_free(from, to), can);
                assert_eq!(buddy.take_range(from, to), can, "units {from} to {to}");
                if let Some(word) = word {
                    assert_eq!(word.is_free(from, to), can);
                    assert_eq!(word.take_range(from, to), can, "units {from} to {to} in a word");
                }
                if can {
                    free[from..to].fill(false);
                }
            }
            _ => {
                let expected = runs(&free).into_iter().find(|run| run.0 <= from && from < run.0 + (1 << run.1));
                assert_eq!(buddy.free_run_at(from), expected);
                assert_eq!(buddy.free_run_at(units + to), None);
                assert!(!buddy.take_range(from, units + 1 + to));
            }
        }
        assert!(buddy.consistent());
        assert_eq!(buddy.free_units(), free.iter().filter(|&&free| free).count());
        assert_eq!(buddy.largest(), runs(&free).iter().map(|run| run.1).max());
        if let Some(word) = word {
            assert!(word.consistent());
            assert_eq!(word.free_units(), buddy.free_units());
            let fits = |length: usize| {
                let starts = (0..units).step_by(length.next_power_of_two());
                starts.filter(|&at| at + length <= units).any(|at| free[at..at + length].iter().all(|&free| free))
            };
            assert_eq!(word.largest().map(units_of), (0..14).map(units_of).filter(|&length| fits(length)).max());
        }
    }
}

/// Holes of a flat block: (start, end).
fn holes(free: &[bool]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for at in (0..free.len()).filter(|&at| free[at]) {
        match found.last_mut() {
            Some(last) if last.1 == at => last.1 = at + 1,
            _ => found.push((at, at + 1)),
        }
    }
    found
}

/// The words of a flat block in memory of its own.
struct Block {
    edges: Vec<AtomicU64>,
    lives: Vec<AtomicU64>,
    sums: Vec<AtomicU64>,
    longest: Vec<Cell<u64>>,
}

impl<'a> Words<'a> for &'a Block {
    fn granules(self) -> usize {
        self.edges.len() * 64
    }

    fn count(self) -> usize {
        self.edges.len()
    }

    fn edge(self, word: usize) -> &'a AtomicU64 {
        &self.edges[word]
    }

    fn live(self, word: usize) -> &'a AtomicU64 {
        &self.lives[word]
    }

    fn eight(self, number: usize) -> &'a Cell<u64> {
        &self.longest[number]
    }

    fn eights(self) -> &'a [Cell<u64>] {
        &self.longest
    }

    fn sums(self) -> &'a [AtomicU64] {
        &self.sums
    }
}

/// The map of a PACKED block: pieces, one number each, and holes.
fn flat(bytes: &mut Bytes<'_>) {
    let granules = 64usize << bytes.below(8);
    let words = granules / 64;
    let garbage = |count: usize| (0..count).map(|_| AtomicU64::new(0x5555_aaaa_1234_ffff)).collect::<Vec<_>>();
    let block = Block {
        edges: garbage(words),
        lives: garbage(words),
        sums: garbage(sum_words(words)),
        longest: zeros(longest_words(words)),
    };
    let flat = Flat(&block);
    flat.init();
    let mut pieces: Vec<(usize, usize, bool)> = Vec::new();
    for _ in 0..200 {
        if bytes.is_empty() {
            break;
        }
        let mut free = vec![true; granules];
        pieces.iter().for_each(|&(from, to, _)| free[from..to].fill(false));
        match bytes.below(4) {
            0 | 1 => {
                let (from, to) = stretch(bytes, granules);
                let (count, align) = (to - from, 1usize << bytes.below(7));
                let serves = |hole: &(usize, usize)| hole.0.next_multiple_of(align) + count <= hole.1;
                let spot = flat.find(count, align, count.is_multiple_of(2), usize::MAX);
                assert_eq!(spot.is_some(), holes(&free).iter().any(serves), "{count} granules at a multiple of {align}");
                if let Some(spot) = spot {
                    assert!(holes(&free).contains(&(spot.hole, spot.hole + spot.length)));
                    assert_eq!(spot.at, spot.hole.next_multiple_of(align));
                    assert!(spot.at + count <= spot.hole + spot.length);
                    flat.take(&spot, count);
                    pieces.push((spot.at, spot.at + count, true));
                }
            }
            2 if !pieces.is_empty() => {
                let (from, to, _) = pieces.swap_remove(bytes.below(pieces.len()));
                let before = flat.hole_before(from);
                let (start, length) = flat.give(from, to, before);
                assert!(start <= from && length >= to - start && flat.hole_at(start) == length);
            }
            _ if !pieces.is_empty() => {
                let at = bytes.below(pieces.len());
                let (from, to, live) = &mut pieces[at];
                if bytes.below(2) == 0 {
                    *live = !*live;
                    flat.set(*from, if *live { What::Live } else { What::Dead });
                } else {
                    let count = 1 + bytes.below(40);
                    let can = *to + count <= granules && free[*to..*to + count].iter().all(|&free| free);
                    if *to < granules {
                        assert_eq!(flat.extend(*to, count), can);
                    }
                    *to += if can { count } else { 0 };
                }
            }
            _ => {}
        }
        assert!(flat.consistent());
        let mut free = vec![true; granules];
        pieces.iter().for_each(|&(from, to, _)| free[from..to].fill(false));
        let mut found = Vec::new();
        flat.holes(&mut |at, length| found.push((at, at + length)));
        assert_eq!(found, holes(&free));
        assert_eq!(flat.longest(), found.iter().map(|hole| code(hole.1 - hole.0)).max().unwrap_or(0));
        for &(from, to, live) in &pieces {
            assert_eq!((flat.what(from), flat.next(from + 1)), (if live { What::Live } else { What::Dead }, to));
            assert_eq!(flat.prev(to - 1), Some(from));
        }
    }
}

/// Some units: from, and an end behind it.
fn stretch(bytes: &mut Bytes<'_>, units: usize) -> (usize, usize) {
    let from = bytes.below(units);
    (from, from + 1 + bytes.below(units - from))
}
