//! Slabs: the cells of the one that is being cut up wait outside; one that is idle goes when others want its units.
//!
//! No answer depends on either, so the model of whole contexts cannot see it. And the steps that find the free cells of a
//! slab, for every width of cells; and what becomes of a count that is wrong.
//! May know: everything.

use super::Rng;
use super::caches::Scene;
use crate::cell::Cell;
use crate::client::slab::{close_up, lanes, spread};
use crate::ffi::*;
use crate::memory::{NONE, Uses};

#[test]
#[cfg_attr(miri, ignore)]
fn the_cells_of_the_slab_that_is_cut_up_wait_part_by_part() {
    let scene = Scene::new(4 << 20, 64 << 10, 0).expect("memory");
    let (context, client) = scene.inside();
    for class in 0..context.sizes.count() {
        let info = context.sizes.class(class);
        let first = scene.alloc(info.cell as usize);
        let (part, waiting) = client.opened(class);
        let address = |granule: usize| context.map.address_of(granule << context.map.shape.granule_shift);
        assert_eq!(address(part), first.cast::<u8>(), "class {class}");
        // All of the first part but the lowest, which was served.
        assert_eq!(waiting, info.full() & !1, "class {class}");
        for number in 1..info.cells as usize {
            assert_eq!(scene.alloc(info.cell as usize), first.wrapping_byte_add(number * info.cell as usize));
        }
        let last = (info.cells as usize - 1) / 64 * 64 * info.cell as usize;
        let (part, waiting) = client.opened(class);
        assert_eq!((address(part), waiting), (first.wrapping_byte_add(last).cast(), 0), "class {class} has used it up");
    }
}

/// A slab with nothing in use is no reason to hold more memory.
#[test]
#[cfg_attr(miri, ignore)]
fn an_idle_slab_is_given_up_before_another_block_is_taken() {
    for cell in [16usize, 64, 512] {
        let scene = Scene::new(4 << 20, 64 << 10, 0).expect("memory");
        let _keeper = scene.alloc(1024);
        let cells: Vec<_> = (0..(56 << 10) / cell).map(|_| scene.alloc(cell)).collect();
        cells.iter().for_each(|&piece| scene.free(piece));
        let (context, client) = scene.inside();
        let class = context.sizes.class_of(cell).expect("a slab");
        let held = c!(vmma_get_held_size(scene.client));
        assert_ne!(client.idle(class).map_or(NONE, Cell::get), NONE, "cells of {cell}: a slab is idle");
        assert_eq!(held, 64 << 10);
        assert!(client.space(context, 0).largest() < Some(4), "no room without the idle slabs");
        assert!(!scene.alloc(16 << 10).is_null());
        assert_eq!(c!(vmma_get_held_size(scene.client)), held, "cells of {cell}");
    }
}

#[test]
fn the_cells_of_all_words_come_together_in_the_order_of_their_addresses() {
    let mut rng = Rng::new(7);
    for stride in 0..7u32 {
        for words in 1..=(1usize << stride).min(16) {
            for round in 0..if cfg!(miri) { 2 } else { 200 } {
                let bits = |word: u64| if round % 2 == 0 { word } else { word & word >> 7 & word >> 13 };
                let words: Vec<u64> = (0..words).map(|_| bits(rng.next())).collect();
                let spread = |(number, word): (usize, &u64)| spread(word & lanes(stride), stride, number as u32);
                let together = close_up(words.iter().enumerate().fold(0, |all, word| all | spread(word)), stride);
                for cell in 0..64 {
                    let granule = cell << stride;
                    let expected = words.get(granule / 64).map_or(0, |word| word >> (granule % 64) & 1);
                    assert_eq!(together >> cell & 1, expected, "cell {cell} of 2^{stride} granules in {words:x?}");
                }
            }
        }
    }
}

/// Whoever counts too few cells of a slab as in use finds none that is free: that ends, and is told.
#[test]
#[cfg_attr(miri, ignore)]
fn a_slab_that_says_it_has_a_free_cell_and_has_none_is_corrupt() {
    for flags in [0, VMMA_FLAG_NO_CACHE] {
        let scene = Scene::new(4 << 20, 64 << 10, flags).expect("memory");
        let (context, client) = scene.inside();
        let class = context.sizes.class_of(64).expect("a slab");
        let info = context.sizes.class(class);
        let cells: Vec<_> = (0..info.cells).map(|_| scene.alloc(64)).collect();
        let offset = context.map.offset_of(cells[0].addr()).expect("in a block");
        let slab = context.map.shape.slab_of(offset >> context.map.shape.granule_shift);
        assert_eq!((context.map.uses(slab).get(), client.slabs[class].get()), (Uses::FULL | (info.cells - 1), NONE));
        context.map.uses(slab).set(info.cells - 2);
        client.link_slab(context, class, slab);
        assert_eq!(c!(vmma_check_context(scene.context)), vmma_status::VMMA_E_CORRUPT as i32);
        assert!(scene.alloc(64).is_null());
        assert_eq!(c!(vmma_get_last_status(scene.client)), vmma_status::VMMA_E_CORRUPT as i32);
        // As it was.
        client.unlink_slab(context, class, slab);
        context.map.uses(slab).set(Uses::FULL | (info.cells - 1));
        assert!(!scene.alloc(64).is_null());
    }
}

/// The bits of what waits in quarantine keep it from being served: one that stands at another cell of the slab is seen, though
/// there are as many as there should be.
#[test]
#[cfg_attr(miri, ignore)]
fn what_waits_in_quarantine_is_not_served_and_a_bit_that_has_moved_is_corrupt() {
    let scene = Scene::new(4 << 20, 64 << 10, VMMA_FLAG_QUARANTINE).expect("memory");
    let cells: Vec<_> = (0..20).map(|_| scene.alloc(64)).collect();
    cells.iter().for_each(|&cell| scene.free(cell));
    let (context, client) = scene.inside();
    assert_eq!(client.quarantine.count(), cells.len());
    let more: Vec<_> = (0..20).map(|_| scene.alloc(64)).collect();
    assert!(more.iter().all(|cell| !cells.contains(cell)), "what waits is not served");
    assert_eq!(c!(vmma_check_context(scene.context)), 0);
    let granule = client.quarantined(context, 0);
    let free = (more[19].addr() - context.map.base().addr() + 64) >> context.map.shape.granule_shift;
    assert_eq!(context.map.shape.slab_of(granule), context.map.shape.slab_of(free));
    let turn = |from, to| {
        context.map.set_waiting(from, false);
        context.map.set_waiting(to, true);
    };
    turn(granule, free);
    assert_eq!(c!(vmma_check_context(scene.context)), vmma_status::VMMA_E_CORRUPT as i32);
    turn(free, granule);
}
