//! Large pages: which memory the library allows them for, as Linux tells it in /proc/self/smaps.
//! May know: everything.

use super::caches::Scene;
use crate::ffi::*;
use crate::sys::LARGE_PAGE;

const MIB: usize = 1 << 20;

/// Are large pages allowed where an address lies? None: this system does not tell.
fn allowed_at(address: usize) -> Option<bool> {
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage/enabled").exists() {
        eprintln!("skipped: large pages (the system has none)");
        return None;
    }
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let mut inside = false;
    for line in maps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let numbers = range.map(|(from, to)| [from, to].map(|number| usize::from_str_radix(number, 16)));
        if let Some([Ok(from), Ok(to)]) = numbers {
            inside = (from..to).contains(&address);
        } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
            return Some(flags.split(' ').any(|flag| flag == "hg"));
        }
    }
    None
}

/// In these large pages behind the first address that is one's, if the first block begins at offset 0.
fn allowed(scene: &Scene, pages: &[usize]) -> Option<Vec<bool>> {
    let first = scene.inside().0.map.base().addr().next_multiple_of(LARGE_PAGE);
    pages.iter().map(|page| allowed_at(first + page * LARGE_PAGE + MIB / 2)).collect()
}

fn use_up(scene: &Scene, bytes: usize) {
    (0..bytes >> 16).for_each(|_| assert!(!scene.alloc(64 << 10).is_null()));
}

#[test]
#[cfg_attr(any(miri, not(target_os = "linux")), ignore)]
fn blocks_have_them_as_the_heap_grows_but_not_in_its_first_two_mib() {
    for flags in [0, VMMA_FLAG_PACKED, VMMA_FLAG_THREADS] {
        let scene = Scene::new(64 * MIB, 64 << 10, flags).expect("memory");
        let in_front = scene.inside().0.map.base().addr().wrapping_neg() % LARGE_PAGE;
        for used in [2, 4, 8, 16] {
            use_up(&scene, used * MIB - c!(vmma_get_held_size(scene.client)));
            let reached = (used * MIB - in_front).div_ceil(LARGE_PAGE);
            let expected: Vec<bool> = (0..9).map(|page| page > 0 && page < reached).collect();
            match allowed(&scene, &[0, 1, 2, 3, 4, 5, 6, 7, 8]) {
                Some(now) => assert_eq!(now, expected, "{used} MiB used, flags {flags:#x}, {in_front} in front"),
                None => return,
            }
        }
    }
}

#[test]
#[cfg_attr(any(miri, not(target_os = "linux"), target_pointer_width = "32"), ignore)]
fn the_first_page_may_be_a_large_one_where_it_is_little_beside_the_context() {
    for (size, expected) in [(250, false), (300, true)] {
        let scene = Scene::new(size * MIB, 64 << 10, 0).expect("memory");
        use_up(&scene, 2 * MIB);
        match allowed(&scene, &[0, 1, 2]) {
            Some(now) => assert_eq!(now, [expected, false, false], "{size} MiB"),
            None => return,
        }
    }
}

/// What is large may be touched here and there.
#[test]
#[cfg_attr(any(miri, not(target_os = "linux")), ignore)]
fn neither_runs_nor_large_blocks_have_them() {
    for (block, size) in [(64 << 10, 16 * MIB), (512 << 10, 512 << 10), (4 * MIB, 4 * MIB)] {
        let scene = Scene::new(64 * MIB, block, 0).expect("memory");
        (0..16 * MIB / size).for_each(|_| assert!(!scene.alloc(size).is_null()));
        assert!(allowed(&scene, &[0, 1, 2, 3, 4]).is_none_or(|now| !now.contains(&true)), "blocks of {block}");
    }
}

#[test]
#[cfg_attr(any(miri, not(target_os = "linux")), ignore)]
fn they_are_neither_for_memory_that_is_given_back_nor_for_the_callers_nor_where_steps_are_bounded() {
    for flags in [VMMA_FLAG_RELEASE, VMMA_FLAG_NO_CACHE] {
        let scene = Scene::new(64 * MIB, 64 << 10, flags).expect("memory");
        use_up(&scene, 9 * MIB);
        assert!(allowed(&scene, &[0, 1, 2, 3]).is_none_or(|now| !now.contains(&true)), "flags {flags:#x}");
    }

    let mut memory = vec![0u8; 24 * MIB];
    let context = c!(vmma_create_context(memory.as_mut_ptr().cast(), memory.len(), 16, 64 << 10, 0));
    let given = Scene { context, client: c!(vmma_create_client(context)) };
    use_up(&given, 9 * MIB);
    assert!(allowed(&given, &[0, 1, 2, 3]).is_none_or(|now| !now.contains(&true)));
    drop(given);
}

#[test]
#[cfg_attr(any(miri, not(target_os = "linux")), ignore)]
fn small_clients_that_begin_groups_of_their_own_have_none() {
    for flags in [VMMA_FLAG_THREADS, VMMA_FLAG_THREADS | VMMA_FLAG_PACKED] {
        let scene = Scene::new(64 * MIB, 64 << 10, flags).expect("memory");
        for _ in 0..40 {
            let client = c!(vmma_create_client(scene.context));
            assert!(!c!(vmma_alloc(client, 100)).is_null());
        }
        if let Some(now) = allowed(&scene, &[0, 1, 2, 3, 4, 5, 6, 7, 8]) {
            assert_eq!(now, [false; 9], "flags {flags:#x}");
        }
    }
}

/// Of groups as long as a large page none would ever have one, if only those did whose client goes on into them.
#[test]
#[cfg_attr(any(miri, not(target_os = "linux"), target_pointer_width = "32"), ignore)]
fn a_client_that_has_had_as_much_has_one_where_its_next_group_begins() {
    let scenes = (0..32).map(|more| Scene::new(128 * MIB + (more << 16), 64 << 10, VMMA_FLAG_THREADS).expect("memory"));
    let Some(scene) = scenes.into_iter().find(|scene| scene.inside().0.map.base().addr().is_multiple_of(LARGE_PAGE))
    else {
        eprintln!("skipped: groups that begin with large pages (no block 0 at such an address)");
        return;
    };
    assert_eq!(scene.inside().0.group_blocks() << 16, LARGE_PAGE);
    // Another client begins the second group, so the first one goes on with the third.
    assert!(!scene.alloc(64 << 10).is_null());
    let other = c!(vmma_create_client(scene.context));
    assert!(!c!(vmma_alloc(other, 64 << 10)).is_null());
    use_up(&scene, 4 * MIB - (64 << 10));
    if let Some(now) = allowed(&scene, &[0, 1, 2, 3]) {
        assert_eq!(now, [false, false, true, false]);
    }
}

/// The system allows a process some 65 000 mappings, and each stretch with other advice than its neighbours is one.
#[test]
#[cfg_attr(any(miri, not(target_os = "linux"), target_pointer_width = "32"), ignore)]
fn a_large_context_is_advised_in_few_pieces() {
    let mappings = || std::fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count());
    let scene = Scene::new(32 << 30, 64 << 10, 0).expect("address space");
    let before = mappings();
    // A block at each second large page, and what lies between as one run.
    while (scene.alloc(64 << 10).addr() + (64 << 10)) & (LARGE_PAGE - 1) != 0 {}
    while !c!(vmma_alloc(scene.client, 64 << 10)).is_null() {
        c!(vmma_alloc(scene.client, 63 * (64 << 10)));
    }
    let after = mappings();
    assert!(after < before + 2 * 4096 + 200, "{before} mappings before, {after} after");
}
