//! Large pages: which memory the library allows them for, as Linux tells it in /proc/self/smaps.
//! May know: everything.

use super::caches::Scene;
use crate::ffi::*;

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

/// At these offsets, in MiB, behind the first block.
fn allowed(scene: &Scene, offsets: &[usize]) -> Option<Vec<bool>> {
    let base = scene.inside().0.map.base().addr();
    offsets.iter().map(|offset| allowed_at(base + offset * MIB + MIB / 2)).collect()
}

fn use_up(scene: &Scene, bytes: usize) {
    (0..bytes >> 16).for_each(|_| assert!(!scene.alloc(64 << 10).is_null()));
}

#[test]
#[cfg_attr(any(miri, not(target_os = "linux")), ignore)]
fn they_are_allowed_for_as_much_memory_again_as_was_used_but_not_for_the_first_two_mib() {
    for flags in [0, VMMA_FLAG_PACKED, VMMA_FLAG_THREADS] {
        let scene = Scene::new(64 * MIB, 64 << 10, flags).expect("memory");
        for (used, expected) in [
            (1, [false, false, false, false, false]),
            (2, [false, false, false, false, false]),
            // One block more than two MiB.
            (3, [false, true, false, false, false]),
            (5, [false, true, true, false, false]),
            (9, [false, true, true, true, false]),
        ] {
            let held = c!(vmma_get_held_size(scene.client));
            use_up(&scene, (used * MIB).saturating_sub(held));
            match allowed(&scene, &[0, 3, 7, 15, 17]) {
                Some(now) => assert_eq!(now, expected, "{used} MiB used, flags {flags:#x}"),
                None => return,
            }
        }
    }
}

#[test]
#[cfg_attr(any(miri, not(target_os = "linux"), target_pointer_width = "32"), ignore)]
fn the_first_page_may_be_a_large_one_where_it_is_little_beside_the_context() {
    for (size, expected) in [(250, false), (300, true)] {
        let scene = Scene::new(size * MIB, 0, 0).expect("memory");
        scene.alloc(1);
        match allowed(&scene, &[0, 1, 2]) {
            Some(now) => assert_eq!(now, [expected, expected, false], "{size} MiB"),
            None => return,
        }
    }
}

#[test]
#[cfg_attr(any(miri, not(target_os = "linux")), ignore)]
fn they_are_neither_for_memory_that_is_given_back_nor_for_the_callers_nor_where_steps_are_bounded() {
    for flags in [VMMA_FLAG_RELEASE, VMMA_FLAG_NO_CACHE] {
        let scene = Scene::new(64 * MIB, 64 << 10, flags).expect("memory");
        use_up(&scene, 9 * MIB);
        assert!(allowed(&scene, &[0, 3, 7, 15]).is_none_or(|now| !now.contains(&true)), "flags {flags:#x}");
    }

    let mut memory = vec![0u8; 24 * MIB];
    let context = c!(vmma_create_context(memory.as_mut_ptr().cast(), memory.len(), 16, 64 << 10, 0));
    let given = Scene { context, client: c!(vmma_create_client(context)) };
    use_up(&given, 9 * MIB);
    assert!(allowed(&given, &[0, 3, 7, 15]).is_none_or(|now| !now.contains(&true)));
    drop(given);
}
