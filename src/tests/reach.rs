//! The lists of a PACKED client's blocks: what length belongs to which, to which blocks requests go, and that long pieces and
//! short ones have blocks of their own.
//!
//! The model of whole contexts has no blocks that are long enough for the last lists.
//! May know: everything.

use super::caches::Scene;
use crate::client::reach::list_of_state;
use crate::ffi::*;
use crate::steps;
use core::ffi::c_void;
use core::ptr::null_mut;

const FLAGS: u32 = VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE;

fn scene(blocks: usize, block: usize) -> Scene {
    let size = c!(vmma_get_required_size(blocks * block, 16, block, FLAGS));
    Scene::new(size, block, FLAGS).expect("memory")
}

fn roomy(blocks: usize, block: usize) -> Scene {
    scene(blocks + Scene::BALLAST, block).with_ballast()
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

/// The state of a block with this reach, for short pieces or for long ones.
fn state(reach: u8, long: bool) -> u32 {
    (reach as u32) << 24 | (long as u32) << 23
}

/// Up to 128 granules codes are lengths; then four of them are a doubling.
#[test]
fn each_kind_has_lists_from_1_4_64_and_128_granules_on_and_one_for_each_doubling_above() {
    let least = [1, 4, 64, 128, 132, 136, 140, 144, 148, 152, 156, 160];
    let none = [list_of_state(state(0, false)), list_of_state(state(255, false))];
    let mut lists = none.to_vec();
    for long in [false, true] {
        assert_eq!(
            [0, 255].map(|reach| list_of_state(state(reach, long))),
            none,
            "full and empty blocks are of no kind"
        );
        for code in 1..255 {
            let list = list_of_state(state(code, long));
            if least.contains(&code) {
                assert!(!lists.contains(&list), "code {code} begins a list of its own");
                lists.push(list);
            }
            assert_eq!(lists.last(), Some(&list), "code {code}");
            assert!([0, 1, 0x7f_ffff].iter().all(|free| list_of_state(state(code, long) | free) == list));
        }
    }
    assert_eq!(lists.len(), 2 + 2 * least.len());
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_block_whose_holes_are_just_long_enough_serves_before_an_earlier_one() {
    let block = 8 << 20;
    for shift in 8..18 {
        for quarters in [4, 5, 6, 7] {
            let length = ((16 << shift) * quarters / 4usize).next_multiple_of(16);
            let scene = roomy(3, block);
            let spots = with_holes(&scene, &[2 * length, length]);
            assert_eq!(c!(vmma_check_context(scene.context)), 0, "holes of {length} bytes, and of twice as many");
            assert_eq!(scene.alloc(length), spots[1], "{length} bytes");
            assert_eq!(c!(vmma_check_context(scene.context)), 0);
            assert_eq!(scene.alloc(length), spots[0]);
            assert_eq!(c!(vmma_get_held_size(scene.client)), (Scene::BALLAST + 2) * block);
        }
    }
}

/// Blocks full of pieces of 2 KiB.
fn of_short(scene: &Scene, blocks: usize) -> Vec<*mut c_void> {
    let pieces = blocks * c!(vmma_get_block_size(scene.context)) / 2048;
    (0..pieces).map(|_| scene.alloc(2048)).collect()
}

#[test]
#[cfg_attr(miri, ignore)]
fn of_blocks_in_one_list_the_lowest_serves() {
    let scene = scene(8, 64 << 10);
    let long = with_holes(&scene, &[4096; 7]);
    let filled: Vec<_> = long.iter().map(|_| scene.alloc(4096)).collect();
    assert_eq!(filled, long, "blocks in the order of addresses");

    for length in [64, 512, 2048] {
        let scene = self::scene(8, 64 << 10);
        // The last piece of each block ends earlier, or is not there.
        let ends: Vec<_> = of_short(&scene, 7).into_iter().skip(31).step_by(32).collect();
        let spots: Vec<_> = ends.iter().map(|&piece| piece.wrapping_byte_add(2048 - length)).collect();
        let open = |at: usize| match length {
            2048 => scene.free(ends[at]),
            _ => assert_eq!(c!(vmma_realloc(scene.client, ends[at], 2048 - length)), ends[at]),
        };
        (0..7).for_each(open);
        for _ in 0..2 {
            let pieces: Vec<_> = spots.iter().map(|_| scene.alloc(length)).collect();
            assert_eq!(pieces, spots, "in whatever order they came into the list, {length} bytes");
            for at in [3, 0, 5, 1, 6, 4, 2] {
                scene.free(spots[at]);
            }
            assert_eq!(c!(vmma_get_held_size(scene.client)), 7 * (64 << 10));
        }
    }
}

/// What a request for so many granules costs a client whose blocks all end in a hole of 260.
fn steps_for(granules: usize, blocks: usize) -> usize {
    let scene = scene(blocks + 1, 16 << 10);
    with_holes(&scene, &vec![260 * 16; blocks]);
    steps::take();
    assert!(!scene.alloc(granules * 16).is_null());
    let steps = steps::take();
    assert_eq!(c!(vmma_get_held_size(scene.client)), (blocks + 1) * (16 << 10), "none of them serves");
    steps
}

/// A list may have blocks that turn out to be too small: the code of a length from 128 granules on stands for others too.
#[test]
#[cfg_attr(miri, ignore)]
fn however_many_blocks_are_too_small_a_request_looks_at_a_few() {
    let [few, many] = [150, 200].map(|blocks| steps_for(300, blocks));
    assert!(many <= few + 2, "{few} {many}");
}

/// Lists of blocks that can't serve are not looked at.
#[test]
#[cfg_attr(miri, ignore)]
fn blocks_whose_reach_is_a_doubling_too_short_cost_a_request_nothing() {
    let [few, many] = [10, 50].map(|blocks| steps_for(600, blocks));
    assert!(many <= few + 2, "{few} {many}");
}

#[test]
#[cfg_attr(miri, ignore)]
fn long_pieces_and_short_ones_share_no_block_while_there_are_others() {
    let block = 64usize << 10;
    for long in [4096, 5000, 20_000, block - 64] {
        let scene = roomy(32, block);
        let number = |piece: *mut c_void| (piece.addr() - scene.inside().0.map.base().addr()) / block;
        let (mut shorts, mut longs) = (vec![], vec![]);
        for at in 0..60 {
            shorts.extend([1, 100, 4080].map(|size| scene.alloc(size)));
            if at * long < 10 * block {
                longs.push((scene.alloc(long), long));
            }
            assert_eq!(c!(vmma_check_context(scene.context)), 0);
        }
        let apart = |shorts: &[*mut c_void], longs: &[(*mut c_void, usize)]| {
            longs.iter().all(|&(piece, size)| {
                let covered = number(piece)..=number(piece.wrapping_byte_add(size - 1));
                shorts.iter().all(|&short| !covered.contains(&number(short)))
            })
        };
        assert!(apart(&shorts, &longs), "long ones of {long} bytes");
        // Half of the long ones go: what is free beside the others is not for short pieces, while there are free blocks.
        let (gone, kept): (Vec<_>, Vec<_>) = longs.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
        gone.iter().for_each(|&(_, (piece, _))| scene.free(piece));
        let kept: Vec<_> = kept.into_iter().map(|(_, piece)| piece).collect();
        let more: Vec<_> = (0..64).map(|_| scene.alloc(1000)).collect();
        assert!(!kept.is_empty() && apart(&more, &kept), "long ones of {long} bytes");
        assert_eq!(c!(vmma_check_context(scene.context)), 0);
    }
}

/// Of 4 KiB if it has four blocks, of a quarter of a block before.
#[test]
#[cfg_attr(miri, ignore)]
fn what_is_long_depends_on_how_many_blocks_the_client_has() {
    let block = 64usize << 10;
    for (held, size, apart) in [
        (0, (16 << 10) - 16, false),
        (0, 16 << 10, true),
        (2, (16 << 10) - 16, false),
        (2, 16 << 10, true),
        (3, 4080, false),
        (3, 4096, true),
    ] {
        let scene = scene(8, block);
        let _ballast: Vec<_> = (0..held).map(|_| scene.alloc(block)).collect();
        let (short, piece) = (scene.alloc(100), scene.alloc(size));
        assert_eq!(piece != short.wrapping_byte_add(112), apart, "{size} bytes, {held} other blocks");
        assert_eq!(c!(vmma_get_held_size(scene.client)), (held + 1 + apart as usize) * block);
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn where_no_block_is_left_each_kind_takes_the_holes_of_the_other() {
    let block = 64usize << 10;
    let scene = scene(4, block);
    let shorts = of_short(&scene, 2);
    let longs: Vec<_> = (0..8).map(|_| scene.alloc(16 << 10)).collect();
    assert!(scene.alloc(16).is_null(), "it is full");
    scene.free(longs[3]);
    assert_eq!(scene.alloc(2048), longs[3], "a short piece in a long one's hole");
    assert_eq!(scene.alloc(14 << 10), longs[3].wrapping_byte_add(2048), "and a long one behind it");
    shorts[8..12].iter().for_each(|&piece| scene.free(piece));
    assert_eq!(scene.alloc(8 << 10), shorts[8], "a long piece where short ones were");
    assert!(scene.alloc(16).is_null(), "it is full again");
    assert_eq!(c!(vmma_get_held_size(scene.client)), 4 * block);
}

#[test]
#[cfg_attr(miri, ignore)]
fn an_empty_block_serves_either_kind() {
    let block = 64usize << 10;
    let size = c!(vmma_get_required_size(2 * block, 16, block, VMMA_FLAG_PACKED));
    let scene = Scene::new(size, block, VMMA_FLAG_PACKED).expect("memory");
    let mut before: *mut c_void = null_mut();
    for size in [2048, 16 << 10, 4096, 4080] {
        let pieces: Vec<_> = (0..block / size).map(|_| scene.alloc(size)).collect();
        assert!(before.is_null() || pieces[0] == before, "{size} bytes in the block that is kept");
        assert_eq!(c!(vmma_get_held_size(scene.client)), block);
        pieces.iter().for_each(|&piece| scene.free(piece));
        assert_eq!(c!(vmma_check_context(scene.context)), 0);
        before = pieces[0];
    }
}

/// A hole at a block's end goes on in the next block: both ways of coming to be are seen.
#[test]
#[cfg_attr(miri, ignore)]
fn a_hole_across_two_blocks_serves_whichever_half_came_last() {
    let (block, half) = (64usize << 10, 4096);
    for order in [[0, 1], [1, 0]] {
        let scene = roomy(3, block);
        let first = scene.alloc(block - half);
        let halves = [scene.alloc(half), scene.alloc(half)];
        let _rest = scene.alloc(block - half);
        assert_eq!(halves[1], first.wrapping_byte_add(block));
        order.iter().for_each(|&at| scene.free(halves[at]));
        assert_eq!(c!(vmma_check_context(scene.context)), 0);
        assert_eq!(largest(&scene), 2 * half, "freed in the order {order:?}");
        assert_eq!(scene.alloc(2 * half), halves[0]);
        assert_eq!((largest(&scene), c!(vmma_get_held_size(scene.client))), (0, (Scene::BALLAST + 2) * block));
    }
}

/// Holes of 100 granules in the lower block, of 50 in the other one: both are near, though in lists of their own.
#[test]
#[cfg_attr(miri, ignore)]
fn below_512_bytes_the_lower_block_serves_from_there_on_the_tighter_one() {
    let of_short_pieces = scene(3, 64 << 10);
    let pieces = of_short(&of_short_pieces, 2);
    let spots = [(31, 1600), (63, 800)].map(|(at, hole)| {
        assert_eq!(c!(vmma_realloc(of_short_pieces.client, pieces[at], 2048 - hole)), pieces[at]);
        pieces[at].wrapping_byte_add(2048 - hole)
    });
    assert_eq!(of_short_pieces.alloc(400), spots[0]);
    assert_eq!(of_short_pieces.alloc(800), spots[1]);
    assert_eq!(of_short_pieces.alloc(416), spots[0].wrapping_byte_add(400));

    // The same where only blocks for long pieces are left.
    let of_long_pieces = roomy(2, 64 << 10);
    let spots = with_holes(&of_long_pieces, &[1600, 800]);
    assert_eq!(of_long_pieces.alloc(400), spots[0]);
    assert_eq!(of_long_pieces.alloc(800), spots[1]);
    assert_eq!(of_long_pieces.alloc(416), spots[0].wrapping_byte_add(400));
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_hole_across_two_blocks_is_as_long_as_both_its_parts() {
    // 4096 bytes in the first block; 6144 from the end of the second to the front of the third.
    let scene = scene(4, 64 << 10);
    let pieces = of_short(&scene, 3);
    let (inside, end, front) = (&pieces[10..12], pieces[63], &pieces[64..66]);
    inside.iter().chain([&end]).chain(front).for_each(|&piece| scene.free(piece));
    assert_eq!(scene.alloc(3840), inside[0], "though only 2048 bytes of the longer one lie in its block");
    assert_eq!(scene.alloc(6000), end);
    assert_eq!(c!(vmma_check_context(scene.context)), 0);
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_hole_that_is_a_32nd_part_too_long_ends_the_search() {
    for (longer, first) in [(4096 / 32, true), (4096 / 32 + 16, false)] {
        let scene = roomy(2, 64 << 10);
        let spots = with_holes(&scene, &[4096 + longer, 4096]);
        assert_eq!(scene.alloc(4096), spots[!first as usize], "{longer} bytes too long");
    }
}
