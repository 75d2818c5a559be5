//! The map of a PACKED block against an array that says for each granule what it is: every state of small blocks,
//! every operation; long blocks at random, across words and groups.
//! May know: flat, spot, steps.

use super::Rng;
use crate::cell::Cell;
use crate::flat::*;
use crate::spot::divides;
use crate::steps;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A block in memory of its own.
pub(super) struct Block {
    edges: Vec<AtomicU64>,
    lives: Vec<AtomicU64>,
    sums: Vec<AtomicU64>,
    longest: Vec<Cell<u64>>,
    granules: usize,
}

fn garbage(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0xdead_beef_1234_5678)).collect()
}

impl Block {
    pub(super) fn new(granules: usize) -> Block {
        let words = granules.div_ceil(64);
        let block = Block {
            edges: garbage(words),
            lives: garbage(words),
            sums: garbage(sum_words(words)),
            longest: (0..longest_words(words)).map(|_| Cell::new(77)).collect(),
            granules,
        };
        block.flat().init();
        block
    }

    pub(super) fn flat(&self) -> Flat<&Block> {
        Flat(self)
    }
}

impl<'a> Words<'a> for &'a Block {
    fn granules(self) -> usize {
        self.granules
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

/// One number a granule: 0 free, else the number of the piece that has it.
type Array = Vec<u32>;

fn holes(array: &Array) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < array.len() {
        let end = (at..array.len()).find(|&other| array[other] != array[at]).unwrap_or(array.len());
        if array[at] == 0 {
            found.push((at, end));
        }
        at = end;
    }
    found
}

/// The two ways to give take turns.
fn give(flat: &Flat<&Block>, from: usize, to: usize) {
    let before = flat.hole_before(from);
    let (start, length) = flat.give(from, to, before);
    assert!(start <= from && length >= to - start);
    assert_eq!(flat.hole_at(start), length);
}

fn assert_same(flat: &Flat<&Block>, array: &Array) {
    assert!(flat.consistent(), "{array:?}");
    let expected = holes(array);
    let mut found = Vec::new();
    flat.holes(&mut |at, length| found.push((at, at + length)));
    assert_eq!(found, expected);
    let longest = expected.iter().map(|(from, to)| to - from).max().unwrap_or(0);
    assert_eq!(flat.longest(), code(longest));
    let last = expected.last().map_or(0, |&(from, to)| if to == array.len() { to - from } else { 0 });
    assert_eq!(flat.last_hole(), last);
}

/// Where something begins, by the array: every change of number. (No piece has a neighbour of its own number.)
fn assert_bounds(flat: &Flat<&Block>, array: &Array) {
    let begins = |at: usize| at == 0 || array[at] != array[at - 1];
    let mut prev = None;
    for at in 0..array.len() {
        if begins(at) {
            prev = Some(at);
            assert_eq!(flat.what(at) == What::Hole, array[at] == 0, "{at} of {array:?}");
        } else {
            assert_eq!(flat.what(at), What::Nothing);
        }
        assert_eq!(flat.prev(at), prev, "{at} of {array:?}");
        let next = (at..array.len()).find(|&other| begins(other)).unwrap_or(array.len());
        assert_eq!(flat.next(at), next, "{at} of {array:?}");
    }
}

/// Is the spot one that serves? There has to be one if any hole serves.
fn assert_right(flat: &Flat<&Block>, array: &Array, count: usize, align: usize) -> Option<Spot> {
    let serves = |from: usize, to: usize| from.next_multiple_of(align) + count <= to;
    // In turn by the number: what is quick may be longer than the best.
    let quick = count.is_multiple_of(2);
    let spot = flat.find(count, align, quick, usize::MAX);
    let best = holes(array).into_iter().filter(|&(from, to)| serves(from, to)).map(|(from, to)| to - from).min();
    assert_eq!(spot.is_some(), best.is_some(), "{count} at {align} in {array:?}");
    if let Some(spot) = spot {
        assert!(holes(array).contains(&(spot.hole, spot.hole + spot.length)));
        assert!(spot.at >= spot.hole && spot.at % align == 0 && spot.at + count <= spot.hole + spot.length);
        assert_eq!(spot.at, spot.hole.next_multiple_of(align));
        if array.len() <= if quick { 256 } else { 512 } {
            let good = Some(spot.length) == best || (quick && divides(count, spot.length));
            assert!(good, "of a few words the best, or one that is filled: {count} in {spot:?} of {array:?}");
        }
    }
    spot
}

#[test]
fn every_operation_on_every_state_of_a_small_block_agrees_with_an_array() {
    let granules = if cfg!(miri) { 5 } else { 9usize };
    let block = Block::new(granules);
    let flat = block.flat();
    for state in 0..1u32 << granules {
        // Every second granule that is taken begins a piece of its own.
        let array: Array = (0..granules).map(|at| (state >> at & 1) * (1 + at as u32 / 2)).collect();
        let make = || {
            flat.init();
            let (mut at, mut hole) = (0, 0);
            while at < granules {
                let end = (at..granules).find(|&other| array[other] != array[at]).unwrap_or(granules);
                if array[at] != 0 {
                    flat.take(&Spot { hole, length: granules - hole, at }, end - at);
                    assert_eq!(flat.what(at), What::Live);
                    hole = end;
                }
                at = end;
            }
        };
        make();
        assert_same(&flat, &array);
        assert_bounds(&flat, &array);
        for count in 1..=granules + 1 {
            for align in [1, 2, 4] {
                make();
                if let Some(spot) = assert_right(&flat, &array, count, align) {
                    let mut after = array.clone();
                    flat.take(&spot, count);
                    after[spot.at..spot.at + count].fill(99);
                    assert_same(&flat, &after);
                    assert_bounds(&flat, &after);
                    give(&flat, spot.at, spot.at + count);
                    assert_same(&flat, &array);
                    assert_bounds(&flat, &array);
                }
            }
        }
        for count in 1..granules {
            make();
            // Such holes end where something begins: not at the block's end.
            let equal = |&(from, to): &(usize, usize)| from > 0 && to - from == count && to < granules;
            let holes: Vec<_> = holes(&array).into_iter().filter(equal).collect();
            let bits = holes.iter().fold(0u64, |bits, &(from, _)| bits | 1 << from);
            assert_eq!(flat.equals_in(0, count), bits, "{count} of {array:?}");
            flat.put_down(0, count, bits);
            let mut after = array.clone();
            for (number, &(from, to)) in holes.iter().enumerate() {
                assert_eq!(flat.what(from), What::Dead);
                after[from..to].fill(100 + number as u32);
            }
            assert_same(&flat, &after);
        }
        for end in 1..granules {
            for count in 1..=granules - end {
                make();
                let mut after = array.clone();
                let possible = array[end..end + count].iter().all(|&each| each == 0) && array[end - 1] != 0;
                if array[end - 1] != 0 && flat.what(end) != What::Nothing {
                    assert_eq!(flat.extend(end, count), possible);
                    if possible {
                        after[end..end + count].fill(array[end - 1]);
                    }
                    assert_same(&flat, &after);
                }
            }
        }
        for count in 1..=granules {
            make();
            if array[..count].iter().all(|&each| each == 0) {
                flat.cover(count);
                let mut after = array.clone();
                after[..count].fill(99);
                assert_same(&flat, &after);
                assert_eq!((flat.what(0), flat.prev(0), flat.next(0)), (What::Nothing, None, flat.next(count)));
                give(&flat, 0, count);
                assert_same(&flat, &array);
                assert_bounds(&flat, &array);
            }
        }
    }
}

#[test]
fn long_blocks_agree_with_an_array_across_words() {
    let mut rng = Rng::new(41);
    for granules in [64usize, 128, 512, 1024, 8192, 1 << 16, 1 << 17] {
        if cfg!(miri) && granules > 512 {
            continue;
        }
        let block = Block::new(granules);
        let flat = block.flat();
        let mut array: Array = vec![0; granules];
        let mut used: Vec<(usize, usize)> = Vec::new();
        let rounds = if cfg!(miri) { 40 } else { 1_000_000 / granules.max(300) };
        for round in 0..rounds as u32 {
            if rng.chance(2) || used.is_empty() {
                let (count, align) = (rng.log(granules), 1 << rng.below(4));
                if let Some(spot) = assert_right(&flat, &array, count, align) {
                    flat.take(&spot, count);
                    array[spot.at..spot.at + count].fill(round + 1);
                    used.push((spot.at, spot.at + count));
                }
            } else {
                let (from, to) = used.swap_remove(rng.below(used.len()));
                give(&flat, from, to);
                array[from..to].fill(0);
            }
            assert_same(&flat, &array);
            if round % 8 == 0 {
                assert_bounds(&flat, &array);
            }
        }
        for (from, to) in used {
            give(&flat, from, to);
        }
        assert_eq!(flat.hole_at(0), granules, "all freed: one hole");
        assert!(flat.hole_at(granules) == 0 && !flat.hole_behind(granules), "nothing begins behind the block");
    }
}

/// Holes come and go in all words of two groups, and their neighbours stay.
#[test]
#[cfg_attr(miri, ignore)]
fn groups_say_what_the_longest_hole_of_their_words_is() {
    let (granules, mut rng) = (128 * GROUP, Rng::new(43));
    let block = Block::new(granules);
    let flat = block.flat();
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < granules {
        let end = (at + rng.log(4000)).min(granules);
        flat.take(&Spot { hole: at, length: granules - at, at }, end - at);
        pieces.push((at, end));
        at = end;
    }
    // Never two neighbours at a time: each hole is as long as its piece was.
    let mut longest = 0;
    for at in (0..pieces.len()).step_by(2) {
        let (from, to) = pieces[at];
        give(&flat, from, to);
        longest = longest.max(to - from);
        assert!(flat.consistent(), "{from}..{to} is free");
        assert_eq!(flat.longest(), code(longest));
        if rng.chance(2) {
            flat.take(&Spot { hole: from, length: to - from, at: from }, to - from);
            longest = 0;
            flat.holes(&mut |_, length| longest = longest.max(length));
            assert!(flat.consistent(), "{from}..{to} is taken again");
            assert_eq!(flat.longest(), code(longest));
        }
    }
    assert!(pieces.len() > 50);
}

#[test]
fn what_waits_is_neither_live_nor_free() {
    let block = Block::new(256);
    let flat = block.flat();
    for (at, end) in [(0, 10), (10, 20), (20, 256)] {
        flat.take(&Spot { hole: at, length: 256 - at, at }, end - at);
    }
    block.edges[0].fetch_and(!(1 << 10), Relaxed);
    assert_eq!(flat.what(10), What::Dead);
    give(&flat, 0, 10);
    assert_eq!((flat.hole_at(0), flat.what(10), flat.next(11)), (10, What::Dead, 20));
    assert_eq!(flat.find(11, 1, false, usize::MAX), None, "a dead piece is no hole");
    give(&flat, 10, 20);
    assert_eq!(flat.hole_at(0), 20);
}

#[test]
fn codes_are_exact_for_short_lengths_and_then_four_a_doubling() {
    for length in 1..1usize << 20 {
        assert!(code(length) >= code(length - 1));
        assert!(length >= 128 || code(length) as usize == length);
    }
    let mut next = 128;
    for log in 7..31 {
        for quarter in 4..8usize {
            let least = quarter << (log - 2);
            assert_eq!((code(least - 1), code(least)), (next - 1, next), "{least}");
            next += 1;
        }
    }
    assert!(code(1 << 27) < u8::MAX);
}

#[test]
fn blocks_have_words_of_their_map_as_they_are_long() {
    assert_eq!([0, 1, 8].map(sum_words), [0, 0, 0], "short blocks have no set");
    assert_eq!([9, 64].map(sum_words), [1, 1]);
    assert_eq!([1, 8, 9, GROUP].map(longest_words), [1, 1, 2, GROUP / 8], "a byte for each word");
    assert_eq!([GROUP + 1, 8 * GROUP, 8 * GROUP + 1].map(longest_words), [GROUP / 8 + 2, GROUP + 1, GROUP + 3]);
}

#[test]
fn what_begins_far_away_is_found_in_a_few_steps_however_long_the_block_is() {
    for granules in [1usize << 10, 1 << 17, 1 << 20] {
        if cfg!(miri) && granules > 1 << 10 {
            continue;
        }
        let block = Block::new(granules);
        let flat = block.flat();
        flat.take(&Spot { hole: 0, length: granules, at: 0 }, granules - 1);
        steps::take();
        assert_eq!((flat.next(1), flat.prev(granules - 2)), (granules - 1, Some(0)));
        assert!((1..=20).contains(&steps::take()), "{granules} granules");
    }
}

#[test]
fn damage_is_seen() {
    for granules in [128usize, 1024, 128 * GROUP] {
        if cfg!(miri) && granules > 1024 {
            continue;
        }
        let block = Block::new(granules);
        let flat = block.flat();
        flat.take(&Spot { hole: 0, length: granules, at: 0 }, 30);
        assert!(flat.consistent());
        // The bytes of words and of groups, and those that nobody needs.
        let count = block.longest.len();
        for byte in block.longest[..2.min(count)].iter().chain(&block.longest[count.saturating_sub(2)..]) {
            for bit in (0..64).step_by(8) {
                let old = byte.replace(byte.get() ^ 1 << bit);
                assert!(!flat.consistent(), "{granules} granules, bit {bit}");
                byte.set(old);
            }
        }
        for word in block.sums.iter().take(3) {
            let old = word.load(Relaxed);
            word.store(old ^ 1, Relaxed);
            assert!(!flat.consistent());
            word.store(old, Relaxed);
        }
        assert!(flat.consistent());
    }
}
