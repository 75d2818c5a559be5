//! Blocks and the units in them: which block serves, and when another one is taken.
//!
//! The model of whole contexts has no blocks of more than 2^11 units, where several orders share a list.
//! May know: everything.

use super::caches::Scene;
use crate::ffi::*;

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
