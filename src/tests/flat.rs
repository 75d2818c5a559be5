//! The units of a PACKED block against an array of booleans: every state of small blocks, every operation.
//! May know: flat.

use super::Rng;
use crate::flat::{Flat, flat_words};
use std::cell::Cell;

/// The smallest hole that has `count` units at a multiple of 2^order, and where in it.
fn naive_alloc(free: &[bool], count: usize, order: u32) -> Option<usize> {
    let align = 1usize << order;
    let mut best: Option<(usize, usize)> = None;
    for (from, to) in holes(free) {
        let start = from.next_multiple_of(align);
        if start + count <= to && best.is_none_or(|(length, _)| to - from < length) {
            best = Some((to - from, start));
        }
    }
    best.map(|(_, start)| start)
}

fn holes(free: &[bool]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < free.len() {
        let end = (at..free.len()).find(|&unit| free[unit] != free[at]).unwrap_or(free.len());
        if free[at] {
            found.push((at, end));
        }
        at = end;
    }
    found
}

fn assert_same(flat: &Flat<'_>, free: &[bool]) {
    assert!(flat.consistent());
    assert_eq!(flat.free_units(), free.iter().filter(|&&unit| unit).count());
    assert_eq!(flat.largest(), holes(free).iter().map(|(from, to)| to - from).max().unwrap_or(0));
}

fn make(words: &[Cell<u64>], free: &[bool]) {
    let flat = Flat::init(words, free.len());
    for (at, _) in free.iter().enumerate().filter(|&(_, &free)| !free) {
        assert!(flat.take_range(at, at + 1));
    }
}

#[test]
fn every_operation_on_every_state_of_a_small_block_agrees_with_an_array() {
    for units in [1usize, 2, 4, 8] {
        if cfg!(miri) && units == 8 {
            continue;
        }
        let words: Vec<Cell<u64>> = (0..flat_words(units)).map(|_| Cell::new(!0)).collect();
        let flat = Flat::new(&words, units);
        for state in 0..1u32 << units {
            let free: Vec<bool> = (0..units).map(|unit| state >> unit & 1 != 0).collect();
            for count in 1..=units + 1 {
                for order in 0..=units.ilog2() {
                    make(&words, &free);
                    assert_same(&flat, &free);
                    let (taken, mut after) = (flat.alloc(count, order), free.clone());
                    assert_eq!(taken, naive_alloc(&free, count, order), "{count} at 2^{order} in {free:?}");
                    if let Some(start) = taken {
                        after[start..start + count].fill(false);
                    }
                    assert_same(&flat, &after);
                }
            }
            for from in 0..units {
                for to in from..=units {
                    make(&words, &free);
                    let (possible, mut after) = (free[from..to].iter().all(|&unit| unit), free.clone());
                    assert_eq!(flat.is_free(from, to), possible, "{from}..{to} of {free:?}");
                    assert_eq!(flat.take_range(from, to), possible);
                    if possible {
                        after[from..to].fill(false);
                    }
                    assert_same(&flat, &after);
                    flat.free_range(from, to);
                    after[from..to].fill(true);
                    assert_same(&flat, &after);
                }
            }
        }
    }
}

#[test]
fn long_blocks_agree_with_an_array_across_words() {
    let mut rng = Rng::new(41);
    for units in [64usize, 128, 512] {
        let words: Vec<Cell<u64>> = (0..flat_words(units)).map(|_| Cell::new(3)).collect();
        let flat = Flat::init(&words, units);
        let mut free = vec![true; units];
        let mut used: Vec<(usize, usize)> = Vec::new();
        for _ in 0..if cfg!(miri) { 40 } else { 4000 } {
            if rng.chance(2) || used.is_empty() {
                let (count, order) = (rng.log(units), rng.below(4) as u32);
                let taken = flat.alloc(count, order);
                assert_eq!(taken, naive_alloc(&free, count, order));
                if let Some(start) = taken {
                    free[start..start + count].fill(false);
                    used.push((start, start + count));
                }
            } else {
                let (from, to) = used.swap_remove(rng.below(used.len()));
                flat.free_range(from, to);
                free[from..to].fill(true);
            }
            assert_same(&flat, &free);
        }
        for (from, to) in used {
            flat.free_range(from, to);
        }
        assert_eq!((flat.largest(), flat.free_units()), (units, units), "all freed: one hole");
    }
}

#[test]
fn wrong_numbers_are_refused() {
    let words: Vec<Cell<u64>> = (0..flat_words(8)).map(|_| Cell::new(0)).collect();
    let flat = Flat::init(&words, 8);
    assert!(!flat.take_range(3, 9) && !flat.take_range(5, 4) && !flat.is_free(7, 9));
    assert_eq!(flat.alloc(9, 0), None);
    flat.free_range(6, 12);
    assert!(flat.consistent(), "nothing is set behind the end");
    words[0].set(1 << 8);
    assert!(!flat.consistent());
}
