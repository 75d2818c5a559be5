//! Lengths of runs: their numbers, and what every one promises.
//! May know: lengths.

use crate::lengths::*;

#[test]
fn lengths_ascend_and_their_numbers_count_them() {
    let lengths: Vec<usize> = (0..14).map(units_of).collect();
    assert_eq!(lengths, [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48, 56, 64]);
    assert_eq!(lengths[13], 1 << LONGEST);
    for (number, &units) in lengths.iter().enumerate() {
        assert_eq!(number_of(units), number as u32);
    }
    assert_eq!((units_of(14), units_of(u32::MAX)), (0, 0), "there are no more");
}

#[test]
fn a_number_of_units_has_the_shortest_run_that_holds_it() {
    for units in 1..=64 {
        let number = number_of(units);
        assert!(units_of(number) >= units && (number == 0 || units_of(number - 1) < units), "{units} units");
        assert!(units_of(number) * 2 < units * 3, "{units} units waste less than a third of the run");
    }
    for units in [0, 65, 1 << 20, usize::MAX] {
        assert!(number_of(units) < 14, "{units} units: any number, but one that there is");
    }
}

#[test]
fn powers_of_two_and_the_front_of_a_block_have_their_numbers_by_arithmetic() {
    for order in 0..=LONGEST {
        assert_eq!(units_of(whole(order)), 1 << order);
    }
    for units in 32..=64 {
        let number = at_front(units);
        assert!(
            units_of(number) <= units as usize && (number == 13 || units_of(number + 1) > units as usize),
            "{units}"
        );
    }
}

#[test]
fn the_logarithm_is_rounded_up() {
    assert_eq!([0, 1, 2, 3, 4, 5, usize::MAX].map(log2_ceil), [0, 0, 1, 2, 2, 3, usize::BITS]);
}
