//! The shortest way of PACKED clients, beside the ways behind it.
//! May know: everything.

use super::Rng;
use super::packed::{BLOCK, GRANULE, scene, scene_with};
use crate::ffi::*;
use core::ffi::c_void;

/// A shared client has no shortest way (short.rs): all of its calls take the ways behind it, which know of no words.
#[test]
#[cfg_attr(miri, ignore)]
fn the_shortest_way_ends_where_the_others_do() {
    let mut rng = Rng::new(71);
    for most in [40, 300, 3000] {
        let scenes = [scene_with(24, 0), scene_with(24, VMMA_FLAG_SHARED_CLIENTS)];
        let bases = scenes.each_ref().map(|scene| scene.inside().0.map.base().addr());
        assert_eq!(scenes.each_ref().map(|scene| scene.inside().1.is_short()), [true, false]);
        let mut live: Vec<usize> = Vec::new();
        for step in 0..6000 {
            // Offsets stand for addresses: the two contexts lie in different memory.
            let call = rng.below(20);
            let at = rng.below(live.len().max(1));
            let (offset, size) = (live.get(at).copied(), rng.log(most));
            let both = [0, 1].map(|number| {
                let (client, base) = (scenes[number].client, bases[number]);
                let pointer = |offset: usize| (base + offset) as *mut c_void;
                match (call, offset) {
                    (0..=9, _) => c!(vmma_alloc(client, size)).addr().wrapping_sub(base),
                    (10..=16, Some(offset)) => c!(vmma_free(client, pointer(offset))) as usize,
                    (17, Some(offset)) => c!(vmma_realloc(client, pointer(offset), size)).addr().wrapping_sub(base),
                    // Wrong ones: inside, beside a granule, and what may have been freed.
                    (18, Some(offset)) => c!(vmma_free(client, pointer(offset + size % 64 + 1))) as usize,
                    _ => c!(vmma_free(client, pointer(size * GRANULE))) as usize,
                }
            });
            assert_eq!(both[0], both[1], "step {step}, call {call}, {size} bytes at most {most}");
            match (call, offset) {
                (0..=9, _) => live.push(both[0]),
                (10..=16, Some(_)) => drop(live.swap_remove(at)),
                (17, Some(_)) => live[at] = both[0],
                _ if both[0] == 0 => {
                    live.retain(|&offset| c!(vmma_get_size(scenes[0].client, (bases[0] + offset) as *mut c_void)) != 0)
                }
                _ => {}
            }
            // As many as go into the blocks.
            while live.len() > 1000 {
                let offset = live.swap_remove(rng.below(live.len()));
                (0..2).for_each(|number| scenes[number].free((bases[number] + offset) as *mut c_void));
            }
            if step % 16 == 0 {
                assert!(scenes.iter().all(|scene| c!(vmma_check_context(scene.context)) == 0), "step {step}");
            }
        }
        assert!(live.len() > 100);
    }
}

/// The shortest way looks at one word and one block's record: of neighbours in memory, and behind the last block.
#[test]
#[cfg_attr(miri, ignore)]
fn the_shortest_way_refuses_what_another_client_has_and_what_is_behind_all_blocks() {
    let scene = scene(4);
    let other = c!(vmma_create_client(scene.context));
    // Blocks in turn: each client has an earlier and a later one than the other's.
    let pieces: Vec<_> = (0..4)
        .map(|number| {
            let client = if number % 2 == 0 { scene.client } else { other };
            let pieces: Vec<_> = (0..BLOCK / 32).map(|_| c!(vmma_alloc(client, 32))).collect();
            (client, pieces)
        })
        .collect();
    let base = scene.inside().0.map.base().addr();
    for (number, (_, of_block)) in pieces.iter().enumerate() {
        assert!(of_block.iter().all(|piece| (piece.addr() - base) / BLOCK == number), "block {number} is full of them");
    }
    for (owner, of_block) in &pieces {
        let stranger = if *owner == other { scene.client } else { other };
        for piece in of_block.iter().step_by(7) {
            assert_eq!(c!(vmma_free(stranger, *piece)), vmma_status::VMMA_E_NOT_OWNED as i32);
        }
    }
    for behind in [0, 16, 32, 64, 1024, BLOCK] {
        let end = (base + 4 * BLOCK + behind) as *mut c_void;
        assert_eq!(c!(vmma_free(other, end)), vmma_status::VMMA_E_NOT_OWNED as i32);
        assert_eq!(c!(vmma_free(scene.client, end)), vmma_status::VMMA_E_NOT_OWNED as i32);
    }
    assert_eq!(c!(vmma_check_context(scene.context)), 0);
    for (owner, of_block) in &pieces {
        for piece in of_block.iter().step_by(3) {
            assert_eq!(c!(vmma_free(*owner, *piece)), 0);
            assert_eq!(c!(vmma_free(*owner, *piece)), vmma_status::VMMA_E_DOUBLE_FREE as i32);
        }
    }
    assert_eq!(c!(vmma_check_context(scene.context)), 0);
}
