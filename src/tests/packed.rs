//! PACKED: what its caches keep, where they are filled from, and where a piece changes its length in place.
//!
//! No answer depends on what is only kept, so the model of whole contexts cannot see it.
//! May know: everything.

use super::caches::Scene;
use crate::ffi::*;
use core::ffi::c_void;

pub(super) const BLOCK: usize = 64 << 10;
pub(super) const GRANULE: usize = 16;

/// One client in so many blocks.
pub(super) fn scene(blocks: usize) -> Scene {
    scene_with(blocks, 0)
}

/// With WIPE everything takes the long way.
pub(super) fn scene_with(blocks: usize, flags: u32) -> Scene {
    let flags = flags | VMMA_FLAG_PACKED;
    let size = c!(vmma_get_required_size(blocks * BLOCK, GRANULE, BLOCK, flags));
    Scene::new(size, BLOCK, flags).expect("memory")
}

fn roomy(blocks: usize) -> Scene {
    scene(blocks + Scene::BALLAST).with_ballast()
}

/// The class of a size that is a multiple of the alignment.
fn class(size: usize) -> usize {
    size / GRANULE - 1
}

/// Has a size a cache? Clients of 32-bit processors have room for fewer of them.
fn is_cached(scene: &Scene, size: usize) -> bool {
    class(size) < scene.inside().0.cached_classes as usize
}

/// Fills a cache: a hole of four pieces gives the rest of them to it, and an array with room for six.
fn with_cache(scene: &Scene, size: usize) {
    let (hole, _wall) = (scene.alloc(4 * size.max(80)), scene.alloc(1024));
    scene.free(hole);
    assert_eq!(scene.alloc(size), hole);
    assert!(scene.cache(class(size)).0 >= 6);
    while scene.cache(class(size)).1 > 0 {
        scene.alloc(size);
    }
}

/// Pieces of a size, each between two that are live and of a size that no cache has.
fn between_walls(scene: &Scene, size: usize, count: usize) -> Vec<*mut c_void> {
    let piece = |_| {
        let piece = scene.alloc(1024);
        assert_eq!(c!(vmma_realloc(scene.client, piece, size)), piece, "shorter in place");
        assert_eq!(scene.alloc(1024 - size), piece.wrapping_byte_add(size), "what is left of it");
        piece
    };
    (0..count).map(piece).collect()
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_piece_between_live_ones_is_kept_and_its_cache_grows_by_doubling() {
    for (size, flags) in [(16, 0), (32, 0), (240, 0), (256, 0), (16, VMMA_FLAG_WIPE), (48, VMMA_FLAG_WIPE)] {
        let scene = scene_with(8, flags);
        if !is_cached(&scene, size) {
            continue;
        }
        let (class, mut rooms) = (class(size), vec![0]);
        // The arrays lie with the client's blocks.
        let _ballast: Vec<_> = (0..3).map(|_| scene.alloc(BLOCK)).collect();
        let pieces = between_walls(&scene, size, 80);
        assert_eq!(scene.cache(class), (0, 0));
        let mut first = None;
        for (at, &piece) in pieces.iter().enumerate() {
            scene.free(piece);
            let (room, count) = scene.cache(class);
            assert_eq!(count, (at + 1).min(62), "pieces of {size} bytes");
            if rooms.last() != Some(&room) {
                rooms.push(room);
            }
            if room == 62 {
                // Where it is at its bound it stays.
                let (context, client) = scene.inside();
                let place = client.array(context, class).0;
                assert_eq!(*first.get_or_insert(place), place);
            }
        }
        assert_eq!(rooms, [0, 6, 14, 30, 62]);
        // What was kept last is served first.
        for &piece in pieces[..62].iter().rev() {
            assert_eq!(scene.alloc(size), piece);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_piece_with_a_free_neighbour_merges_with_it() {
    for (before, behind) in [(true, false), (false, true), (true, true)] {
        // In the same word of granules, and far from each other.
        for (far, flags) in [(512usize, 0), (3072, 0), (512, VMMA_FLAG_WIPE), (3072, VMMA_FLAG_WIPE)] {
            let scene = scene_with(2, flags);
            let _wall = scene.alloc(1024);
            let [first, middle, last] = [far, 512, far].map(|size| scene.alloc(size));
            assert_eq!(c!(vmma_realloc(scene.client, middle, 64)), middle);
            let other = scene.alloc(448);
            assert_eq!(other, middle.wrapping_byte_add(64));
            let _wall = scene.alloc(1024);
            let _ = last;
            if before {
                scene.free(first);
            }
            if behind {
                scene.free(other);
            }
            scene.free(middle);
            assert_eq!(scene.cache(class(64)).1, 0, "before {before}, behind {behind}");
            let (start, length) = match (before, behind) {
                (true, true) => (first, far + 512),
                (true, false) => (first, far + 64),
                _ => (middle, 512),
            };
            assert_eq!(scene.alloc(length), start, "one hole of {length} bytes");
        }
    }
}

/// The entries of a cache, the newest last.
fn entries(scene: &Scene, size: usize) -> Vec<*mut c_void> {
    let (context, client) = scene.inside();
    let (first, count) = client.array(context, class(size));
    let granules = (first + 1..first + 1 + count).map(|entry| context.map.cache(entry).get() as usize);
    granules.map(|granule| context.map.address_of(granule * GRANULE).cast()).collect()
}

/// All of a hole that two to four of them fill; half of a longer one, if that is two of them.
#[test]
#[cfg_attr(miri, ignore)]
fn a_hole_that_a_few_pieces_fill_is_cut_up_and_half_of_any_other() {
    let size = 192;
    for (quarters, expected) in
        [(4, 0), (8, 1), (9, 0), (12, 2), (16, 3), (15, 0), (18, 1), (20, 1), (24, 2), (28, 2), (32, 3), (44, 4)]
    {
        let scene = scene(1);
        let hole = scene.alloc(quarters * size / 4);
        let wall = scene.alloc(1024);
        let rest = scene.alloc(BLOCK - 1024 - quarters * size / 4);
        assert!(!wall.is_null() && !rest.is_null(), "the block is full");
        scene.free(hole);
        if quarters == 4 {
            assert_eq!((scene.cache(class(size)).1, scene.alloc(size)), (1, hole));
        } else {
            assert_eq!(scene.alloc(size), hole);
        }
        let kept: Vec<_> = (1..=expected).rev().map(|at| hole.wrapping_byte_add(at * size)).collect();
        assert_eq!(entries(&scene, size), kept, "a hole of {quarters} quarters");
        assert_eq!(c!(vmma_check_client(scene.client)), 0);
    }
}

/// As many as their array has room for.
#[test]
#[cfg_attr(miri, ignore)]
fn pieces_from_a_long_hole_follow_each_other_and_fill_their_cache() {
    for size in [16, 48, 256] {
        let scene = scene(4);
        if !is_cached(&scene, size) {
            continue;
        }
        let _ballast: Vec<_> = (0..2).map(|_| scene.alloc(BLOCK)).collect();
        let mut last = scene.alloc(size);
        let mut fills = 0;
        for _ in 0..100 {
            let empty = scene.cache(class(size)).1 == 0;
            let next = scene.alloc(size);
            assert_eq!(next, last.wrapping_byte_add(size));
            let (room, count) = scene.cache(class(size));
            assert!(!empty || (count == room && room >= 6), "{count} of {room} entries of {size} bytes");
            fills += empty as usize;
            last = next;
        }
        assert!(fills > 1);
    }
}

/// Holes of the same length near the one that serves come out with it.
#[test]
#[cfg_attr(miri, ignore)]
fn holes_of_a_size_in_one_word_are_gathered_by_its_first_request() {
    let scene = scene(2);
    let start = scene.alloc(BLOCK).wrapping_byte_add(BLOCK);
    with_cache(&scene, 48);
    // To the beginning of a word of 64 granules, then pieces of 18 granules cut to 15: three holes of three begin in it.
    let probe = scene.alloc(512);
    let used = probe.addr() - start.addr() + 512;
    let word = used.next_multiple_of(1024) + 1024;
    let _pad = scene.alloc(word - used);
    let pieces: Vec<_> = (0..6).map(|_| scene.alloc(288)).collect();
    assert_eq!(pieces[0], start.wrapping_byte_add(word));
    let _rest = scene.alloc(BLOCK - (word + 6 * 288));
    for &piece in &pieces {
        assert_eq!(c!(vmma_realloc(scene.client, piece, 240)), piece);
    }
    let hole = |at: usize| pieces[at].wrapping_byte_add(240);
    assert_eq!(entries(&scene, 48), []);
    assert_eq!(scene.alloc(48), hole(0));
    assert_eq!(entries(&scene, 48), [hole(1), hole(2)]);
    assert_eq!(c!(vmma_check_client(scene.client)), 0);
    assert_eq!([2, 1].map(|_| scene.alloc(48)), [hole(2), hole(1)]);
    // The fourth begins in the next word.
    assert_eq!(scene.alloc(48), hole(3));
    assert_eq!(entries(&scene, 48), [hole(4), hole(5)]);
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_piece_takes_the_hole_behind_it_when_it_grows_and_gives_its_end_back_when_it_shrinks() {
    for (cached, flags) in [(false, 0), (true, 0), (false, VMMA_FLAG_WIPE), (true, VMMA_FLAG_WIPE)] {
        let scene = scene_with(1, flags);
        let _first = scene.alloc(16);
        let (size, more) = if cached { (64, 32) } else { (1024, 512) };
        let [piece, hole, wall] = [1024, 2048, 1024].map(|size| scene.alloc(size));
        let _rest = scene.alloc(BLOCK - 4112);
        let resized = |size: usize| c!(vmma_realloc(scene.client, piece, size)) == piece;
        assert!(resized(size));
        scene.free(hole);
        let all = 1024 + 2048;
        assert!(resized(size + more) && resized(all), "as long as the hole reaches");
        assert_eq!(c!(vmma_get_size(scene.client, piece)), all);
        assert!(scene.alloc(16).is_null(), "nothing is left");
        assert!(resized(size));
        assert_eq!(scene.alloc(all - size), piece.wrapping_byte_add(size));
        scene.free(wall);
        assert!(!resized(size + 16), "somebody is behind it");
    }
}

/// Even where two blocks of the client would have room for it across their ends.
#[test]
#[cfg_attr(miri, ignore)]
fn a_piece_of_more_than_a_block_begins_with_a_block() {
    let scene = roomy(8);
    let first = scene.alloc(4096);
    let [second, third, wall] = [BLOCK, 8192, 4096].map(|size| scene.alloc(size));
    assert_eq!(second, first.wrapping_byte_add(4096), "across the first two blocks");
    assert!(!wall.is_null());
    [second, third].iter().for_each(|&piece| scene.free(piece));
    for size in [BLOCK + 1, BLOCK + 16, BLOCK + 4096] {
        let piece = scene.alloc(size);
        assert_eq!((piece.addr() - first.addr()) % BLOCK, 0, "{size} bytes");
        scene.free(piece);
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_piece_grows_over_the_end_of_its_block_and_comes_back() {
    for flags in [0, VMMA_FLAG_WIPE] {
        let scene = scene_with(4, flags);
        let piece = scene.alloc(BLOCK / 2);
        let free = || c!(vmma_get_free_blocks(scene.context));
        let before = free();
        for size in [BLOCK + BLOCK / 2, 2 * BLOCK + 16, BLOCK + 16, BLOCK, BLOCK / 2] {
            assert_eq!(c!(vmma_realloc(scene.client, piece, size)), piece, "to {size} bytes");
            assert_eq!(c!(vmma_get_size(scene.client, piece)), size);
            assert_eq!(c!(vmma_check_context(scene.context)), 0, "{size} bytes");
        }
        assert_eq!(c!(vmma_trim_client(scene.client)), 0);
        assert_eq!(free(), before, "what it left is free again");
    }
}

/// A piece in two blocks is shortened to one of its first block, and to one that still goes on.
#[test]
#[cfg_attr(miri, ignore)]
fn the_end_of_a_piece_across_two_blocks_is_given_back() {
    for size in [BLOCK / 2 + 4096, BLOCK / 2, 1024, 64] {
        let scene = roomy(3);
        let first = scene.alloc(BLOCK / 2);
        let piece = scene.alloc(BLOCK);
        let wall = scene.alloc(4096);
        assert_eq!([piece, wall], [BLOCK / 2, BLOCK / 2 + BLOCK].map(|at| first.wrapping_byte_add(at)));
        assert_eq!(c!(vmma_realloc(scene.client, piece, size)), piece);
        assert_eq!(c!(vmma_check_context(scene.context)), 0, "{size} bytes are left");
        assert_eq!(scene.alloc(BLOCK - size), piece.wrapping_byte_add(size));
        assert_eq!(c!(vmma_get_held_size(scene.client)), (Scene::BALLAST + 2) * BLOCK);
    }
}

/// Where there are caches, a hole that a few such pieces fill: the rest of it goes into the cache.
#[test]
#[cfg_attr(miri, ignore)]
fn a_hole_that_can_be_filled_is_as_good_as_a_shorter_one_only_where_there_are_caches() {
    for flags in [0, VMMA_FLAG_NO_CACHE] {
        let scene = scene_with(2, flags);
        let size = 5120;
        let [double, wall, shorter, last] = [2 * size, 4096, size + 1024, 4096].map(|size| scene.alloc(size));
        assert!(!wall.is_null() && !last.is_null());
        [double, shorter].iter().for_each(|&piece| scene.free(piece));
        assert_eq!(scene.alloc(size), if flags == 0 { double } else { shorter }, "flags {flags:#x}");
    }
}

/// Even if there is something in every one of them.
#[test]
#[cfg_attr(miri, ignore)]
fn what_the_caches_keep_is_merged_when_nothing_else_serves() {
    let scene = scene(3);
    let _ballast = [scene.alloc(BLOCK), scene.alloc(BLOCK)];
    let [hole, _wall] = [512, 1024].map(|size| scene.alloc(size));
    scene.free(hole);
    let pair = [scene.alloc(256), scene.alloc(256)];
    assert_eq!(pair, [hole, hole.wrapping_byte_add(256)]);
    let pieces: Vec<_> = (1..=16).flat_map(|times| between_walls(&scene, times * GRANULE, 1)).collect();
    for size in [4096, 256, 272, 16] {
        while !scene.alloc(size).is_null() {}
    }
    pieces.iter().chain(&pair).for_each(|&piece| scene.free(piece));
    assert!((0..scene.inside().0.cached_classes as usize).all(|class| scene.cache(class).1 > 0));
    assert_eq!(scene.alloc(512), hole);
}

/// The shorter hole serves, and of two that are as long the one inside.
#[test]
#[cfg_attr(miri, ignore)]
fn a_hole_across_two_blocks_serves_if_no_hole_inside_is_better() {
    // Granules of the hole at the block's end, at the front of the next one, of one inside, and of the request.
    for (end, front, inside, count, across) in [
        (160, 160, 650, 300, true),
        (160, 160, 320, 300, false),
        (160, 160, 321, 300, true),
        (130, 130, 600, 350, false),
    ] {
        let scene = roomy(3);
        let sizes = [256, inside, 4096 - 256 - inside - end, end + front, 256];
        let pieces = sizes.map(|granules| scene.alloc(granules * GRANULE));
        assert_eq!(pieces[4].addr() - pieces[0].addr(), (4096 + front) * GRANULE);
        [1, 3].iter().for_each(|&at| scene.free(pieces[at]));
        let expected = if across { pieces[3] } else { pieces[1] };
        assert_eq!(scene.alloc(count * GRANULE), expected, "{end} and {front}, or {inside}");
        assert_eq!(c!(vmma_check_context(scene.context)), 0);
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_piece_of_more_than_a_block_ends_in_a_block_whose_front_is_free() {
    let scene = roomy(6);
    let [first, front, rest] = [BLOCK, 4096, BLOCK - 4096].map(|size| scene.alloc(size));
    assert_eq!(rest, first.wrapping_byte_add(BLOCK + 4096));
    [first, front].iter().for_each(|&piece| scene.free(piece));
    assert_eq!(c!(vmma_trim_client(scene.client)), 0);
    assert_eq!(c!(vmma_get_held_size(scene.client)), (Scene::BALLAST + 1) * BLOCK);
    assert_eq!(scene.alloc(BLOCK + 4096), first);
    assert_eq!(
        (c!(vmma_get_held_size(scene.client)), c!(vmma_check_context(scene.context))),
        ((Scene::BALLAST + 2) * BLOCK, 0)
    );
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_piece_grows_into_the_free_front_of_a_block_of_ours() {
    // In the next block, and in the one behind that, which the context has to give.
    for between in [0, BLOCK] {
        let scene = roomy(4);
        let piece = scene.alloc(BLOCK);
        let middle = if between > 0 { scene.alloc(between) } else { core::ptr::null_mut() };
        let [front, rest] = [4096, BLOCK - 4096].map(|size| scene.alloc(size));
        assert_eq!(rest, piece.wrapping_byte_add(BLOCK + between + 4096));
        scene.free(front);
        if between > 0 {
            scene.free(middle);
            assert_eq!(c!(vmma_trim_client(scene.client)), 0);
        }
        let size = BLOCK + between + 4096;
        assert_eq!(c!(vmma_realloc(scene.client, piece, size)), piece);
        assert_eq!(c!(vmma_get_held_size(scene.client)), (Scene::BALLAST + 2) * BLOCK + between);
        assert_eq!(c!(vmma_check_context(scene.context)), 0);
    }
}

/// Of the empty blocks one is kept, so two arrays lie with blocks of their own; each takes all of the room there is.
#[test]
#[cfg_attr(miri, ignore)]
fn an_empty_block_goes_though_the_array_of_a_full_cache_lies_with_it() {
    let scene = scene(8);
    let ballast = [0; 3].map(|_| scene.alloc(BLOCK));
    for size in [16, 32] {
        between_walls(&scene, size, 80).iter().for_each(|&piece| scene.free(piece));
        assert_eq!(scene.cache(class(size)), (62, 62));
    }
    let held = c!(vmma_get_held_size(scene.client));
    ballast.iter().for_each(|&piece| scene.free(piece));
    assert_eq!(c!(vmma_get_held_size(scene.client)), held - 2 * BLOCK);
    let full = [16, 32].map(|size| scene.cache(class(size)) == (62, 62));
    assert!(full[0] != full[1], "one array has gone with its block");
    assert_eq!(c!(vmma_check_context(scene.context)), 0);
}
