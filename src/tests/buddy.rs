//! The buddy of small blocks: every sequence of operations up to some depth, against a naive model.
//! May know: buddy.

use super::Rng;
use crate::buddy::{Buddy, buddy_words};
use crate::cell::Cell;
use std::collections::HashSet;

/// What is known of a block: which units are free. Its free runs follow: buddies merge whenever they can.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Model {
    free: Vec<bool>,
    /// Runs in use: first unit, length.
    used: Vec<(usize, usize)>,
}

impl Model {
    fn is_free(&self, from: usize, to: usize) -> bool {
        self.free[from..to].iter().all(|&free| free)
    }

    /// The largest aligned free run that holds a unit.
    fn run_at(&self, unit: usize) -> Option<(usize, u32)> {
        let most = self.free.len().ilog2();
        (0..=most)
            .rev()
            .map(|order| (unit >> order << order, order))
            .find(|&(start, order)| self.is_free(start, start + (1 << order)))
    }

    fn largest(&self) -> Option<u32> {
        (0..self.free.len()).filter_map(|unit| self.run_at(unit)).map(|(_, order)| order).max()
    }

    /// The lowest run of an order, out of the smallest free run that holds one.
    fn best(&self, order: u32) -> Option<usize> {
        let runs = (0..self.free.len()).filter_map(|unit| self.run_at(unit)).filter(|&(_, have)| have >= order);
        runs.min_by_key(|&(start, have)| (have, start)).map(|(start, _)| start)
    }

    fn mark(&mut self, from: usize, to: usize, free: bool) {
        for unit in &mut self.free[from..to] {
            assert_ne!(*unit, free);
            *unit = free;
        }
    }
}

fn assert_same(buddy: &Buddy<'_>, model: &Model) {
    assert!(buddy.consistent());
    let units = model.free.len();
    assert_eq!(buddy.largest(), model.largest());
    assert_eq!(buddy.free_units(), model.free.iter().filter(|&&free| free).count());
    for from in 0..units {
        assert_eq!(buddy.free_run_at(from), model.run_at(from));
        for to in from..=units {
            assert_eq!(buddy.is_free(from, to), model.is_free(from, to), "{from}..{to}");
        }
    }
    assert_eq!(buddy.free_run_at(units), None, "behind the end");
}

fn state(words: &[Cell<u64>]) -> Vec<u64> {
    words.iter().map(Cell::get).collect()
}

fn restore(words: &[Cell<u64>], from: &[u64]) {
    for (word, &value) in words.iter().zip(from) {
        word.set(value);
    }
}

/// Every operation from here, and everything from there, `depth` deep; states that were seen are not entered again.
fn explore(words: &[Cell<u64>], model: &Model, depth: usize, seen: &mut HashSet<(Model, usize)>) {
    if depth == 0 || !seen.insert((model.clone(), depth)) {
        return;
    }
    let units = model.free.len();
    let before = state(words);
    let buddy = Buddy::new(words, units);
    for order in 0..=units.ilog2() + 1 {
        let mut after = model.clone();
        let expected = if order <= units.ilog2() { model.best(order) } else { None };
        assert_eq!(buddy.alloc(order), expected, "alloc of order {order}");
        if let Some(unit) = expected {
            after.mark(unit, unit + (1 << order), false);
            after.used.push((unit, 1 << order));
            after.used.sort_unstable();
        }
        assert_same(&buddy, &after);
        explore(words, &after, depth - 1, seen);
        restore(words, &before);
    }
    for from in 0..units {
        for to in from + 1..=units {
            let mut after = model.clone();
            let possible = model.is_free(from, to);
            assert_eq!(buddy.take_range(from, to), possible, "take {from}..{to}");
            if possible {
                after.mark(from, to, false);
                after.used.push((from, to - from));
                after.used.sort_unstable();
            }
            assert_same(&buddy, &after);
            explore(words, &after, depth - 1, seen);
            restore(words, &before);
        }
    }
    for (at, &(from, length)) in model.used.iter().enumerate() {
        // Given back whole, or cut: its front stays.
        for kept in 0..length {
            let mut after = model.clone();
            after.mark(from + kept, from + length, true);
            after.used[at].1 = kept;
            after.used.retain(|&(_, length)| length > 0);
            buddy.free_range(from + kept, from + length);
            assert_same(&buddy, &after);
            explore(words, &after, depth - 1, seen);
            restore(words, &before);
        }
    }
}

#[test]
fn every_sequence_of_operations_on_a_small_block_agrees_with_the_model() {
    let depths: &[(usize, usize)] = if cfg!(miri) {
        &[(1, 2), (2, 2)]
    } else {
        &[(1, 4), (2, 6), (4, 5), (8, if cfg!(debug_assertions) { 2 } else { 4 })]
    };
    for &(units, depth) in depths {
        let words: Vec<Cell<u64>> = (0..buddy_words(units)).map(|_| Cell::new(!0)).collect();
        let buddy = Buddy::init(&words, units);
        let model = Model { free: vec![true; units], used: Vec::new() };
        assert_same(&buddy, &model);
        assert_eq!(buddy.max_order(), units.ilog2());
        explore(&words, &model, depth, &mut HashSet::new());
    }
}

#[test]
fn a_long_random_run_on_large_blocks_ends_as_one_free_run() {
    let mut rng = Rng::new(21);
    for units in if cfg!(miri) { vec![16] } else { vec![16, 64, 128, 1024] } {
        let words: Vec<Cell<u64>> = (0..buddy_words(units)).map(|_| Cell::new(7)).collect();
        let buddy = Buddy::init(&words, units);
        let mut model = Model { free: vec![true; units], used: Vec::new() };
        for step in 0..if cfg!(miri) { 100 } else { 3000 } {
            if rng.chance(2) || model.used.is_empty() {
                let order = rng.below(units.ilog2() as usize) as u32;
                let unit = buddy.alloc(order);
                if units <= 128 {
                    assert_eq!(unit, model.best(order));
                }
                if let Some(unit) = unit {
                    model.mark(unit, unit + (1 << order), false);
                    model.used.push((unit, 1 << order));
                }
            } else {
                let (unit, length) = model.used.swap_remove(rng.below(model.used.len()));
                model.mark(unit, unit + length, true);
                if length.is_power_of_two() && unit.is_multiple_of(length) {
                    let order = buddy.free(unit, length.ilog2());
                    assert_eq!(Some((unit >> order << order, order)), model.run_at(unit));
                } else {
                    buddy.free_range(unit, unit + length);
                }
            }
            if units <= 64 || step % 500 == 0 {
                assert!(buddy.consistent());
                assert_eq!(buddy.largest(), model.largest());
            }
        }
        for (unit, length) in model.used.drain(..) {
            buddy.free_range(unit, unit + length);
        }
        assert_eq!((buddy.largest(), buddy.free_units()), (Some(units.ilog2()), units), "all freed: one largest run");
        assert!(buddy.consistent());
    }
}

#[test]
fn a_range_costs_a_few_pieces_for_each_order() {
    let units = 1024;
    let words: Vec<Cell<u64>> = (0..buddy_words(units)).map(|_| Cell::new(0)).collect();
    let buddy = Buddy::init(&words, units);
    for (from, to) in [(0, units), (1, units - 1), (0, units / 2), (3, 700)] {
        crate::steps::take();
        assert!(buddy.take_range(from, to));
        let taken = crate::steps::take();
        buddy.free_range(from, to);
        let freed = crate::steps::take();
        // Two pieces of each order, and for each of them at most the height of the tree up and down again.
        assert!(taken < 2 * 10 * 30 && freed < 2 * 10 * 12, "{from}..{to}: {taken} to take it, {freed} to free it");
        assert_eq!(buddy.largest(), Some(10));
    }
}

#[test]
fn wrong_numbers_and_damaged_bits_are_refused_not_followed() {
    let words: Vec<Cell<u64>> = (0..buddy_words(8)).map(|_| Cell::new(0)).collect();
    let buddy = Buddy::init(&words, 8);
    assert!(!buddy.take_range(3, 9) && !buddy.take_range(5, 4) && !buddy.is_free(7, 9));
    assert_eq!(buddy.alloc(60), None);
    assert_eq!(buddy.free_run_at(usize::MAX), None);
    let before = state(&words);
    assert!(buddy.take_range(3, 3) && buddy.take_range(8, 8) && state(&words) == before, "nothing is there to be had");
    // Bit 0 is no node's: set by damage it is neither a buddy of the whole block nor sound.
    words[0].set(1);
    assert!(!buddy.consistent());
    assert_eq!(buddy.free(0, 3), 3, "the whole block has no buddy");
    assert_eq!(words[0].get(), 0b11);
    restore(&words, &before);
    // Every set of bits but the right ones breaks an invariant, and nothing loops or panics over it.
    let mut right = 0;
    for bits in (0..1u64 << 16).step_by(if cfg!(miri) { 1009 } else { 1 }) {
        words[0].set(bits);
        if buddy.consistent() {
            right += 1;
        }
        if bits % 257 == 0 {
            let _ = (buddy.largest(), buddy.free_units(), buddy.alloc(1), buddy.take_range(1, 6), buddy.free(0, 0));
        }
        words[0].set(bits);
    }
    restore(&words, &before);
    // So many ways there are to cut 8 units into free and used ones: each set of free units has one form.
    assert!(right == 1 << 8 || cfg!(miri));
}
