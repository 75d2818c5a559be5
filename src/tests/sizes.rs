//! Sizes: every request up to some size, in a grid of contexts.
//! May know: sizes, lengths.

use crate::sizes::{FIRST_CLASSES, MIN_CELL, Place, Sizes, most_cached, round_up, slab_order, unit_shift};

const ALIGNMENTS: [usize; 6] = [8, 16, 32, 64, 512, 4096];

fn grid(mut visit: impl FnMut(&Sizes, usize, u32, bool)) {
    for alignment in ALIGNMENTS {
        for shift in [10, 11, 12, 13, 14, 16, 20, 30] {
            if 1usize << shift < 16 * alignment || (cfg!(miri) && shift != 12) {
                continue;
            }
            for packed in [false, true] {
                visit(&Sizes::new(alignment, shift, packed), alignment, shift, packed);
            }
        }
    }
}

#[test]
fn classes_ascend_and_fit_their_slabs() {
    grid(|sizes, alignment, shift, packed| {
        let unit = 1usize << unit_shift(shift, alignment);
        assert!(unit >= alignment && unit <= 1 << shift);
        assert!(sizes.count() <= FIRST_CLASSES);
        assert_eq!(sizes.packed(), packed);
        let mut last = 0;
        for number in 0..sizes.count() {
            let class = sizes.class(number);
            let cell = class.cell as usize;
            assert!(cell > last && cell.is_multiple_of(alignment) && cell >= MIN_CELL);
            assert!(!packed && cell.is_power_of_two());
            let slab = unit << slab_order(shift - unit_shift(shift, alignment));
            assert!(class.cells >= 4 && class.cells as usize * cell == slab && slab <= 1 << shift);
            assert_eq!(class.full().count_ones(), class.cells.min(64));
            assert_eq!(class.full().trailing_ones(), class.full().count_ones(), "the lowest bits");
            last = cell;
        }
    });
}

/// Bytes of the run for a size, by the rule: whole units; a power of two of them, or three quarters of one, or in a block of 64 some
/// eighths of it; in blocks of more a power of two only.
fn run_bytes(size: usize, shift: u32, unit: usize) -> usize {
    let units = size.div_ceil(unit);
    let power = units.next_power_of_two();
    let step = match (1 << shift) / unit {
        65.. => power,
        _ if power == 64 => 8,
        _ if power >= 4 => power / 4,
        _ => power,
    };
    units.next_multiple_of(step) * unit
}

#[test]
fn every_size_goes_to_the_smallest_place_that_holds_it() {
    grid(|sizes, alignment, shift, packed| {
        let (block, unit) = (1usize << shift, 1usize << unit_shift(shift, alignment));
        let sizes_tested: Vec<usize> = if cfg!(miri) {
            vec![1, 15, 16, 17, 1000, 4096, 4097, 9000]
        } else if cfg!(debug_assertions) {
            (1..5000).chain((5000..200_000).step_by(37)).chain([block - 1, block, block + 1]).collect()
        } else {
            (1..200_000).chain([block - 1, block, block + 1]).collect()
        };
        let mut last = 0;
        for size in sizes_tested {
            let place = sizes.place_aligned(size, 1).expect("a small size");
            let usable = sizes.usable(place);
            assert!(usable >= size, "{usable} for {size}");
            assert!(usable >= last || size < block, "larger requests get no less");
            match place {
                Place::Slab(class) => {
                    assert_eq!(sizes.class_of(size), Some(class));
                    assert!(class == 0 || (sizes.class(class - 1).cell as usize) < size, "{size} has a smaller cell");
                }
                Place::Units { units, run } => {
                    assert!(sizes.class_of(size).is_none() && size <= block);
                    assert_eq!((usable, units), (run_bytes(size, shift, unit), sizes.units_of(run)), "{size}");
                    assert_eq!(sizes.run_of(units), run);
                }
                Place::Blocks { blocks, units } => {
                    assert!(size > block && blocks >= 1 && units << unit_shift(shift, alignment) < block);
                    assert!(usable < size + unit, "{size} has fewer units in the last block");
                }
                Place::Piece { bytes, align } => {
                    assert!(packed && bytes == size.next_multiple_of(alignment));
                    assert_eq!(align, if bytes > block { block } else { alignment });
                }
            }
            assert_eq!(packed, matches!(place, Place::Piece { .. }));
            let class = sizes.cache_class(size);
            assert!(!packed || sizes.cached_bytes(class) == usable, "the class of {size}");
            if matches!(place, Place::Slab(_)) {
                assert_eq!(usable, size.next_power_of_two().max(alignment).max(MIN_CELL));
            }
            last = usable;
        }
    });
}

#[test]
fn an_aligned_request_gets_a_place_that_has_the_alignment() {
    grid(|sizes, alignment, shift, _| {
        let unit = 1usize << unit_shift(shift, alignment);
        for power in 0..=shift {
            let wanted = 1usize << power;
            for size in [1, 3, 16, 17, 100, 1000, 1024, 5000, 70_000, (1 << shift) - 1, 1 << shift, (1 << shift) + 1] {
                let place = sizes.place_aligned(size, wanted).expect("a small size");
                assert!(sizes.usable(place) >= size);
                let has = match place {
                    // A slab lies at a multiple of its length; so far do its cells have the alignment of their size.
                    Place::Slab(class) => {
                        let (cell, slab) =
                            (sizes.class(class).cell as usize, unit << slab_order(shift - unit.trailing_zeros()));
                        (cell & cell.wrapping_neg()).min(slab).max(alignment)
                    }
                    Place::Units { units, .. } => unit * units.next_power_of_two(),
                    Place::Blocks { .. } => 1 << shift,
                    Place::Piece { align, .. } => align,
                };
                assert!(has >= wanted, "{size} aligned to {wanted}: {place:?}");
            }
        }
    });
}

/// Without PACKED.
#[test]
fn there_is_a_class_for_every_power_of_two_up_to_half_a_unit() {
    grid(|sizes, alignment, shift, packed| {
        let mut cell = alignment.max(MIN_CELL);
        for number in 0..sizes.count() {
            assert_eq!(sizes.class(number).cell as usize, cell);
            cell *= 2;
        }
        assert!(packed || cell == (1usize << unit_shift(shift, alignment)).max(alignment.max(MIN_CELL)));
    });
}

#[test]
fn a_slab_is_eight_units_or_a_quarter_of_a_block_or_two_units() {
    assert_eq!([0, 1, 2, 3, 4, 5, 6, 20].map(slab_order), [1, 1, 1, 1, 2, 3, 3, 3]);
}

#[test]
fn rounding_up_goes_to_the_next_multiple_of_a_power_of_two() {
    for shift in 0..10 {
        for n in 0..3000 {
            assert_eq!(round_up(n, 1 << shift), n.next_multiple_of(1 << shift), "{n} to 2^{shift}");
        }
    }
}

#[test]
fn a_cache_has_at_most_32_kib_and_62_entries_and_at_least_two() {
    for (bytes, entries) in
        [(0, 2), (1, 62), (16, 62), (512, 62), (528, 62), (529, 61), (1024, 32), (8192, 4), (10_923, 2), (16_384, 2)]
    {
        assert_eq!(most_cached(bytes), entries, "pieces of {bytes} bytes");
    }
    assert_eq!([32 << 10, 1 << 20, usize::MAX].map(most_cached), [2; 3]);
    grid(|sizes, _, _, _| {
        for number in 0..sizes.count() {
            let class = sizes.class(number);
            assert_eq!(class.most_cached as usize, most_cached(class.cell as usize));
        }
    });
}

/// Without PACKED, what a cache may serve: the slab class of a size, else the number of its run behind the classes, else no class at all.
#[test]
fn the_cache_class_of_a_size_is_that_of_its_place() {
    grid(|sizes, _, shift, packed| {
        if packed {
            return;
        }
        let block = 1usize << shift;
        let asked = if cfg!(miri) { 1..40 } else { 1..9000 };
        for size in asked.chain([block / 2, block / 2 + 1, block - 1, block, block + 1, 3 * block, usize::MAX]) {
            let class = sizes.cache_class(size);
            match sizes.place_aligned(size, 1) {
                Some(Place::Slab(slab)) => {
                    assert_eq!((class, sizes.cached_bytes(class)), (slab, sizes.class(slab).cell as usize), "{size}");
                }
                Some(place @ Place::Units { run, .. }) => {
                    assert_eq!(class, sizes.count() + run as usize, "{size}");
                    assert_eq!(sizes.cached_bytes(class), sizes.usable(place), "{size}");
                }
                _ => assert_eq!(class, usize::MAX, "{size} in blocks of {block}"),
            }
        }
        assert_eq!(sizes.cache_class(0), usize::MAX);
    });
}

/// Without PACKED an aligned request gets a cell of just that size where there is one, else units: of its own length where that is aligned enough, or of the alignment.
#[test]
fn an_aligned_request_gets_no_more_than_its_power_of_two() {
    grid(|sizes, alignment, shift, packed| {
        if packed {
            return;
        }
        let unit = 1usize << unit_shift(shift, alignment);
        let block = 1usize << shift;
        for power in 0..=shift {
            let wanted = 1usize << power;
            for size in
                [1, 3, 16, 17, 100, 255, 256, 257, 1000, 1024, 1025, 5000, block / 2, block - 1, block, block + 1]
            {
                let place = sizes.place_aligned(size, wanted);
                if wanted <= alignment || size > block {
                    assert_eq!(place, sizes.place_aligned(size, 1), "{size} aligned to {wanted} is like any other");
                    continue;
                }
                let natural = size.max(wanted).next_power_of_two();
                match place {
                    Some(Place::Slab(class)) => assert_eq!(sizes.class(class).cell as usize, natural),
                    _ if (0..sizes.count()).any(|class| sizes.class(class).cell as usize == natural) => {
                        panic!("{size} aligned to {wanted}: there is such a cell");
                    }
                    Some(Place::Units { units, .. }) if size > natural / 2 => {
                        assert_eq!(units * unit, run_bytes(size, shift, unit), "{size} to {wanted}");
                    }
                    Some(Place::Units { units, .. }) => {
                        assert_eq!(units * unit, natural.max(unit), "{size} to {wanted}")
                    }
                    other => panic!("{size} aligned to {wanted}: {other:?}"),
                }
            }
        }
    });
}

#[test]
fn sizes_near_the_end_of_numbers_are_refused() {
    grid(|sizes, _, _, _| {
        assert_eq!(sizes.place_aligned(usize::MAX, 1), None);
        for size in [usize::MAX, usize::MAX - 1, usize::MAX - 255, usize::MAX / 2 + 1] {
            // No place, or one so large that no context has it; in no case a small one.
            for place in [sizes.place_aligned(size, 1), sizes.place_aligned(size, 256)].into_iter().flatten() {
                assert!(sizes.usable(place) >= size, "{place:?} for {size}");
            }
        }
    });
}
