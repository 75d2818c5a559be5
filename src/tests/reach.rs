//! The lists of a PACKED client's blocks: what length belongs to which, and that requests go to the shortest that serves.
//!
//! The model of whole contexts has no blocks that are long enough for the last lists.
//! May know: everything.

use super::caches::Scene;
use crate::client::reach::list_of_reach;
use crate::ffi::*;
use crate::steps;
use core::ffi::c_void;

const FLAGS: u32 = VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE;

fn scene(blocks: usize, block: usize) -> Scene {
    let size = c!(vmma_get_required_size(blocks * block, 16, block, FLAGS));
    Scene::new(size, block, FLAGS).expect("memory")
}

/// A piece of each block that is all of it but a hole at the end.
fn with_holes(scene: &Scene, holes: &[usize]) -> Vec<*mut c_void> {
    let block = c!(vmma_get_block_size(scene.context));
    let pieces: Vec<_> = holes.iter().map(|_| scene.alloc(block)).collect();
    for (&piece, hole) in pieces.iter().zip(holes) {
        assert_eq!(c!(vmma_realloc(scene.client, piece, block - hole)), piece);
    }
    pieces.iter().zip(holes).map(|(piece, hole)| piece.wrapping_byte_add(block - hole)).collect()
}

/// The longest piece that the held blocks could serve.
fn largest(scene: &Scene) -> usize {
    let (context, client) = scene.inside();
    (0..context.map.blocks)
        .filter(|&block| client.has_map(context, block))
        .map(|block| client.largest_hole(context, block) * 16)
        .max()
        .unwrap_or(0)
}

/// Up to 128 granules codes are lengths; then four of them are a doubling.
#[test]
fn there_are_two_lists_for_a_doubling_up_to_128_granules_and_then_one() {
    let least = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 132, 136, 140, 144, 148, 152, 156, 160, 164, 168];
    let mut lists = vec![list_of_reach(0)];
    for code in 1..255 {
        let list = list_of_reach(code);
        if least.contains(&code) {
            assert!(!lists.contains(&list), "code {code} begins a list of its own");
            lists.push(list);
        }
        assert_eq!(lists.last(), Some(&list), "code {code}");
    }
    assert!(!lists.contains(&list_of_reach(255)), "empty blocks have a list of their own");
    assert_eq!(lists.len(), least.len() + 1);
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_block_whose_holes_are_just_long_enough_serves_before_an_earlier_one() {
    let block = 8 << 20;
    for shift in 0..18 {
        for quarters in [4, 5, 6, 7] {
            let length = ((16 << shift) * quarters / 4usize).next_multiple_of(16);
            let scene = scene(3, block);
            let spots = with_holes(&scene, &[2 * length, length]);
            assert_eq!(c!(vmma_check_context(scene.context)), 0, "holes of {length} bytes, and of twice as many");
            // From 2 MiB on all are in the last list, in the order of addresses.
            let later = (length < 2 << 20) as usize;
            assert_eq!(scene.alloc(length), spots[later], "{length} bytes");
            assert_eq!(c!(vmma_check_context(scene.context)), 0);
            assert_eq!(scene.alloc(length), if later == 1 { spots[0] } else { spots[0].wrapping_byte_add(length) });
            assert_eq!(c!(vmma_get_held_size(scene.client)), 2 * block);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn of_blocks_in_one_list_the_lowest_serves() {
    let (block, length) = (64 << 10, 1024);
    let scene = scene(8, block);
    let spots = with_holes(&scene, &[length; 7]);
    let pieces: Vec<_> = spots.iter().map(|_| scene.alloc(length)).collect();
    assert_eq!(pieces, spots, "blocks in the order of addresses");
    for at in [3, 0, 5, 1, 6, 4, 2] {
        scene.free(spots[at]);
    }
    let pieces: Vec<_> = spots.iter().map(|_| scene.alloc(length)).collect();
    assert_eq!(pieces, spots, "in whatever order they came into the list");
    assert_eq!(c!(vmma_get_held_size(scene.client)), 7 * block);
}

/// A list may have blocks that turn out to be too small: the code of a length from 128 granules on stands for others too.
#[test]
#[cfg_attr(miri, ignore)]
fn however_many_blocks_are_too_small_a_request_looks_at_a_few() {
    let steps = [50, 100].map(|blocks| {
        let scene = scene(blocks + 1, 16 << 10);
        with_holes(&scene, &vec![130 * 16; blocks]);
        steps::take();
        assert!(!scene.alloc(150 * 16).is_null());
        assert_eq!(c!(vmma_get_held_size(scene.client)), (blocks + 1) * (16 << 10));
        steps::take()
    });
    assert!(steps[1] <= steps[0] + 2, "{steps:?}");
}

/// A hole at a block's end goes on in the next block: both ways of coming to be are seen.
#[test]
#[cfg_attr(miri, ignore)]
fn a_hole_across_two_blocks_serves_whichever_half_came_last() {
    let (block, half) = (64usize << 10, 4096);
    for order in [[0, 1], [1, 0]] {
        let scene = scene(3, block);
        let first = scene.alloc(block - half);
        let halves = [scene.alloc(half), scene.alloc(half)];
        let _rest = scene.alloc(block - half);
        assert_eq!(halves[1], first.wrapping_byte_add(block));
        order.iter().for_each(|&at| scene.free(halves[at]));
        assert_eq!(c!(vmma_check_context(scene.context)), 0);
        assert_eq!(largest(&scene), 2 * half, "freed in the order {order:?}");
        assert_eq!(scene.alloc(2 * half), halves[0]);
        assert_eq!((largest(&scene), c!(vmma_get_held_size(scene.client))), (0, 2 * block));
    }
}
