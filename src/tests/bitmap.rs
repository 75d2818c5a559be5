//! Bit sets against a plain array of booleans: every size, every level, every question.
//! May know: bitmap.

use super::Rng;
use crate::bitmap::{BitSet, words_for};
use crate::cell::Cell;

fn words(count: usize, value: u64) -> Vec<Cell<u64>> {
    (0..count).map(|_| Cell::new(value)).collect()
}

fn naive_run(bits: &[bool], count: usize, end: usize, beyond: usize) -> Option<usize> {
    let set = |at: usize| if at < end { bits[at] } else { at < end + beyond };
    (0..=(end + beyond).saturating_sub(count)).find(|&first| first < end + 1 && (first..first + count).all(set))
}

/// All that can be asked, at every place.
fn assert_same(set: &BitSet<'_>, model: &[bool]) {
    assert!(set.consistent());
    for (at, &bit) in model.iter().enumerate() {
        assert_eq!(set.get(at), bit, "bit {at} of {}", model.len());
    }
    assert!(!set.get(model.len()) && !set.get(model.len() + 64), "there is nothing behind the end");
    let mut next = None;
    assert_eq!(set.next(model.len()), None);
    for at in (0..model.len()).rev() {
        if model[at] {
            next = Some(at);
        }
        assert_eq!(set.next(at), next, "the first bit from {at} of {}", model.len());
    }
}

#[test]
fn small_sets_agree_with_an_array_in_every_state() {
    // Up to 10 bits all states, each reached from each by one change.
    for bits in 1..=if cfg!(miri) { 4 } else { 10usize } {
        for state in 0..1u32 << bits {
            let store = words(words_for(bits), 0);
            let set = BitSet::new(&store, bits);
            let mut model = vec![false; bits];
            for at in (0..bits).filter(|at| state >> at & 1 != 0) {
                set.set(at);
                model[at] = true;
            }
            assert_same(&set, &model);
            for at in 0..bits {
                let was = model[at];
                if was {
                    set.clear(at)
                } else {
                    set.set(at)
                }
                model[at] = !was;
                assert_same(&set, &model);
                if was {
                    set.set(at)
                } else {
                    set.clear(at)
                }
                model[at] = was;
            }
            for count in 1..=bits + 2 {
                for end in 1..=bits {
                    // Bits from `end` on are never set in the library's use: the watermark.
                    if state >> end != 0 {
                        continue;
                    }
                    for beyond in 0..3 {
                        let found = set.find_run(count, end, beyond, || {});
                        assert_eq!(
                            found,
                            naive_run(&model, count, end, beyond),
                            "{count} in {model:?} to {end}+{beyond}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn sets_of_every_size_agree_with_an_array() {
    let mut rng = Rng::new(11);
    let sizes: Vec<usize> =
        if cfg!(miri) { vec![1, 64, 65, 130] } else { (1..=200).chain([4095, 4096, 4097, 4160]).collect() };
    for bits in sizes {
        let store = words(words_for(bits), 0);
        let set = BitSet::new(&store, bits);
        let mut model = vec![false; bits];
        for round in 0..if bits > 200 || cfg!(miri) { 30 } else { 300 } {
            // Dense and sparse in turn, so that words fill and empty.
            let dense = round / 50 % 2 == 0;
            for _ in 0..1 + bits / 16 {
                let at = rng.below(bits);
                let to = if dense { !rng.chance(8) } else { rng.chance(8) };
                if to {
                    set.set(at)
                } else {
                    set.clear(at)
                }
                model[at] = to;
            }
            assert_same(&set, &model);
        }
    }
}

#[test]
fn the_first_run_is_found_and_costs_one_step_a_word() {
    let mut rng = Rng::new(12);
    for round in 0..if cfg!(miri) { 20 } else { 20_000 } {
        let bits = 1 + rng.below(400);
        let store = words(words_for(bits), 0);
        let set = BitSet::new(&store, bits);
        let end = 1 + rng.below(bits);
        let mut model = vec![false; bits];
        let holes = [2, 5, 30, 200][round % 4];
        for (at, bit) in model.iter_mut().enumerate().take(end) {
            if !rng.chance(holes) {
                set.set(at);
                *bit = true;
            }
        }
        for _ in 0..8 {
            let (count, beyond) = (rng.log(300), rng.below(100) * rng.below(2));
            let mut steps = 0;
            let found = set.find_run(count, end, beyond, || steps += 1);
            assert_eq!(found, naive_run(&model, count, end, beyond), "{count} in {bits} to {end}+{beyond}");
            assert!(steps <= end.div_ceil(64), "{steps} steps for {end} bits");
        }
    }
}

#[test]
fn a_wrong_summary_bit_is_inconsistent_and_harmless() {
    for bits in [65, 200, 4097, if cfg!(miri) { 300 } else { 300_000 }] {
        let count = words_for(bits);
        let store = words(count, 0);
        let set = BitSet::new(&store, bits);
        for at in (0..bits).step_by(if bits < 5000 { 7 } else { 1711 }) {
            set.set(at);
        }
        assert!(set.consistent());
        for word in (bits.div_ceil(64)..count).chain([0, bits / 64]) {
            for bit in 0..64 {
                store[word].set(store[word].get() ^ 1 << bit);
                let inside = word < bits.div_ceil(64) && word * 64 + bit < bits && store[word].get() & !(1 << bit) != 0;
                assert!(inside || !set.consistent(), "bit {bit} of word {word} of a set of {bits}");
                // Whatever it finds is a number of the set, and it comes back.
                assert!(set.next(0).is_none_or(|at| at < bits));
                assert!(set.next(bits / 2).is_none_or(|at| at < bits));
                store[word].set(store[word].get() ^ 1 << bit);
            }
        }
    }
}

#[test]
fn bits_beyond_the_set_and_words_beyond_the_slice_do_no_harm() {
    let store = words(1, !0);
    let set = BitSet::new(&store, 500);
    assert!(!set.get(64) && set.get(63));
    set.set(499);
    set.clear(499);
    assert!(set.next(64).is_none_or(|at| at < 500));
    assert!(set.find_run(100, 500, 0, || {}).is_none_or(|at| at < 500));
    for bits in [1, 10, 63, 70] {
        let store = words(words_for(bits), 0);
        let set = BitSet::new(&store, bits);
        // The first bit behind the end, in the same word: damage.
        store[bits / 64].set(1 << (bits % 64));
        if let Some(summary) = store.get(bits.div_ceil(64)) {
            summary.set(1 << (bits / 64));
        }
        assert_eq!((set.next(0), set.next(bits), set.get(bits)), (None, None, false), "{bits} bits");
        assert!(!set.consistent(), "{bits} bits");
    }
}

#[test]
fn a_word_set_at_once_is_the_same_as_its_bits_one_by_one() {
    let mut rng = Rng::new(12);
    for bits in [64usize, 200, 4096 + 65] {
        let (one, other) = (words(words_for(bits), 0), words(words_for(bits), 0));
        let (at_once, by_bits) = (BitSet::new(&one, bits), BitSet::new(&other, bits));
        for _ in 0..50 {
            let index = rng.below(bits / 64);
            let mask = if rng.chance(4) { 0 } else { rng.next() & rng.next() };
            at_once.set_word(index, mask);
            (0..64).filter(|bit| mask >> bit & 1 != 0).for_each(|bit| by_bits.set(index * 64 + bit));
            assert!(at_once.consistent() && (0..bits).all(|bit| at_once.get(bit) == by_bits.get(bit)));
        }
        // The word behind the last is a level above, or nobody's.
        let before: Vec<_> = one.iter().map(Cell::get).collect();
        at_once.set_word(bits.div_ceil(64), 1);
        at_once.set_word(usize::MAX / 64, 1);
        assert_eq!(before, one.iter().map(Cell::get).collect::<Vec<_>>(), "behind the end nothing changes");
    }
}
