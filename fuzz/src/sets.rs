//! The targets `bitmap` and `buddy`: bit sets, buddies and flat blocks against vectors of booleans.
//! May know: bitmap, buddy, flat.

use crate::bitmap::{BitSet, words_for};
use crate::buddy::{Buddy, buddy_words};
use crate::bytes::Bytes;
use crate::flat::{Flat, flat_words};
use std::cell::Cell;

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

pub fn buddy(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    if bytes.flag() {
        return flat(&mut bytes);
    }
    let units = 1usize << bytes.below(10);
    let words = zeros(buddy_words(units));
    words.iter().for_each(|word| word.set(0x5555_aaaa_1234_ffff));
    let buddy = Buddy::init(&words, units);
    let mut free = vec![true; units];
    for _ in 0..300 {
        if bytes.is_empty() {
            break;
        }
        let (from, to) = stretch(&mut bytes, units);
        match bytes.below(6) {
            0 | 1 => {
                let order = bytes.below(units.trailing_zeros() as usize + 2) as u32;
                let fitting = runs(&free).into_iter().filter(|run| run.1 >= order);
                let expected = fitting.min_by_key(|run| (run.1, run.0)).map(|run| run.0);
                let got = buddy.alloc(order);
                assert_eq!(got, expected, "a run of order {order}");
                if let Some(start) = got {
                    free[start..start + (1 << order)].fill(false);
                }
            }
            2 => {
                if free[from..to].iter().all(|&free| !free) {
                    buddy.free_range(from, to);
                    free[from..to].fill(true);
                }
            }
            3 => {
                let order = bytes.below(units.trailing_zeros() as usize + 1) as u32;
                let start = from >> order << order;
                if free[start..start + (1 << order)].iter().all(|&free| !free) {
                    let became = buddy.free(start, order);
                    free[start..start + (1 << order)].fill(true);
                    assert!(runs(&free).iter().any(|&(at, k)| k == became && at <= start && start < at + (1 << k)));
                }
            }
            4 => {
                let can = free[from..to].iter().all(|&free| free);
                assert_eq!(buddy.is_free(from, to), can);
                assert_eq!(buddy.take_range(from, to), can, "units {from} to {to}");
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

fn flat(bytes: &mut Bytes<'_>) {
    let units = 1usize << bytes.below(10);
    let words = zeros(flat_words(units));
    words.iter().for_each(|word| word.set(0x5555_aaaa_1234_ffff));
    let flat = Flat::init(&words, units);
    let mut free = vec![true; units];
    for _ in 0..300 {
        if bytes.is_empty() {
            break;
        }
        let (from, to) = stretch(bytes, units);
        match bytes.below(4) {
            0 | 1 => {
                let (count, order) = (to - from, bytes.below(units.trailing_zeros() as usize + 1));
                let align = 1usize << order;
                let fitting = holes(&free).into_iter().filter(|hole| hole.0.next_multiple_of(align) + count <= hole.1);
                let expected =
                    fitting.min_by_key(|hole| (hole.1 - hole.0, hole.0)).map(|hole| hole.0.next_multiple_of(align));
                assert_eq!(flat.alloc(count, order as u32), expected, "{count} units at a multiple of {align}");
                if let Some(start) = expected {
                    free[start..start + count].fill(false);
                }
            }
            2 => {
                if free[from..to].iter().all(|&free| !free) {
                    flat.free_range(from, to);
                    free[from..to].fill(true);
                }
            }
            _ => {
                let can = free[from..to].iter().all(|&free| free);
                assert_eq!(flat.is_free(from, to), can);
                assert_eq!(flat.take_range(from, to), can);
                assert!(!flat.take_range(from, units + 1));
                if can {
                    free[from..to].fill(false);
                }
            }
        }
        assert!(flat.consistent());
        assert_eq!(flat.free_units(), free.iter().filter(|&&free| free).count());
        assert_eq!(flat.largest(), holes(&free).iter().map(|hole| hole.1 - hole.0).max().unwrap_or(0));
    }
}

/// Some units: from, and an end behind it.
fn stretch(bytes: &mut Bytes<'_>, units: usize) -> (usize, usize) {
    let from = bytes.below(units);
    (from, from + 1 + bytes.below(units - from))
}
