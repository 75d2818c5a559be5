//! Blocks and the units in them: which block serves, and when another one is taken.
//!
//! The model of whole contexts has no blocks of more than 2^11 units, where several orders share a list.
//! May know: everything.

use super::caches::Scene;
use crate::bitmap::BitSet;
use crate::ffi::*;
use std::sync::atomic::Ordering::Relaxed;

/// In large blocks the first list has blocks for several orders: its first block may be too small, and a later one not.
#[test]
#[cfg_attr(miri, ignore)]
fn a_hole_behind_a_block_with_smaller_holes_serves_before_another_block_is_taken() {
    for (block, flags) in [(4usize << 20, 0), (4 << 20, VMMA_FLAG_NO_CACHE), (8 << 20, VMMA_FLAG_NO_CACHE)] {
        let size = c!(vmma_get_required_size(3 * block, 16, block, flags));
        let scene = Scene::new(size, block, flags).expect("memory");
        let units: Vec<_> = (0..2 * block / 1024).map(|_| scene.alloc(1024)).collect();
        assert_eq!(c!(vmma_get_held_size(scene.client)), 2 * block);
        // Two buddies in one block, then one unit in the other: that block is the first in the list.
        let start: *mut core::ffi::c_void = scene.inside().0.map.base().cast();
        for at in [100 << 10, 101 << 10, block] {
            let unit = units.iter().find(|unit| unit.addr() == start.wrapping_byte_add(at).addr()).expect("a unit");
            scene.free(*unit);
        }
        assert_eq!(c!(vmma_trim_client(scene.client)), 0);
        assert_eq!(scene.alloc(2048), start.wrapping_byte_add(100 << 10), "blocks of {block}, flags {flags:#x}");
        assert_eq!(c!(vmma_get_held_size(scene.client)), 2 * block);
        assert_eq!(scene.alloc(1024), start.wrapping_byte_add(block));
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn of_its_empty_blocks_a_client_keeps_one_and_without_caches_none() {
    for (flags, kept) in [(0, 1), (VMMA_FLAG_WIPE, 1), (VMMA_FLAG_NO_CACHE, 0)] {
        let block = 64 << 10;
        let scene = Scene::new(4 << 20, block, flags).expect("memory");
        let whole: Vec<_> = (0..5).map(|_| scene.alloc(block)).collect();
        for (at, &piece) in whole.iter().enumerate() {
            scene.free(piece);
            assert_eq!(c!(vmma_get_held_size(scene.client)), (4 - at + kept) * block, "flags {flags:#x}");
        }
        // Whoever is without memory gets the last one as well.
        assert_eq!(c!(vmma_trim_client(scene.client)), 0);
        assert_eq!(c!(vmma_get_held_size(scene.client)), 0);
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_run_of_units_grows_in_place_where_its_buddies_are_free() {
    let scene = Scene::new(4 << 20, 64 << 10, 0).expect("memory");
    let run = scene.alloc(1024);
    for size in [2048, 8192, 32 << 10, 1024, 4096] {
        assert_eq!(c!(vmma_realloc(scene.client, run, size)), run, "to {size} bytes");
        assert_eq!(c!(vmma_get_size(scene.client, run)), size);
    }
}

#[test]
fn what_is_behind_a_run_of_another_length_than_a_power_of_two_serves_others() {
    let block = 64 << 10;
    let scene = Scene::new(4 << 20, block, VMMA_FLAG_NO_CACHE).expect("memory");
    for (size, usable, rest) in
        [(33 << 10, 40 << 10, 8 << 10), (45 << 10, 48 << 10, 16 << 10), (17 << 10, 24 << 10, 32 << 10)]
    {
        let (run, other) = (scene.alloc(size), scene.alloc(rest));
        assert_eq!(c!(vmma_get_size(scene.client, run)), usable);
        assert_eq!(c!(vmma_get_good_size(scene.context, size)), usable);
        assert_eq!(run.addr() % size.next_power_of_two(), 0, "{size} bytes are aligned as a buddy's are");
        assert_eq!(c!(vmma_get_held_size(scene.client)), block, "{size} and {rest} bytes share a block");
        // The hole of the first serves the same again, though the other lies behind it.
        scene.free(run);
        assert_eq!(scene.alloc(size), run);
        [run, other].into_iter().for_each(|piece| scene.free(piece));
    }
}

/// A client whose first block has cells of two classes only, and then two blocks with one piece each; with each of
/// these lies the array of as many caches as are asked for.
fn with_arrays(scene: &Scene, arrays: usize) -> [*mut core::ffi::c_void; 2] {
    let block = c!(vmma_get_block_size(scene.context));
    let cells: Vec<Vec<_>> =
        [16, 32].iter().map(|&size| (0..block / 2 / size).map(|_| scene.alloc(size)).collect()).collect();
    let wholes = [0, 1].map(|_| scene.alloc(block));
    let context = scene.inside().0;
    for (number, whole) in wholes.iter().enumerate() {
        let at = (whole.addr() - context.map.base().addr()) / block;
        if number < arrays {
            // The cache of the class overflows: it gets its array, with the only block that seems to have room for it.
            let others = [0, 1, 2].map(|other| &context.map.record(other).cache_pieces);
            let were = others.map(|pieces| pieces.load(Relaxed));
            (0..3).filter(|&other| other != at).for_each(|other| others[other].store(!0, Relaxed));
            cells[number][..128].iter().for_each(|&cell| scene.free(cell));
            (0..3).filter(|&other| other != at).for_each(|other| others[other].store(were[other], Relaxed));
        }
        assert_eq!(context.map.record(at).cache_pieces.load(Relaxed) != 0, number < arrays, "block {at}");
    }
    wholes
}

#[test]
#[cfg_attr(miri, ignore)]
fn an_empty_block_goes_though_arrays_of_caches_lie_with_it() {
    let block = 64 << 10;
    let scene = Scene::new(4 << 20, block, 0).expect("memory");
    let pieces = with_arrays(&scene, 2);
    pieces.iter().for_each(|&piece| scene.free(piece));
    assert_eq!(c!(vmma_get_held_size(scene.client)), 2 * block, "the cells' block, and one that is kept");
}

#[test]
#[cfg_attr(miri, ignore)]
fn of_two_empty_blocks_the_one_without_arrays_of_caches_goes() {
    for order in [[0, 1], [1, 0]] {
        let block = 64 << 10;
        let scene = Scene::new(4 << 20, block, 0).expect("memory");
        let pieces = with_arrays(&scene, 1);
        order.iter().for_each(|&at| scene.free(pieces[at]));
        assert_eq!(c!(vmma_get_held_size(scene.client)), 2 * block);
        let (context, client) = scene.inside();
        let owned = pieces.map(|piece| client.owns_block(context, (piece.addr() - context.map.base().addr()) / block));
        assert_eq!(owned, [true, false], "freed in the order {order:?}");
    }
}

/// Every count is right then, and so is the largest run: only the rule that buddies merge is broken.
#[test]
#[cfg_attr(miri, ignore)]
fn free_buddies_that_have_not_merged_are_damage() {
    let block = 256 << 10;
    let scene = Scene::new(1 << 20, block, VMMA_FLAG_NO_CACHE).expect("memory");
    let _unit = scene.alloc(1024);
    // Units 2 and 3 are one free run of the order 1.
    let nodes = BitSet::new(scene.inside().0.map.node_words(0), 2 * block / 1024);
    let (pair, halves) = (block / 1024 / 2 + 1, [block / 1024 + 2, block / 1024 + 3]);
    assert!(nodes.get(pair) && !halves.iter().any(|&half| nodes.get(half)));
    nodes.clear(pair);
    halves.iter().for_each(|&half| nodes.set(half));
    assert_eq!(c!(vmma_check_client(scene.client)), vmma_status::VMMA_E_CORRUPT as i32);
    halves.iter().for_each(|&half| nodes.clear(half));
    nodes.set(pair);
    assert_eq!(c!(vmma_check_client(scene.client)), 0);
}
