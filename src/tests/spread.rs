//! Which blocks clients of a context with THREADS get: side by side, apart from others', and all of them in the end.
//! May know: everything.

use super::Rng;
use super::caches::Scene;
use super::region::{Content, Region};
use crate::client::Client;
use crate::ffi::*;
use crate::steps;
use core::ffi::c_void;
use core::sync::atomic::Ordering::Relaxed;
use std::collections::VecDeque;

const BLOCK: usize = 4 << 10;
const APART: [u32; 4] = [
    VMMA_FLAG_THREADS,
    VMMA_FLAG_THREADS | VMMA_FLAG_PACKED,
    VMMA_FLAG_SHARED_CLIENTS,
    VMMA_FLAG_SHARED_CLIENTS | VMMA_FLAG_PACKED | VMMA_FLAG_ZERO,
];

/// Takes a block for a client by a piece of its size; its number.
fn take(scene: &Scene, client: *mut vmma_client_t) -> Option<usize> {
    let piece = c!(vmma_alloc(client, BLOCK));
    assert_eq!(c!(vmma_check_context(scene.context)), 0);
    let base = scene.inside().0.map.base().addr();
    (!piece.is_null()).then(|| (piece.addr() - base) / BLOCK)
}

fn another(scene: &Scene) -> *mut vmma_client_t {
    let client = c!(vmma_create_client(scene.context));
    assert!(!client.is_null());
    client
}

/// The blocks that two clients of a new context get in turn, and how many are in a group.
fn in_turn(size: usize, flags: u32, count: usize) -> ([Vec<usize>; 2], usize) {
    let scene = Scene::new(size, BLOCK, flags).expect("memory");
    let clients = [scene.client, another(&scene)];
    let mut blocks = [Vec::new(), Vec::new()];
    for _ in 0..count {
        for (client, blocks) in clients.iter().zip(&mut blocks) {
            blocks.push(take(&scene, *client).expect("room"));
        }
    }
    (blocks, scene.inside().0.group_blocks())
}

#[test]
#[cfg_attr(miri, ignore)]
fn clients_that_grow_in_turn_have_their_blocks_side_by_side_and_a_group_apart() {
    for flags in APART {
        let ([first, second], group) = in_turn(2 << 20, flags, 6);
        assert_eq!(group, 8);
        assert_eq!(first, (0..6).collect::<Vec<_>>(), "flags {flags:#x}");
        assert_eq!(second, (group..group + 6).collect::<Vec<_>>(), "flags {flags:#x}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_client_whose_group_is_full_goes_on_where_another_one_is_free() {
    for flags in APART {
        let ([first, second], group) = in_turn(2 << 20, flags, 11);
        let expected =
            |from: [usize; 2]| [from[0]..from[0] + group, from[1]..from[1] + 11 - group].into_iter().flatten();
        assert!(first.into_iter().eq(expected([0, 2 * group])), "flags {flags:#x}");
        assert!(second.into_iter().eq(expected([group, 3 * group])), "flags {flags:#x}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn any_free_block_serves_without_threads_in_small_contexts_and_where_steps_are_counted() {
    let (large, small) = (2 << 20, 100 * BLOCK);
    let cases = [
        (large, 0),
        (large, VMMA_FLAG_PACKED),
        (large, VMMA_FLAG_THREADS | VMMA_FLAG_NO_CACHE),
        (small, VMMA_FLAG_THREADS),
        (small, VMMA_FLAG_THREADS | VMMA_FLAG_PACKED),
    ];
    for (size, flags) in cases {
        let ([first, second], group) = in_turn(size, flags, 4);
        assert_eq!((first, second, group), (vec![0, 2, 4, 6], vec![1, 3, 5, 7], 0), "flags {flags:#x}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_group_of_a_deleted_client_serves_the_next_one() {
    for flags in APART {
        let scene = Scene::new(2 << 20, BLOCK, flags).expect("memory");
        assert_eq!(take(&scene, scene.client), Some(0));
        for _ in 0..20 {
            let client = another(&scene);
            assert_eq!([take(&scene, client), take(&scene, client)], [Some(8), Some(9)], "flags {flags:#x}");
            assert_eq!(c!(vmma_delete_client(client)), 0);
        }
        assert_eq!(scene.inside().0.watermark.load(Relaxed), 10, "flags {flags:#x}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_client_goes_into_a_group_before_its_own_only_if_all_of_it_is_free() {
    for flags in APART {
        let scene = Scene::new(2 << 20, BLOCK, flags).expect("memory");
        let (first, second) = (another(&scene), another(&scene));
        let mut blocks = [first, second, second].map(|client| take(&scene, client));
        assert_eq!(blocks, [Some(0), Some(8), Some(9)], "flags {flags:#x}");
        assert_eq!(c!(vmma_delete_client(first)), 0);
        blocks = [second, another(&scene), second].map(|client| take(&scene, client));
        assert_eq!(blocks, [Some(7), Some(16), Some(6)], "flags {flags:#x}");
        assert_eq!(c!(vmma_delete_client(second)), 0);
        assert_eq!(take(&scene, scene.client), Some(0), "flags {flags:#x}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_place_beside_ones_own_is_better_than_a_free_group_in_front_of_it() {
    for flags in APART {
        let scene = Scene::new(2 << 20, BLOCK, flags).expect("memory");
        let clients = [another(&scene), another(&scene), another(&scene)];
        assert_eq!(clients.map(|client| take(&scene, client)), [Some(0), Some(8), Some(16)], "flags {flags:#x}");
        assert_eq!(c!(vmma_delete_client(clients[0])), 0);
        assert_eq!(take(&scene, clients[2]), Some(17), "flags {flags:#x}");
        assert_eq!(c!(vmma_delete_client(clients[1])), 0);
        assert_eq!(take(&scene, clients[2]), Some(15), "flags {flags:#x}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_client_that_frees_its_oldest_blocks_takes_them_again() {
    for flags in APART {
        let scene = Scene::new(4 << 20, BLOCK, flags).expect("memory");
        let group = scene.inside().0.group_blocks();
        assert_eq!(group, 16);
        let mut window: VecDeque<*mut c_void> = (0..8).map(|_| scene.alloc(BLOCK)).collect();
        for _ in 0..300 {
            window.extend((0..8).map(|_| scene.alloc(BLOCK)));
            window.drain(..8).for_each(|oldest| scene.free(oldest));
        }
        assert_eq!(c!(vmma_check_context(scene.context)), 0);
        let touched = scene.inside().0.watermark.load(Relaxed);
        assert!(touched <= 24, "{touched} blocks for 16, flags {flags:#x}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn groups_are_large_where_there_are_many_blocks() {
    let group = |kib: usize| {
        let scene = Scene::new(kib << 10, 1 << 10, VMMA_FLAG_THREADS).expect("memory");
        let (context, _) = scene.inside();
        (context.map.blocks, context.group_blocks())
    };
    for kib in 120..160 {
        let (blocks, group) = group(kib);
        assert_eq!(group, if blocks < 128 { 0 } else { 4 }, "{blocks} blocks");
    }
    for kib in [400, 1000, 2000, 4000, 9000, 60000] {
        let (blocks, group) = group(kib);
        let groups = blocks / 4 / group;
        assert!(group.is_power_of_two() && groups >= 8 && (groups < 16 || group == 64), "{group} of {blocks}");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn to_find_a_block_takes_few_steps_however_much_is_free() {
    for flags in APART {
        let scene = Scene::new(64 << 20, 1 << 10, flags).expect("memory");
        // All of it was used once, and is free below the watermark.
        for long in [0, 48 << 20] {
            let run = if long > 0 { scene.alloc(long) } else { scene.client.cast() };
            assert!(!run.is_null());
            if long > 0 {
                scene.free(run);
            }
            for _ in 0..20 {
                let client = another(&scene);
                steps::take();
                for _ in 0..3 {
                    assert!(!c!(vmma_alloc(client, 1 << 10)).is_null());
                    let steps = steps::take();
                    assert!(steps <= 200, "{steps} steps, flags {flags:#x}, {long} bytes used before");
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn three_quarters_stay_in_one_piece_and_every_block_is_used_in_the_end() {
    let mut rng = Rng::new(41);
    for flags in APART {
        // Memory of any content: the records of blocks that were passed over are made, not believed.
        let region = Region::new(512 * BLOCK, 64, Content::Garbage, &mut rng);
        let context = c!(vmma_create_context(region.memory().cast(), region.size(), 16, BLOCK, flags));
        let scene = Scene { context, client: c!(vmma_create_client(context)) };
        // More than there are groups.
        let clients: Vec<_> = (0..30).map(|_| another(&scene)).collect();
        let mut taken: Vec<_> = clients.iter().map(|&client| take(&scene, client).expect("room")).collect();
        let all = scene.inside().0.map.blocks;
        assert!(taken.iter().all(|&block| block < all / 4), "{taken:?} of {all}, flags {flags:#x}");
        assert!(taken.len() > all / 4 / scene.inside().0.group_blocks());
        let last = another(&scene);
        let long = c!(vmma_alloc(last, (scene.inside().0.usable_blocks() - all / 4) * BLOCK));
        assert!(!long.is_null(), "{taken:?} of {all}, flags {flags:#x}");
        assert_eq!(c!(vmma_delete_client(last)), 0);
        // And now one by one, for whoever's turn it is.
        for &client in clients.iter().cycle() {
            match take(&scene, client) {
                Some(block) => taken.push(block),
                None => break,
            }
        }
        taken.sort_unstable();
        let usable = scene.inside().0.usable_blocks();
        assert!(taken.iter().copied().eq(0..usable), "{taken:?} of {usable}, flags {flags:#x}");
        // SAFETY: a handle from above.
        let held =
            clients.iter().map(|&client| unsafe { &*client.cast::<Client>() }.held.get() as usize).sum::<usize>();
        assert_eq!(held, usable);
        drop(scene);
        assert!(region.margins_intact());
    }
}
