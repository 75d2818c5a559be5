//! Runs of blocks that are made longer or shorter: in place wherever the neighbourhood allows, and else unchanged.
//!
//! Every length of a few blocks and units is made every other one.
//! May know: everything.

use super::caches::Scene;
use crate::ffi::*;
use crate::memory::NONE;
use core::ffi::c_void;
use core::sync::atomic::Ordering::Relaxed;

const BLOCK: usize = 64 << 10;
const UNIT: usize = 1 << 10;

/// Whole blocks and units behind them.
type Length = (usize, usize);

/// More than a block: only that is a run.
fn lengths() -> impl Iterator<Item = Length> {
    let all = [1usize, 2, 3, 4].into_iter().flat_map(|blocks| [0usize, 1, 6, 32, 63].map(|units| (blocks, units)));
    all.filter(|&length| length != (1, 0))
}

fn bytes((blocks, units): Length) -> usize {
    blocks * BLOCK + units * UNIT
}

fn blocks_of((blocks, units): Length) -> usize {
    blocks + usize::from(units > 0)
}

fn held(scene: &Scene) -> usize {
    c!(vmma_get_held_size(scene.client)) / BLOCK
}

fn byte(at: *mut c_void, offset: usize) -> *mut u8 {
    at.cast::<u8>().wrapping_add(offset)
}

/// Is it a run of that length, with the bytes that were written at both ends of what it had before?
fn assert_run(scene: &Scene, run: *mut c_void, length: Length, before: Length, why: &str) {
    let why = format!("{before:?} to {length:?}, {why}");
    let (size, kept) = (bytes(length), bytes(length).min(bytes(before)));
    assert_eq!(c!(vmma_get_size(scene.client, run)), size, "{why}");
    assert_eq!(c!(byte(run, 0).read()), 1, "{why}");
    if kept == bytes(before) {
        assert_eq!(c!(byte(run, kept - 1).read()), 2, "{why}");
    }
    for offset in [0, size / 2, size - 1] {
        let address = byte(run, offset).cast_const().cast();
        assert_eq!(c!(vmma_test_address(scene.client, address)), 1, "the byte at {offset}, {why}");
    }
    assert_eq!(c!(vmma_check_context(scene.context)), 0, "{why}");
}

fn make(scene: &Scene, length: Length) -> *mut c_void {
    let run = scene.alloc(bytes(length));
    c!(byte(run, 0).write(1));
    c!(byte(run, bytes(length) - 1).write(2));
    run
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_run_becomes_any_other_in_place_where_nobody_is_in_its_way() {
    for flags in [0, VMMA_FLAG_NO_CACHE] {
        for from in lengths() {
            for to in lengths() {
                let scene = Scene::new(1 << 20, BLOCK, flags).expect("memory");
                let run = make(&scene, from);
                assert_run(&scene, run, from, from, "as made");
                assert_eq!(held(&scene), blocks_of(from));
                assert_eq!(c!(vmma_realloc(scene.client, run, bytes(to))), run, "{from:?} to {to:?} moves");
                assert_run(&scene, run, to, from, "in place");
                if flags == 0 {
                    // The block that the tail was in may be kept, empty.
                    assert_eq!(c!(vmma_trim_client(scene.client)), 0);
                }
                assert_eq!(held(&scene), blocks_of(to), "{from:?} to {to:?}");
                // What the last block has left serves others, and outlives the run.
                let unit = scene.alloc(UNIT);
                assert_eq!(unit.addr(), run.addr() + bytes(to), "{from:?} to {to:?}");
                scene.free(run);
                assert_eq!(c!(vmma_check_context(scene.context)), 0, "{from:?} to {to:?}");
                assert_eq!(c!(vmma_test_address(scene.client, unit)), 1);
                scene.free(unit);
                assert_eq!(c!(vmma_trim_client(scene.client)), 0);
                assert_eq!(held(&scene), 0, "{from:?} to {to:?}");
            }
        }
    }
}

/// A neighbour in the last block, or in the block behind: what does not fit before it moves.
#[test]
#[cfg_attr(miri, ignore)]
fn a_run_moves_only_where_a_neighbour_is_in_its_way() {
    for (flags, neighbour) in [(0, UNIT), (0, BLOCK), (VMMA_FLAG_NO_CACHE, UNIT), (VMMA_FLAG_NO_CACHE, BLOCK)] {
        for from in lengths().filter(|&(_, units)| units > 0) {
            for to in lengths() {
                let scene = Scene::new(2 << 20, BLOCK, flags).expect("memory");
                let run = make(&scene, from);
                let other = scene.alloc(neighbour);
                let way = if neighbour == UNIT { bytes(from) } else { blocks_of(from) * BLOCK };
                assert_eq!(other.addr(), run.addr() + way);
                let new = c!(vmma_realloc(scene.client, run, bytes(to)));
                assert_eq!(new == run, bytes(to) <= way, "{from:?} to {to:?} before {other:?}");
                assert_run(&scene, new, to, from, "beside another");
                assert!(new == run || c!(vmma_test_address(scene.client, run)) == 0, "{from:?} to {to:?}");
                scene.free(new);
                scene.free(other);
                assert_eq!(c!(vmma_trim_client(scene.client)), 0);
                assert_eq!(held(&scene), 0, "{from:?} to {to:?}");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_run_that_may_not_grow_stays_as_it_is() {
    for from in lengths() {
        for to in lengths() {
            let scene = Scene::new(2 << 20, BLOCK, 0).expect("memory");
            let run = make(&scene, from);
            assert_eq!(c!(vmma_set_limit(scene.client, blocks_of(from) * BLOCK)), 0);
            let new = c!(vmma_realloc(scene.client, run, bytes(to)));
            let fits = blocks_of(to) <= blocks_of(from);
            assert_eq!(new, if fits { run } else { core::ptr::null_mut() }, "{from:?} to {to:?}");
            let now = if fits { to } else { from };
            assert_run(&scene, run, now, from, "at the limit");
            assert_eq!(c!(vmma_get_last_status(scene.client)), if fits { 0 } else { vmma_status::VMMA_E_LIMIT as i32 });
            assert!((blocks_of(now)..=blocks_of(from)).contains(&held(&scene)), "{from:?} to {to:?}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_run_that_was_cut_to_one_block_is_a_run_still_and_grows_again() {
    for from in [(1, 1), (1, 6)] {
        for to in lengths() {
            let scene = Scene::new(1 << 20, BLOCK, VMMA_FLAG_NO_CACHE).expect("memory");
            let run = make(&scene, from);
            assert_eq!(c!(vmma_realloc(scene.client, run, BLOCK - UNIT)), run, "not worth a move");
            assert_run(&scene, run, (1, 0), from, "cut");
            assert_eq!(held(&scene), 1);
            c!(byte(run, BLOCK - 1).write(2));
            assert_eq!(c!(vmma_realloc(scene.client, run, bytes(to))), run, "{from:?} to {to:?} moves");
            assert_run(&scene, run, to, (1, 0), "grown again");
            assert_eq!(held(&scene), blocks_of(to));
            scene.free(run);
            assert_eq!(held(&scene), 0);
        }
    }
}

/// The newest frees lie with the records of one block, which has to stay a block of units as long as they do.
#[test]
#[cfg_attr(miri, ignore)]
fn a_run_does_not_grow_over_the_block_that_quarantine_lies_with() {
    let scene = Scene::new(4 << 20, BLOCK, VMMA_FLAG_QUARANTINE).expect("memory");
    let run = make(&scene, (1, 1));
    let unit = scene.alloc(UNIT);
    let others = [scene.alloc(BLOCK), scene.alloc(BLOCK)];
    // The unit enters first, and leaves for the second of the others.
    scene.free(unit);
    others.iter().for_each(|&other| scene.free(other));
    let (context, client) = scene.inside();
    let last = (run.addr() - context.map.base().addr()) / BLOCK + 1;
    assert_eq!((client.quarantine.home() as usize, client.quarantine.count()), (last, 2));
    assert!(client.space(context, last).is_free(1, BLOCK / UNIT), "but for the run's own unit all of it is free");
    let new = c!(vmma_realloc(scene.client, run, 2 * BLOCK));
    assert_ne!(new, run);
    assert_run(&scene, new, (2, 0), (1, 1), "moved");
}

/// Blocks of 2^11 units: the first list is that of single free units.
#[test]
#[cfg_attr(miri, ignore)]
fn a_run_that_grows_leaves_the_lists_of_other_blocks_alone() {
    let block = UNIT << 11;
    let scene = Scene::new(8 * block, block, VMMA_FLAG_NO_CACHE).expect("memory");
    let units: Vec<_> = (1..1 << 11).map(|_| scene.alloc(UNIT)).collect();
    let run = scene.alloc(2 * block);
    assert_eq!(c!(vmma_realloc(scene.client, run, 3 * block)), run);
    assert_eq!(c!(vmma_check_context(scene.context)), 0);
    assert_eq!(scene.alloc(UNIT).addr(), units[0].addr() + block - UNIT, "the unit that was left");
}

/// What the last block of a run was for the client besides, it must not be any more once it is a whole block of it.
#[test]
#[cfg_attr(miri, ignore)]
fn a_run_that_grows_over_its_last_block_leaves_nothing_of_it_in_lists_and_caches() {
    // An array of a cache lies there.
    let scene = Scene::new(4 << 20, BLOCK, 0).expect("memory");
    let cells: Vec<_> = (0..BLOCK / 16).map(|_| scene.alloc(16)).collect();
    let run = make(&scene, (1, 1));
    cells[..128].iter().for_each(|&cell| scene.free(cell));
    let context = scene.inside().0;
    let last = (run.addr() - context.map.base().addr()) / BLOCK + 1;
    assert_ne!(context.map.record(last).cache_pieces.load(Relaxed), 0);
    assert_eq!(c!(vmma_realloc(scene.client, run, 2 * BLOCK)), run);
    assert_run(&scene, run, (2, 0), (1, 1), "over an array");
    // It is not the first of its list.
    let scene = Scene::new(4 << 20, BLOCK, VMMA_FLAG_NO_CACHE).expect("memory");
    let halves = [scene.alloc(BLOCK / 2), scene.alloc(BLOCK / 2)];
    let run = make(&scene, (1, 1));
    scene.free(halves[0]);
    let context = scene.inside().0;
    let last = (run.addr() - context.map.base().addr()) / BLOCK + 1;
    assert_ne!(context.map.record(last).prev.load(Relaxed), NONE);
    assert_eq!(c!(vmma_realloc(scene.client, run, 2 * BLOCK)), run);
    assert_run(&scene, run, (2, 0), (1, 1), "out of the middle of a list");
}
