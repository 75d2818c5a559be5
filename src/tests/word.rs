//! The buddy in one word does the same, run for run, as the buddy of any size.
//! May know: word, buddy.

use super::{Rng, operations};
use crate::buddy::{Buddy, buddy_words};
use crate::word::{WORD_UNITS, Word};
use std::cell::Cell;

/// Both kinds over blocks of so many units, whole.
fn both(units: usize, test: impl FnOnce(Word<'_>, Buddy<'_>)) {
    let bits = Cell::new(0xdead_beef);
    let nodes = vec![Cell::new(!0); buddy_words(units)];
    let word = Word::new(&bits, units);
    word.init();
    test(word, Buddy::init(&nodes, units));
}

fn assert_same(word: Word<'_>, buddy: Buddy<'_>, units: usize) {
    assert!(word.consistent() && buddy.consistent());
    assert_eq!(word.largest(), buddy.largest());
    assert_eq!(word.free_units(), buddy.free_units());
    for unit in 0..units {
        assert_eq!(word.is_free(unit, unit + 1), buddy.is_free(unit, unit + 1));
    }
}

#[test]
fn every_set_of_free_units_has_the_same_largest_run_and_serves_from_the_same_place() {
    for units in [1usize, 2, 4, 8] {
        for free in 0..1u64 << units {
            for order in 0..=units.ilog2() + 1 {
                both(units, |word, buddy| {
                    for unit in (0..units).filter(|unit| free >> unit & 1 == 0) {
                        assert!(word.take_range(unit, unit + 1) && buddy.take_range(unit, unit + 1));
                    }
                    assert_same(word, buddy, units);
                    assert_eq!(word.alloc(order), buddy.alloc(order), "{free:b}, order {order}");
                    assert_same(word, buddy, units);
                });
            }
        }
    }
}

#[test]
fn long_random_lives_are_the_same_in_a_full_word() {
    let mut rng = Rng::new(64);
    both(WORD_UNITS, |word, buddy| {
        for _ in 0..operations(4_000, 100_000) {
            let from = rng.below(WORD_UNITS);
            let to = from + rng.below(WORD_UNITS + 1 - from);
            match rng.below(5) {
                0 | 1 => {
                    let order = rng.below(8) as u32;
                    assert_eq!(word.alloc(order), buddy.alloc(order));
                }
                2 => assert_eq!(word.take_range(from, to), buddy.take_range(from, to)),
                3 => assert_eq!(word.is_free(from, to), buddy.is_free(from, to)),
                _ => {
                    for unit in (from..to).filter(|&unit| !buddy.is_free(unit, unit + 1)) {
                        word.free_range(unit, unit + 1);
                        buddy.free_range(unit, unit + 1);
                    }
                }
            }
            assert_same(word, buddy, WORD_UNITS);
        }
    });
}

#[test]
fn a_whole_block_is_freed_and_taken_at_once() {
    both(WORD_UNITS, |word, _| {
        assert!(word.take_range(0, WORD_UNITS));
        assert_eq!((word.free_units(), word.largest(), word.alloc(0)), (0, None, None));
        word.free_range(0, WORD_UNITS);
        assert_eq!(word.alloc(6), Some(0));
        assert_eq!(word.alloc(0), None);
    });
}

#[test]
fn wrong_numbers_are_refused_and_change_nothing() {
    both(16, |word, _| {
        for (from, to) in [(0, 17), (16, 17), (5, 4), (usize::MAX, usize::MAX), (3, usize::MAX)] {
            assert!(!word.take_range(from, to), "{from}..{to}");
        }
        assert_eq!([word.alloc(5), word.alloc(63), word.alloc(u32::MAX)], [None; 3]);
        assert!(!word.is_free(0, 17) && word.is_free(0, 16) && word.is_free(7, 7));
        assert!(word.consistent() && word.free_units() == 16);
        word.free_range(12, 99);
        assert!(word.consistent() && word.free_units() == 16);
    });
    let bits = Cell::new(1 << 16);
    assert!(!Word::new(&bits, 16).consistent(), "a bit behind the end");
}
