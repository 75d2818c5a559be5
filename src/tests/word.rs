//! The buddy in one word does the same, run for run, as the buddy of any size; and it serves the lengths between.
//! May know: word, buddy, lengths.

use super::{Rng, operations};
use crate::buddy::{Buddy, buddy_words};
use crate::cell::Cell;
use crate::lengths::units_of;
use crate::word::{WORD_UNITS, Word};

/// Both kinds over blocks of so many units, whole.
fn both(units: usize, test: impl FnOnce(Word<'_>, Buddy<'_>)) {
    let bits = Cell::new(0xdead_beef);
    let nodes: Vec<_> = (0..buddy_words(units)).map(|_| Cell::new(!0)).collect();
    let word = Word::new(&bits, units);
    word.init();
    test(word, Buddy::init(&nodes, units));
}

fn assert_same(word: Word<'_>, buddy: Buddy<'_>, units: usize) {
    assert!(word.consistent() && buddy.consistent());
    let lengths = (0..14).map(units_of).filter(|&length| (0..units).any(|at| place(buddy, at, length)));
    assert_eq!(word.largest().map(units_of), lengths.max());
    assert_eq!(word.largest().map(|run| units_of(run).ilog2()), buddy.largest());
    assert_eq!(word.free_units(), buddy.free_units());
    for unit in 0..units {
        assert_eq!(word.is_free(unit, unit + 1), buddy.is_free(unit, unit + 1));
    }
}

/// Can a run of that length begin there?
fn place(buddy: Buddy<'_>, at: usize, length: usize) -> bool {
    at.is_multiple_of(length.next_power_of_two()) && at + length <= buddy_units(buddy) && buddy.is_free(at, at + length)
}

fn buddy_units(buddy: Buddy<'_>) -> usize {
    1 << buddy.max_order()
}

/// A run of that length in both: the lowest whose power of two is not free as a whole, else where the whole power would be.
fn take_both(word: Word<'_>, buddy: Buddy<'_>, length: usize) {
    let power = length.next_power_of_two();
    if length == power {
        return assert_eq!(word.alloc(length), buddy.alloc(length.trailing_zeros()), "{length} units");
    }
    let units = buddy_units(buddy);
    let whole = |at: usize| at + power <= units && buddy.is_free(at, at + power);
    let tight = (0..units).find(|&at| place(buddy, at, length) && !whole(at));
    let expected = tight.or_else(|| {
        let start = buddy.alloc(power.trailing_zeros())?;
        buddy.free_range(start, start + power);
        Some(start)
    });
    if let Some(start) = expected {
        assert!(buddy.take_range(start, start + length));
    }
    assert_eq!(word.alloc(length), expected, "{length} units");
}

#[test]
fn every_set_of_free_units_has_the_same_largest_run_and_serves_from_the_same_place() {
    for units in [1usize, 2, 4, 8] {
        for free in 0..1u64 << units {
            for length in (0..7).map(units_of) {
                both(units, |word, buddy| {
                    for unit in (0..units).filter(|unit| free >> unit & 1 == 0) {
                        assert!(word.take_range(unit, unit + 1) && buddy.take_range(unit, unit + 1));
                    }
                    assert_same(word, buddy, units);
                    take_both(word, buddy, length);
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
                    take_both(word, buddy, units_of(rng.below(14) as u32));
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
        assert_eq!((word.free_units(), word.largest(), word.alloc(1)), (0, None, None));
        word.free_range(0, WORD_UNITS);
        assert_eq!(word.alloc(64), Some(0));
        assert_eq!(word.alloc(1), None);
    });
}

#[test]
fn wrong_numbers_are_refused_and_change_nothing() {
    both(16, |word, _| {
        for (from, to) in [(0, 17), (16, 17), (5, 4), (usize::MAX, usize::MAX), (3, usize::MAX)] {
            assert!(!word.take_range(from, to), "{from}..{to}");
        }
        assert_eq!([word.alloc(24), word.alloc(32), word.alloc(1 << 20), word.alloc(usize::MAX / 2 + 1)], [None; 4]);
        assert!(!word.is_free(0, 17) && word.is_free(0, 16) && word.is_free(7, 7));
        assert!(word.consistent() && word.free_units() == 16);
        word.free_range(12, 99);
        assert!(word.consistent() && word.free_units() == 16);
    });
    let bits = Cell::new(1 << 16);
    assert!(!Word::new(&bits, 16).consistent(), "a bit behind the end");
}
